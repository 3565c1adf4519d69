"""The JSON codec: frames in, commands out, and the exact text of replies and pushes."""

import contextlib
import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo, Publication
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.codec_json import JsonCodec, UniJsonCodec
from hotclub.engine.protocol.malformed import Malformed, malformed_json

CODEC = JsonCodec()
LIMITS = Limits()


def decode(frame: bytes, limits: Limits = LIMITS) -> list[Any]:
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
        b'{"subscribe":[]}',
        b'{"id":0,"publish":{"data":"\\ud83d"}}',
        b'{"id":"1","send":{"data":"\\ud83d"}}',
        b'{"x":' + b"[" * 100_000,
        b'{"id":1,"x":' + b"[" * 100_000,
        b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"rpc":5}',
        b'{"rpc":{"id":7,"method":5}}',
        b'{"id":1,"rpc":5}{"id":2,"rpc":5}',
        b'{"id":1,"rpc":5} {"id":2,"rpc":5}',
        b'{"id":1,"rpc":"',
        b'{"id":1,"rpc":5}}',
        b'{"id":1.5,"rpc":5}',
        b'{"x":5,"id":1.5,"rpc":5}',
    ],
)
def test_what_is_not_a_command_ends_the_connection(frame: bytes) -> None:
    with pytest.raises(Disconnect) as end:
        decode(frame)
    assert end.value.code == 3501


DEEP = b"[" * 20_000 + b"]" * 20_000


@pytest.mark.parametrize(
    "frame",
    [
        b'{"id":7,"subscribe":{"channel":"\\ud800"}}',
        b'{"subscribe":{"channel":"\\ud800","data":{"id":8}},"id":7}',
        b'{"id":7,"publish":{"channel":"c","data":"\\ud83d"}}',
        b'{"id":7,"publish":{"channel":"c","data":{"\\ud83d":1}}}',
        b'{"id":7,"publish":{"channel":"c","data":"a\tb"}}',
        b'{"id":7,"subscribe":{"channel":"\xff"}}',
        b'{"id":7,"publish":{"channel":"c","data":NaN}}',
        b'{"id":7,"publish":{"channel":"c","data":[1,-Infinity]}}',
        b'{"id":7,"subscribe":{"channel":"c","offset":9007199254740993}}',
        b'{"id":7,"subscribe":{"channel":"c","offset":' + b"9" * 5_000 + b"}}",
        b'{"id":7,"subscribe":[]}',
        b'{"id":7,"rpc":5}',
        b'{"id":7,"subscribe":{"channel":7}}',
        b'{"id":7,"sub_refresh":{"untrack":[null]}}',
        b'{"id":7,"publish":{"channel":"c","data":' + DEEP + b"}}",
        b'{"publish":{"channel":"c","data":' + DEEP + b'},"id":7}',
        b'{"id":7,"publish":{"channel":"]]}","data":' + DEEP + b"}}",
        b' { "publish" : {"channel":"\\"}{","data":NaN, "id": 9} , "id" : 7 } ',
        b'{"publish":{"channel":"c","data":{"id":9,"x":NaN}},"id":7,"later":{"id":8}}',
        b'{"id":7,"publish":{"channel":"connect","data":[' + b'{"connect":{}},' * 4_000 + b"NaN]}}",
    ],
)
def test_a_command_with_a_bad_value_is_known_by_its_id(frame: bytes) -> None:
    first, (refused,), last = (decode(part) for part in (b'{"id":1,"ping":{}}', frame, b'{"id":2,"ping":{}}'))
    assert (type(refused), refused.id) == (Malformed, 7)
    assert [*first, refused, *last] == decode(b'{"id":1,"ping":{}}\n' + frame + b'\n{"id":2,"ping":{}}')


def test_a_bad_value_in_a_message_without_a_reply_is_dropped() -> None:
    (refused,) = decode(b'{"send":{"data":"\\ud83d"}}')
    assert (type(refused), refused.id) == (Malformed, 0)


def test_a_hostile_line_costs_about_as_much_as_a_good_one() -> None:
    """Its id is found without a conversion of its values."""
    good = b'{"id":7,"publish":{"channel":"c","data":[' + b"1," * 32_000 + b"1]}}"
    lines = [b"[" * 32_000 + b"]" * 32_000, b"[" + b'{"a":1},' * 8_000 + b"NaN]", b"[" + b"1," * 32_000 + b"NaN]"]
    lines += [b'"' + b"\\" * 60_000 + b'",NaN', b"9" * 64_000 + b"x", b"[" + b'"",' * 20_000 + b"NaN]"]

    def cost(line: bytes) -> float:
        begin = process_time()
        for _ in range(20):
            decode(line)
        return process_time() - begin

    whole = cost(good)
    for data in lines:
        assert cost(b'{"id":7,"publish":{"channel":"c","data":' + data + b"}}") < 50 * whole + 0.5
    for data in (b'\\"' * 30_000, b"} " * 30_000, b" " * 60_000 + b"x", b'"' * 60_000, b"\\" * 60_000):
        begin = process_time()
        malformed_json(b'{"x":' + data + b"}", "")
        malformed_json(b'{"id":7,"x":' + data + b"}", "")
        assert process_time() - begin < 0.5


def test_a_malformed_connect_command_is_known_as_one() -> None:
    frames = (b'{"id":1,"connect":{"data":"\\ud83d"}}', b'{"id":1,"connect":{"data":' + DEEP + b"}}")
    for frame, connects in zip((*frames, b'{"id":1,"rpc":5}'), (True, True, False), strict=True):
        (refused,) = decode(frame)
        assert isinstance(refused, Malformed)
        assert refused.connects is connects


