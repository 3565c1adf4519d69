"""Sends every WebSocket message back, through the protocol class that sites are served with: `python -m` runs it.

It prints its URL as soon as it answers. The bounds that the public suite exceeds by intention (messages of 16 MB, in
pieces of 64 bytes) are lifted.
"""

import argparse
from functools import partial
from typing import Any

from hotclub.conf.config import Config
from hotclub.engine.limits import Limits
from hotclub.serving.server import listen, run

LIMITS = Limits(message_bytes=2**25, outbox_bytes=2**26, fragments=2**20)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compression", action="store_true")
    run(
        echo,
        listener=listen("127.0.0.1", 0),
        settings=Config(limits=LIMITS, compression=parser.parse_args().compression),
        log_level="warning",
        on_ready=partial(print, flush=True),
    )
