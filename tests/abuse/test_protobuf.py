"""reliability.md §4 B1–B15 where they are about protobuf: bytes that are no command, or mean no good."""

import json

import pytest

from tests.abuse.conftest import runs_on, subscriber
from tests.support.binary import delimited, publish, varint
from tests.support.emulated import PROTOBUF_CLIENTS, HttpStreamClient
from tests.support.listener import Response
from tests.support.processes import Server
from tests.support.rawws import TEXT
from tests.support.wire import WireClient

BAD_REQUEST = 107
ID, SUBSCRIBE, PUBLISH, RPC = 1, 5, 7, 13
"""Fields of a command."""
CHANNEL, DATA, EPOCH, OFFSET, FILTER = 1, 2, 6, 7, 13
"""Fields of a request."""

everywhere = runs_on(PROTOBUF_CLIENTS)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def text(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + delimited(value)


def command(*fields: bytes, number_of_command: int = 9) -> bytes:
    return delimited(number(ID, number_of_command) + b"".join(fields))


WHOLE = command(text(RPC, text(2, b"nothing")))


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"hello", id="text"),
        pytest.param(b'{"id":2,"rpc":{"method":"x"}}', id="JSON"),
        pytest.param(b"\xff" * 100, id="a length without an end"),
        pytest.param(b"\x05\x08", id="cut off"),
        pytest.param(varint(2**32 - 1) + b"\x08\x09", id="four gigabytes announced"),
        pytest.param(varint(2**63 - 1) + b"\x08\x09", id="eight exabytes announced"),
        pytest.param(WHOLE + b"\x05\x08", id="trailing bytes"),
        pytest.param(delimited(b"\x00"), id="field 0"),
        pytest.param(delimited(b"\x0e"), id="an unknown wire type"),
        pytest.param(delimited(b"\x0c"), id="a group that nobody opened"),
        pytest.param(delimited(b"\x0b" * 10_000), id="groups in groups"),
        pytest.param(delimited(b"\x08" + b"\xff" * 11), id="an integer without an end"),
        pytest.param(command(varint(RPC << 3 | 2) + b"\x7f"), id="a field that is longer than its message"),
    ],
)
async def test_b1_what_is_no_command_is_a_bad_request(server: Server, frame: bytes) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.send_message(frame)
        assert (await client.ended()).code == 3501


@pytest.mark.smoke
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(command(text(RPC, b"\xff\xff")), id="a request that is none"),
        pytest.param(command(text(SUBSCRIBE, text(CHANNEL, b"\xed\xa0\x80"))), id="a surrogate as a channel"),
        pytest.param(command(text(RPC, text(2, b"\xc0\xaf"))), id="overlong UTF-8 as a method"),
    ],
)
async def test_b5_a_command_with_a_bad_value_is_refused_alone(server: Server, frame: bytes) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.send_message(frame)
        assert await client.fate(9) == BAD_REQUEST
        assert await client.subscribe("memory:b5-alone") is not None


@pytest.mark.smoke
async def test_b1_nothing_is_no_message(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.send_message(b"")
        if isinstance(client, HttpStreamClient):
            assert client.emulated.statuses == [400]
        else:
            assert (await client.ended()).code == 3501


@pytest.mark.parametrize("levels", [50, 90, 5_000])
async def test_b2_depth_is_refused_quickly(server: Server, levels: int) -> None:
    """The filter of a subscription is the one message that may hold itself."""
    nested = b""
    for _ in range(levels):
        nested = text(6, nested)
    async with await WireClient.connected(server.port) as client:
        with server.works_less_than(0.5):
            await client.send_message(command(text(SUBSCRIBE, text(CHANNEL, b"memory:b2") + text(FILTER, nested))))
            assert await client.fate(9) in (BAD_REQUEST, 3501)


async def test_b2_a_wide_filter_is_refused_quickly(server: Server) -> None:
    nodes = text(6, b"") * 30_000
    async with await WireClient.connected(server.port) as client:
        with server.works_less_than(0.5):
            await client.send_message(command(text(SUBSCRIBE, text(CHANNEL, b"memory:b2") + text(FILTER, nodes))))
            assert await client.fate(9) == BAD_REQUEST


@pytest.mark.parametrize("offset", [2**53 + 1, 2**63, 2**64 - 1])
async def test_b4_an_offset_that_is_none_never_reaches_a_channel(server: Server, offset: int) -> None:
    async with await WireClient.connected(server.port) as client:
        request = text(CHANNEL, b"memory:b4") + number(3, 1) + number(OFFSET, offset)
        await client.send_message(command(text(SUBSCRIBE, request)))
        assert await client.fate(9) == BAD_REQUEST


async def test_b6_a_doubled_field_has_one_meaning_for_everybody(server: Server) -> None:
    """Authorisation and delivery read the same channel: nobody gets what was meant for another."""
    async with (
        await subscriber(WireClient, server, "memory:b6-a") as client,
        await subscriber(WireClient, server, "memory:b6-b") as other,
    ):
        twice = text(CHANNEL, b"memory:b6-b") + text(DATA, b"1") + text(CHANNEL, b"memory:b6-a") + text(DATA, b"2")
        await client.send_message(command(text(PUBLISH, twice)))
        assert await client.fate(9) == 0
        await other.settled()
        assert other.received("memory:b6-b") == []
        assert [publication["data"] for publication in client.received("memory:b6-a")] == [2]


async def test_b6_two_requests_in_one_command_are_one(server: Server) -> None:
    async with await subscriber(WireClient, server, "memory:b6-one") as client:
        subscribe = text(SUBSCRIBE, text(CHANNEL, b"memory:b6-two"))
        await client.send_message(command(text(PUBLISH, text(CHANNEL, b"memory:b6-one") + text(DATA, b"1")), subscribe))
        await client.answer(9)
        await client.settled()
        assert client.received("memory:b6-one") == []


async def test_b8_what_makes_no_sense_changes_nothing(server: Server) -> None:
    request = text(PUBLISH, text(CHANNEL, b"memory:b8") + text(DATA, b"1"))
    frames = [
        command(text(100, b"an unknown method")),
        command(),
        delimited(request),
        command(number(PUBLISH, 1)),
        command(text(2, b"an error"), text(3, b"a result")),
        command(text(PUBLISH, number(CHANNEL, 7) + text(DATA, b"1"))),
    ]
    async with await subscriber(WireClient, server, "memory:b8") as witness:
        for frame in frames:
            async with await subscriber(WireClient, server, "memory:b8") as client:
                await client.send_message(frame)
                assert await client.fate(9) in (BAD_REQUEST, 3501), frame
        await witness.settled()
        assert witness.received("memory:b8") == []


@pytest.mark.smoke
@pytest.mark.parametrize("frame", [b"\x00" * 10_000, WHOLE * 1_000], ids=["pongs", "commands"])
async def test_b9_more_commands_than_a_frame_may_hold_are_refused(server: Server, frame: bytes) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.send_message(frame)
        assert (await client.ended()).code == 3501


async def test_b15_text_is_no_message(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        if isinstance(client, HttpStreamClient):
            # JSON that carries JSON, for a connection that speaks protobuf.
            identity = await client.emulated.identity()
            body = json.dumps({**identity, "data": '{"id":9,"rpc":{"method":"x"}}'}).encode()
            headers = {"content-type": "application/json"}
            async with await Response.open(server.port, "/emulation", body=body, headers=headers) as answer:
                assert answer.status == 204
        else:
            await client.socket.send_frame(TEXT, publish(9, "memory:b15", b"1"))
        assert (await client.ended()).code == 3501
