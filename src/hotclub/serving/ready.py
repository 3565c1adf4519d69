"""The path `READY_PATH`, which tells load balancers and monitors whether this process is ready to serve.

The response comes from memory, without a query. It names no host and no process.
"""

from http import HTTPStatus

import msgspec

from hotclub.engine.transports.base import Scope, Send
from hotclub.engine.transports.stream import respond


async def serve_ready(trouble: str, scope: Scope, send: Send) -> None:
    """Answer one request: 200 `{"ready": true}`, or 503 with `trouble` as the `reason`. A method other than GET and
    HEAD gets 405."""
    if scope["method"] not in ("GET", "HEAD"):
        await respond(send, HTTPStatus.METHOD_NOT_ALLOWED, [(b"allow", b"GET, HEAD")])
        return
    answer = {"ready": False, "reason": trouble} if trouble else {"ready": True}
    status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await respond(send, status, headers, msgspec.json.encode(answer))
