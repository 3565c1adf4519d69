"""Whether this process is ready to serve, for load balancers and monitors: the path `READY_PATH`.

The answer is what the process knows already: asking costs no query. It names no host and no process.
"""

from http import HTTPStatus

import msgspec

from hotclub.engine.transports.base import Scope, Send
from hotclub.engine.transports.stream import respond


async def serve_ready(trouble: str, scope: Scope, send: Send) -> None:
    """Answer 200 `{"ready": true}`, or 503 with the trouble as the `reason`; 405 to what is neither GET nor HEAD."""
    if scope["method"] not in ("GET", "HEAD"):
        await respond(send, HTTPStatus.METHOD_NOT_ALLOWED, [(b"allow", b"GET, HEAD")])
        return
    answer = {"ready": False, "reason": trouble} if trouble else {"ready": True}
    status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await respond(send, status, headers, msgspec.json.encode(answer))