def test_a_field_that_is_null_is_one_that_is_not_there() -> None:
    """As in every JSON form of protobuf; what is inside a payload is nobody's business, and stays to the byte."""
    (command,) = decode(
        b' {"id":3,"publish":null,"subscribe":{"channel":"c","token":null,"recover":true,"offset":null,"tf":null,'
        b'"data": {"a":null, "b": [ null ]}}}'
    )
    assert command == wire.Command(
        id=3, subscribe=wire.SubscribeCommand(channel="c", recover=True, data=Raw(b'{"a":null, "b": [ null ]}'))
    )
    (command,) = decode(b'{"id":1,"connect":{"token":null,"data":null,"subs":{"c":{"recover":true,"epoch":null}}}}')
    position = wire.SubscribeCommand(recover=True)
    assert command.connect == wire.ConnectCommand(data=Raw(b"null"), subs={"c": position})
    (command,) = decode(b'{"id":1,"sub_refresh":{"track":[{"signature":"s","items":[{"key":"k","version":null}]}]}}')
    batch = wire.TrackBatch("s", (wire.KeyedItem("k"),))
    assert command.sub_refresh == wire.SubRefreshCommand(track=(batch,))
    assert UniJsonCodec().decode_connect(b'{"token":null}') == wire.ConnectCommand()


def test_null_in_the_place_of_anything_else_is_malformed() -> None:
    with pytest.raises(Disconnect):
        decode(b'{"id":"null","rpc":{"method":null}}')


def test_looking_for_nulls_is_bounded() -> None:
    deep = b'{"op":null,"nodes":[' * 3_000 + b"]}" * 3_000
    (refused,) = decode(b'{"id":1,"subscribe":{"tf":' + deep + b"}}")
    assert isinstance(refused, Malformed)


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


def test_a_number_stands_for_the_channel() -> None:
    publication = Publication(data=Raw(b"1"), offset=6)
    assert CODEC.encode_publication("ch", publication, 3) == b'{"push":{"id":3,"pub":{"data":1,"offset":6}}}'


def test_a_push_without_a_channel_names_none() -> None:
    pushes = {
        b'{"push":{"message":{"data":1}}}': wire.Push(message=wire.MessagePush(Raw(b"1"))),
        b'{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}': wire.Push(
            disconnect=wire.DisconnectPush(3001, "shutdown")
        ),
        b'{"push":{"refresh":{"expires":true,"ttl":60}}}': wire.Push(refresh=wire.RefreshPush(expires=True, ttl=60)),
        b'{"push":{"channel":"ch","subscribe":{}}}': wire.Push("ch", subscribe=wire.SubscribePush()),
    }
    assert [CODEC.encode_push(push) for push in pushes.values()] == list(pushes)


def test_whole_data_and_patches_are_sent_as_text() -> None:
    whole = Publication(data=Raw('{"a":"é\\n"}'.encode()), offset=6)
    sent = CODEC.delta_publication(whole, None)
    assert (sent.delta, json.loads(bytes(sent.data))) == (False, '{"a":"é\\n"}')
    patched = CODEC.delta_publication(whole, '3\n3:"é'.encode())
    assert (patched.delta, json.loads(bytes(patched.data)), patched.offset) == (True, '3\n3:"é', 6)


def test_a_patch_that_is_no_text_is_replaced_by_the_whole() -> None:
    whole = Publication(data=Raw(b"[1]"))
    assert CODEC.delta_publication(whole, b"\xc3") == Publication(data=Raw(b'"[1]"'))


def test_an_emulation_request_carries_a_frame() -> None:
    body = json.dumps({"session": "s", "node": "n", "data": '{"id":1}\n{}', "later": 1}).encode()
    assert CODEC.decode_emulation(body) == wire.Emulation("s", "n", b'{"id":1}\n{}')
    for broken in (b"", b"[]", b'{"session":1}', b'{"data":{}}', b'{"data":"\\ud800"}'):
        with pytest.raises(Disconnect) as end:
            CODEC.decode_emulation(broken)
        assert end.value.code == 3501


def test_lists_and_maps_are_bounded() -> None:
    vals = ["v"] * wire.MAX_ITEMS
    command = {"id": 1, "subscribe": {"channel": "c", "tf": {"key": "k", "cmp": "in", "vals": vals}}}
    assert len(decode(json.dumps(command).encode())) == 1
    vals.append("v")
    (refused,) = decode(json.dumps(command).encode())
    assert isinstance(refused, Malformed)


def test_unidirectional_clients_ask_and_are_told_without_envelopes() -> None:
    codec = UniJsonCodec()
    request = codec.decode_connect(b'{"name":"sse","subs":{"ch":{"recover":true,"offset":4,"epoch":"e"}}}')
    assert request.subs == {"ch": wire.SubscribeCommand(recover=True, offset=4, epoch="e")}
    with pytest.raises(Disconnect):
        codec.decode_connect(b"[]")
    result = wire.ConnectResult("c1", "1", session="s")
    assert codec.encode_reply(wire.Reply(0, connect=result)) == (
        b'{"connect":{"client":"c1","version":"1","session":"s"}}'
    )
    assert codec.encode_push(wire.Push("ch", unsubscribe=wire.UnsubscribePush(2000, "server unsubscribe"))) == (
        b'{"channel":"ch","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}'
    )
    assert codec.encode_publication("ch", Publication(data=Raw(b"1"))) == b'{"channel":"ch","pub":{"data":1}}'
