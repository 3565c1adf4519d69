"""A real server on a free port of 127.0.0.1, in the test's own event loop."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any, Literal

import uvicorn

from hotclub.engine.limits import Limits
from hotclub.serving.uvicorn import HttpProtocol
from hotclub.serving.websocket import WebSocketProtocol
from tests.support.prompt import PromptServer


@contextlib.asynccontextmanager
async def live_server(
    application: Any, *, fast: bool = True, lifespan: Literal["on", "off"] = "on"
) -> AsyncIterator[str]:
    """Serve an ASGI application until the block ends; yields its URL, such as `http://127.0.0.1:40123`.

    Args:
        application: any ASGI application.
        fast: with Hotclub's protocol classes, otherwise with uvicorn's own.
        lifespan: "on" or "off", as for uvicorn.
    """
    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=0,
        http=functools.partial(HttpProtocol, limits=Limits()) if fast else "auto",  # type: ignore[arg-type]
        ws=functools.partial(WebSocketProtocol, limits=Limits()) if fast else "websockets-sansio",  # type: ignore[arg-type]
        ws_per_message_deflate=False,
        lifespan=lifespan,
        log_level="error",
    )
    server = PromptServer(config)
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.wait({running}, timeout=0.01)
                if running.done():
                    running.result()
                    raise RuntimeError("The server did not start")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.end()
        await running
        if server.lifespan.should_exit:
            raise RuntimeError("The application failed to shut down; see the log")


def websocket_url(url: str, path: str = "/connection/websocket") -> str:
    """The address of the WebSocket endpoint of a server."""
    return url.replace("http", "ws", 1) + path
