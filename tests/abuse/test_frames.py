"""reliability.md §4 A2–A6, A11 and A12: frames, handshakes and readers that mean no good."""

import asyncio
import struct

import pytest

from tests.support.matrix import mostly
from tests.support.processes import Server
from tests.support.rawws import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    encode_frame,
)
from tests.support.wire import WireClient

CONNECT = b'{"id":1,"connect":{}}'


@pytest.fixture(params=mostly(["websocket"], ["websocket", "websocket?format=protobuf", "uni_websocket"]))
def path(request: pytest.FixtureRequest) -> str:
    """Where there are frames."""
    return f"/connection/{request.param}"


async def close_code(server: Server, path: str, *frames: bytes) -> int:
    """What the server's close frame says to these bytes."""
    async with asyncio.timeout(5), await RawWebSocket.connect(server.port, path) as socket:
        await socket.send_bytes(b"".join(frames))
        return (await socket.read_close()).close_code


@pytest.mark.smoke
async def test_a2_an_unmasked_frame_is_not_processed(server: Server, path: str) -> None:
    async with asyncio.timeout(5), await RawWebSocket.connect(server.port, path) as socket:
        await socket.send_frame(TEXT, CONNECT, mask=False)
        frame = await socket.read_frame()
        assert frame.close_code == 1002, "the first thing said is the close: the command was not answered"


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([encode_frame(TEXT, CONNECT, rsv=1)], id="rsv3"),
        pytest.param([encode_frame(TEXT, CONNECT, rsv=2)], id="rsv2"),
        pytest.param([encode_frame(TEXT, CONNECT, rsv=4)], id="rsv1 without an extension"),
        pytest.param([encode_frame(0x3, CONNECT)], id="reserved data opcode"),
        pytest.param([encode_frame(0xB, b"")], id="reserved control opcode"),
        pytest.param([encode_frame(PING, b"x" * 126)], id="ping of 126 bytes"),
        pytest.param([encode_frame(PING, b"x", fin=False)], id="fragmented ping"),
        pytest.param([encode_frame(CONTINUATION, b"x")], id="continuation of nothing"),
        pytest.param([encode_frame(TEXT, b"x", fin=False), encode_frame(TEXT, b"y")], id="message within a message"),
        pytest.param([encode_frame(8, b"\x03")], id="close of one byte"),
        pytest.param([encode_frame(8, struct.pack(">H", 1005))], id="close with a reserved code"),
    ],
)
async def test_a3_a_frame_outside_the_protocol_is_1002(server: Server, path: str, frames: list[bytes]) -> None:
    assert await close_code(server, path, *frames) == 1002


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\xff", id="never a byte of UTF-8"),
        pytest.param(b"\xc0\xaf", id="overlong"),
        pytest.param(b"\xe0\x80\xaf", id="overlong in three"),
        pytest.param(b"\xed\xa0\x80", id="surrogate"),
        pytest.param(b"\xf4\x90\x80\x80", id="beyond Unicode"),
        pytest.param(b"\xe4\xbd", id="cut off"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
async def test_a4_invalid_utf8_is_1007(server: Server, path: str, payload: bytes, split: bool) -> None:
    text = b'{"id":1,"rpc":{"method":"' + payload + b'"}}'
    cut = text.index(payload) + 1
    if split:
        frames = [encode_frame(TEXT, text[:cut], fin=False), encode_frame(CONTINUATION, text[cut:])]
    else:
        frames = [encode_frame(TEXT, text)]
    assert await close_code(server, path, *frames) == 1007


async def test_a4_a_character_may_be_split_over_fragments(server: Server) -> None:
    async with await WireClient.open(server.port) as client:
        text = '{"id":1,"connect":{"name":"你好"}}'.encode()
        cut = text.index("你".encode()) + 1
        await client.socket.send_frame(TEXT, text[:cut], fin=False)
        await client.socket.send_frame(CONTINUATION, text[cut:])
        assert (await client.result(1, "connect"))["client"]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [65_537, 2**31, 2**63 - 1])
