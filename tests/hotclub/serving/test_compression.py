"""`COMPRESSION`: what is agreed on, what is compressed, and that no bound can be got round with it (RFC 7692)."""

import asyncio
import json
import os
import zlib
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect

from tests.support.processes import PROJECT, Server
from tests.support.rawws import BINARY, CONTINUATION, TEXT, Frame, RawWebSocket, encode_frame
from tests.support.wire import WireClient

OFFER = "Sec-WebSocket-Extensions"
RSV1 = 4
TEXT_TO_SAY = "the same words again and again, " * 20
BOUND = 65_536


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"PROJECT_HOTCLUB": json.dumps({"COMPRESSION": True})}
    with Server.serving(tmp_path_factory.mktemp("compression"), PROJECT, environment) as server:
        yield server


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def inflated(frame: Frame) -> bytes:
    if frame.rsv != RSV1:
        return frame.payload
    return zlib.decompressobj(wbits=-15).decompress(frame.payload + b"\0\0\xff\xff")


async def subscribed(server: Server, offer: str, path: str = "/connection/websocket") -> RawWebSocket:
    """A subscriber of `memory:words` that has read its replies, none of which was compressed."""
    socket = await RawWebSocket.connect(server.port, path, headers={OFFER: offer} if offer else {})
    if path.endswith("uni_websocket"):
        await socket.send_text('{"subs":{"memory:words":{}}}')
        replies = 1
    else:
        await socket.send_text('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"memory:words"}}')
        replies = 2
    assert [(await socket.read_frame()).rsv for _ in range(replies)] == [0] * replies
    return socket


async def next_publication(socket: RawWebSocket) -> Frame:
    while b'"pub"' not in inflated(frame := await socket.read_frame()):
        pass
    return frame


@pytest.mark.parametrize("path", ["/connection/websocket", "/connection/uni_websocket"])
async def test_publications_are_compressed_once_for_all_who_agreed(server: Server, path: str) -> None:
    offers = ("permessage-deflate; client_max_window_bits", "permessage-deflate", "")
    first, second, plain = [await subscribed(server, offer, path) for offer in offers]
    async with first, second, plain, await WireClient.connected(server.port) as publisher:
        await publisher.subscribe("memory:words")
        await publisher.publish("memory:words", TEXT_TO_SAY)
        frames = [await next_publication(socket) for socket in (first, second, plain)]
        assert frames[0] == frames[1]
        assert (frames[0].rsv, frames[2].rsv) == (RSV1, 0)
        assert len(frames[0].payload) < len(frames[2].payload) / 4
        assert inflated(frames[0]) == frames[2].payload


async def test_a_client_with_a_smaller_window_gets_whole_frames(server: Server) -> None:
    socket = await subscribed(server, "permessage-deflate; server_max_window_bits=9")
    async with socket, await WireClient.connected(server.port) as publisher:
        await publisher.subscribe("memory:words")
        await publisher.publish("memory:words", TEXT_TO_SAY)
        assert (await next_publication(socket)).rsv == 0


async def test_a_library_that_compresses_is_understood(server: Server) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/connection/websocket?format=protobuf") as client:
        assert [extension.name for extension in client.protocol.extensions] == ["permessage-deflate"]
    async with connect(f"ws://127.0.0.1:{server.port}/connection/websocket") as client:
        await client.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"memory:words"}}')
        text = TEXT_TO_SAY + os.urandom(300).hex()
        await client.send(json.dumps({"id": 3, "publish": {"channel": "memory:words", "data": text}}))
        while "pub" not in (received := json.loads(await client.recv())).get("push", {}):
            pass
        assert received["push"]["pub"]["data"] == text


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([encode_frame(TEXT, deflated(b" " * (BOUND + 1)), rsv=RSV1)], id="one byte too many"),
        pytest.param([encode_frame(TEXT, deflated(bytes(2**25)), rsv=RSV1)], id="32 MiB"),
        pytest.param([encode_frame(BINARY, deflated(bytes(2**25)), rsv=RSV1)], id="32 MiB, binary"),
        pytest.param(
            [
                encode_frame(TEXT, (half := deflated(b" " * BOUND * 2))[:60], rsv=RSV1, fin=False),
                encode_frame(CONTINUATION, half[60:]),
            ],
            id="in fragments",
        ),
    ],
)
async def test_a7_the_bound_on_a_message_holds_after_it_is_inflated(server: Server, frames: list[bytes]) -> None:
    async with await RawWebSocket.connect(server.port, headers={OFFER: "permessage-deflate"}) as socket:
        await socket.send_bytes(b"".join(frames))
        assert (await socket.read_close()).close_code == 1009


async def test_a7_many_small_bombs_take_no_memory(server: Server) -> None:
    memory = server.memory
    bomb = encode_frame(TEXT, deflated(b" " * BOUND), rsv=RSV1) * 1_000
    sockets = [await RawWebSocket.connect(server.port, headers={OFFER: "permessage-deflate"}) for _ in range(10)]
    try:
        await asyncio.gather(*(socket.send_bytes(bomb) for socket in sockets))
        codes = [(await socket.read_close()).close_code for socket in sockets]
    finally:
        for socket in sockets:
            socket.abort()
    assert codes == [3501] * 10
    assert server.memory - memory < 32 * 2**20


async def test_garbage_in_place_of_compressed_data_is_a_violation(server: Server) -> None:
    async with await RawWebSocket.connect(server.port, headers={OFFER: "permessage-deflate"}) as socket:
        await socket.send_frame(TEXT, b"\xff" * 40, rsv=RSV1)
        assert (await socket.read_close()).close_code == 1002
