"""The JSON codec: frames in, commands out, and the exact text of replies and pushes."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo, Publication
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.codec_json import JsonCodec

CODEC = JsonCodec()
LIMITS = Limits()


def decode(frame: bytes, limits: Limits = LIMITS) -> list[wire.Command]:
    return list(CODEC.decode(frame, limits))


def test_a_frame_of_connect_and_subscribes_is_read_in_order() -> None:
    frame = b'{"connect":{"name":"js"},"id":1}\n{"subscribe":{"channel":"ch","flag":1},"id":2}\n'
    first, second = decode(frame)
    assert (first.id, first.connect) == (1, wire.ConnectCommand(name="js"))
    assert (second.id, second.subscribe) == (2, wire.SubscribeCommand(channel="ch", flag=1))


def test_an_empty_object_is_a_pong_and_unknown_keys_are_ignored() -> None:
    assert decode(b"{}") == [wire.Command()]
    assert decode(b'{"id":7,"later":{"x":[1]},"rpc":{"method":"m","extra":null}}')[0].rpc == wire.RpcCommand("m")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\n",
        b"{}\n\n{}",
        b"{}\n\n",
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"{",
        b"\xff",
        b'{"id":"1"}',
        b'{"id":-1}',
        b'{"id":1.5}',
        b'{"id":4294967296}',
        b'{"id":18446744073709551616}',
        b'{"id":1,"subscribe":{"channel":"\\ud800"}}',
        b'{"id":1,"subscribe":{"channel":"c","offset":9007199254740993}}',
        b'{"id":1,"subscribe":[]}',
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_what_is_not_a_command_ends_the_connection(frame: bytes) -> None:
    with pytest.raises(Disconnect) as end:
        decode(frame)
    assert end.value.code == 3501


def test_a_batch_is_cut_off_while_it_is_split() -> None:
    limits = Limits(commands_per_frame=3)
    assert len(decode(b"{}\n{}\n{}", limits)) == 3
    commands = iter(CODEC.decode(b"{}\n" * 8_000_000, limits))
    assert [next(commands) for _ in range(3)] == [wire.Command()] * 3
    with pytest.raises(Disconnect):
        next(commands)


@given(st.binary(max_size=200))
def test_no_bytes_escape_as_another_error(frame: bytes) -> None:
    with contextlib.suppress(Disconnect):
        decode(frame)


def test_a_result_is_sent_even_when_it_is_empty() -> None:
    assert CODEC.encode_reply(wire.Reply(3, subscribe=wire.SubscribeResult())) == b'{"id":3,"subscribe":{}}'
    assert CODEC.encode_reply(wire.Reply(4, publish=wire.EmptyResult())) == b'{"id":4,"publish":{}}'
    assert json.loads(CODEC.encode_reply(wire.Reply(5, history=wire.HistoryResult((), "", 0)))) == {
        "id": 5,
        "history": {"publications": [], "epoch": "", "offset": 0},
    }
    assert json.loads(CODEC.encode_reply(wire.Reply(6, presence=wire.PresenceResult({"c": ClientInfo("", "c")})))) == {
        "id": 6,
        "presence": {"presence": {"c": {"user": "", "client": "c"}}},
    }


def test_an_error_always_has_a_message() -> None:
    error = wire.ErrorResult(100, "internal server error", temporary=True)
    assert json.loads(CODEC.encode_reply(wire.Reply(1, error=error))) == {
        "id": 1,
        "error": {"code": 100, "message": "internal server error", "temporary": True},
    }


def test_a_publication_carries_its_payload_verbatim() -> None:
    publication = Publication(data=Raw(b'{"b":1.10,"a":2}'), offset=6, info=ClientInfo("7", "c1"))
    assert CODEC.encode_publication("ch", publication) == (
        b'{"push":{"channel":"ch","pub":{"data":{"b":1.10,"a":2},"info":{"user":"7","client":"c1"},"offset":6}}}'
    )


def test_an_unsubscribe_push_has_code_and_reason() -> None:
    push = wire.Push("ch", unsubscribe=wire.UnsubscribePush(2500, "insufficient state"))
    assert json.loads(CODEC.encode_push(push)) == {
        "push": {"channel": "ch", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}
    }