async def test_a5_a_frame_that_claims_too_much_is_1009_on_its_header(
    server: Server, path: str, opcode: int, length: int
) -> None:
    """Only the header is sent: the answer cannot wait for the rest."""
    assert await close_code(server, path, encode_frame(opcode, b"", length=length)) == 1009


@pytest.mark.smoke
async def test_a5_the_accumulated_message_counts(server: Server, path: str) -> None:
    first = encode_frame(TEXT, b" " * 40_000, fin=False)
    assert await close_code(server, path, first, encode_frame(CONTINUATION, b"", length=40_000)) == 1009


async def test_a5_the_largest_message_is_taken(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        head, tail = b'{"id":9,"rpc":{"method":"', b'"}}'
        text = head + b"x" * (65_536 - len(head) - len(tail)) + tail
        await client.socket.send_frame(TEXT, text)
        reply = await client.expect(lambda item: item.get("id") == 9)
        assert reply["error"]["code"] == 104


@pytest.mark.smoke
async def test_a6_a_message_in_endless_fragments_is_ended_early(server: Server, path: str) -> None:
    memory = server.memory
    async with asyncio.timeout(20), await RawWebSocket.connect(server.port, path) as socket:
        fragment = encode_frame(CONTINUATION, b"x", fin=False)
        flood = asyncio.create_task(_flood(socket, encode_frame(TEXT, b"x", fin=False) + fragment * 131_000))
        assert (await socket.read_close()).close_code in (1008, 1009)
        assert server.memory - memory < 2**20
        flood.cancel()
        await asyncio.wait({flood})


async def test_a6_sixty_four_fragments_are_fine(server: Server) -> None:
    async with await WireClient.open(server.port) as client:
        pieces = [CONNECT[:1], *[b" "] * 62, CONNECT[1:]]
        for index, piece in enumerate(pieces):
            await client.socket.send_frame(CONTINUATION if index else TEXT, piece, fin=index == len(pieces) - 1)
        assert (await client.result(1, "connect"))["client"]


async def test_a11_a_reader_that_stops_is_closed_and_costs_little(server: Server) -> None:
    """It is told 3008, everybody else goes on, and with its position it gets what it missed."""
    socket = await RawWebSocket.connect(server.port, receive_buffer=4_096)
    async with socket, await WireClient.connected(server.port) as sender:
        await socket.send_text('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"memory:slow"}}')
        await sender.subscribe("memory:slow")
        memory = server.memory
        for number in range(400):
            await sender.publish("memory:slow", [number, "x" * 10_000])
        received = await sender.publications("memory:slow", 400)
        assert [publication["offset"] for publication in received] == list(range(1, 401))
        # The history holds 4 MB of it; the stalled reader's share is its bounded outbox and the kernel's buffers.
        assert server.memory - memory < 4_000_000 + 6 * 2**20
        assert (await _numbers_until_close(socket)) == 3008
    async with await WireClient.connected(server.port) as client:
        epoch = (await client.call("history", channel="memory:slow"))["epoch"]
        result = await client.subscribe("memory:slow", recover=True, epoch=epoch, offset=340)
        missed = [publication["offset"] for publication in result["publications"]]
        assert (result["recovered"], missed) == (True, list(range(341, 401)))


@pytest.mark.smoke
@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a12_a_flood_of_control_frames_is_ended(server: Server, path: str, opcode: int) -> None:
    assert await close_code(server, path, encode_frame(opcode, b"x") * 5_000) == 1008


@pytest.mark.smoke
async def test_a12_a_peer_that_never_answers_a_close_is_reset(server: Server, path: str) -> None:
    async with asyncio.timeout(10), await RawWebSocket.connect(server.port, path) as socket:
        await socket.send_text("not a command")
        assert (await socket.read_close()).close_code == 3501
        await socket.read_eof()


async def _flood(socket: RawWebSocket, data: bytes) -> None:
    try:
        await socket.send_bytes(data)
    except ConnectionError:
        return


async def _numbers_until_close(socket: RawWebSocket) -> int:
    async with asyncio.timeout(10):
        return (await socket.read_close()).close_code
