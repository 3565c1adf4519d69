"""Sends every WebSocket message back, through the protocol class that sites are served with: `python -m` runs it.

The bounds that the public suite exceeds by intention (messages of 16 MB, in pieces of 64 bytes) are lifted.
"""

import argparse
import asyncio
import functools
from typing import Any

import uvicorn

from hotclub.engine.limits import Limits
from hotclub.protocols import HttpProtocol, WebSocketProtocol

LIMITS = Limits(message_bytes=2**25, outbox_bytes=2**26, fragments=2**20)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def config(port: int) -> uvicorn.Config:
    return uvicorn.Config(
        echo,
        host="127.0.0.1",
        port=port,
        http=functools.partial(HttpProtocol, limits=LIMITS),  # type: ignore[arg-type]
        ws=functools.partial(WebSocketProtocol, limits=LIMITS),  # type: ignore[arg-type]
        ws_max_size=LIMITS.message_bytes,
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="warning",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9001)
    asyncio.run(uvicorn.Server(config(parser.parse_args().port)).serve())
