"""The binary codec: the same messages as the JSON codec's, in the schema that the SDKs were compiled from."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from centrifuge.protocol import client_pb2 as sdk
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, inspect

from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo, Publication
from hotclub.engine.protocol import codec_protobuf
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.codec_json import JsonCodec
from hotclub.engine.protocol.codec_protobuf import ProtobufCodec
from hotclub.engine.protocol.malformed import Malformed
from scripts.schema import SOURCE, compile_schema
from tests.engine.generated import envelopes, holds_struct, messages
from tests.support.npm import node_command

ROOT = Path(__file__).parents[3]
CODEC = ProtobufCodec()
JSON = JsonCodec()
LIMITS = Limits()
PAYLOADS = {"data", "conn_info", "chan_info"}


def decode(frame: bytes, limits: Limits = LIMITS) -> list[Any]:
    return list(CODEC.decode(frame, limits))


def delimited(message: Any) -> bytes:
    """A message after its length, by arithmetic of our own."""
    text: bytes = message.SerializeToString()
    length, prefix = len(text), []
    while length > 127:
        prefix.append(length % 128 + 128)
        length //= 128
    return bytes([*prefix, length]) + text


def encoded(command: wire.Command) -> bytes:
    """A command as a client of the whole schema would send it."""
    message = CODEC._command()
    codec_protobuf._write(command, message)
    return delimited(message)


def undelimited(frame: bytes) -> bytes:
    """The one message of a frame."""
    end = next(at for at, byte in enumerate(frame) if byte < 128) + 1
    assert sum((byte & 127) << 7 * at for at, byte in enumerate(frame[:end])) == len(frame) - end
    return frame[end:]


def plain(value: Any) -> Any:
    """A message, or a part of one, as the JSON form has it; bytes are payloads."""
    if isinstance(value, bytes):
        return json.loads(value)
    if hasattr(value, "ListFields"):
        return {field.name: plain(part) for field, part in value.ListFields()}
    if hasattr(value, "items"):
        return {key: plain(part) for key, part in value.items()}
    return value if isinstance(value, str | int | bool) else [plain(part) for part in value]


def without_zeros(value: Any) -> Any:
    """Without what protobuf leaves out: zeros, empty text and empty lists. Payloads stay."""
    if isinstance(value, list):
        return [without_zeros(part) for part in value]
    if not isinstance(value, dict):
        return value
    parts = {key: part if key in PAYLOADS else without_zeros(part) for key, part in value.items()}
    if set(parts) == {"low", "high", "unsigned"}:
        return parts["low"]  # what the npm SDK has for a 64-bit number
    return {key: part for key, part in parts.items() if key in PAYLOADS or part not in (0, "", [], {})}


def test_the_compiled_schema_is_that_of_the_source() -> None:
    source = ROOT / SOURCE
    assert compile_schema(source) == source.with_suffix(".binpb").read_bytes(), "run python scripts/schema.py"


def test_the_schema_has_every_field_of_the_sdk_with_its_number_and_type() -> None:
    pool = codec_protobuf._pool()
    for name, theirs in sdk.DESCRIPTOR.message_types_by_name.items():
        ours = pool.FindMessageTypeByName(f"hotclub.protocol.{name}").fields_by_name
        for field in theirs.fields:
            if (name, field.name) == ("Disconnect", "reconnect"):
                continue  # of an older protocol; reserved in ours
            mine = ours[field.name]
            same = ("number", "type", "is_repeated", "has_presence")
            assert [getattr(mine, part) for part in same] == [getattr(field, part) for part in same], (name, field.name)


def test_every_struct_has_exactly_the_fields_of_its_message() -> None:
    pool = codec_protobuf._pool()
    for name, kind in codec_protobuf._KINDS.items():
        fields = pool.FindMessageTypeByName(f"hotclub.protocol.{name}").fields_by_name
        assert set(fields) == set(kind.__struct_fields__), name


def test_a_frame_of_the_sdk_is_read_in_order() -> None:
    connect = sdk.Command(id=1, connect=sdk.ConnectRequest(name="python", data=b"\x00\xff"))
    subscribe = sdk.Command(id=2, subscribe=sdk.SubscribeRequest(channel="é", flag=1, tf={"key": "k", "cmp": "ex"}))
    history = sdk.Command(id=3, history=sdk.HistoryRequest(channel="c", limit=-1))
    first, second, third = decode(b"".join(map(delimited, (connect, subscribe, history))))
    assert first == wire.Command(1, connect=wire.ConnectCommand(name="python", data=Raw(b"\x00\xff")))
    tf = wire.FilterNode(key="k", cmp="ex")
    assert second == wire.Command(2, subscribe=wire.SubscribeCommand(channel="é", flag=1, tf=tf))
    assert third == wire.Command(3, history=wire.HistoryCommand("c", -1))


def test_an_empty_message_is_a_pong_and_unknown_fields_are_ignored() -> None:
    assert decode(b"\x00\x00") == [wire.Command(), wire.Command()]
    unknown = b"\x98\x06\x01"  # field 99, the number 1
    assert decode(bytes([2 + len(unknown)]) + b"\x08\x07" + unknown) == [wire.Command(id=7)]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01",
        b"\x80",
        b"\xff\xff\xff\xff\x0f",
        b"\x80\x80\x80\x80\x80\x00",
        b"\x00\x05\x08",
        b"\x02\x08",
        b"\x02\xff\xff",
        b"\x05\x2a\x03\x0a\x01\xff",  # text that is not UTF-8
        b'{"id":1}',
        b"\x05\x08\x01\x2a\x05\x0a",  # an id, and a field that is longer than its message
        b"\x03\x08\x01\x2b",  # an id, and a group
        b"\x85\x01" + b"\x08\x01" * 64 + b"\x2a\x03\x0a\x01\xff",  # more fields than are looked through
    ],
)
def test_what_is_not_a_command_ends_the_connection(frame: bytes) -> None:
    with pytest.raises(Disconnect) as end:
        decode(frame)
    assert end.value.code == 3501


NOT_TEXT = b"\x0a\x01\xff"


@pytest.mark.parametrize(
    ("frame", "connects"),
    [
        (b"\x07\x08\x07\x2a\x03" + NOT_TEXT, False),
        (b"\x07\x2a\x03" + NOT_TEXT + b"\x08\x07", False),
        (b"\x07\x08\x07\x22\x03" + NOT_TEXT, True),
        (b"\x10\x08\x07\x98\x06\x01\x95\x06\x01\x02\x03\x04\x3a\x03" + NOT_TEXT, False),
        (delimited(sdk.Command(id=7, subscribe=sdk.SubscribeRequest(offset=2**53 + 1))), False),
        (
            encoded(
                wire.Command(7, connect=wire.ConnectCommand(headers={str(n): "" for n in range(wire.MAX_ITEMS + 1)}))
            ),
            True,
        ),
    ],
)
def test_a_command_with_a_bad_value_is_known_by_its_id(frame: bytes, connects: bool) -> None:
    """Text that is not UTF-8, a number that is too large, and too many parts."""
    before, refused, after = decode(b"\x02\x08\x01" + frame + b"\x02\x08\x02")
    assert (before.id, after.id) == (1, 2)
    assert isinstance(refused, Malformed)
    assert (refused.id, refused.connects) == (7, connects)


def test_a_nested_filter_costs_no_stack() -> None:
    node = b""
    for _ in range(5_000):
        node = b"\x32" + _varint(len(node)) + node
    body = b"\x6a" + _varint(len(node)) + node
    message = b"\x08\x01\x2a" + _varint(len(body)) + body
    (refused,) = decode(_varint(len(message)) + message)
    assert isinstance(refused, Malformed)


def test_many_small_parts_are_not_converted() -> None:
    batch = wire.TrackBatch(items=(wire.KeyedItem(),) * wire.MAX_ITEMS)
    frame = encoded(wire.Command(1, sub_refresh=wire.SubRefreshCommand("c", track=(batch,) * 5)))
    (refused,) = decode(frame)
    assert isinstance(refused, Malformed)


def _varint(value: int) -> bytes:
    digits = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([digit | 128 for digit in digits[:-1]] + digits[-1:])


def test_a_batch_is_cut_off_while_it_is_split() -> None:
    limits = Limits(commands_per_frame=3)
    assert len(decode(b"\x00" * 3, limits)) == 3
    commands: Iterator[Any] = iter(CODEC.decode(b"\x00" * 8_000_000, limits))
    assert [next(commands) for _ in range(3)] == [wire.Command()] * 3
    with pytest.raises(Disconnect):
        next(commands)


@given(st.binary(max_size=200))
def test_no_bytes_escape_as_another_error(frame: bytes) -> None:
    with contextlib.suppress(Disconnect):
        decode(frame)
    with contextlib.suppress(Disconnect):
        CODEC.decode_emulation(frame)


@settings(deadline=None)
@given(envelopes(wire.Command), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=4))
def test_no_damaged_command_escapes_as_another_error(command: wire.Command, damage: list[tuple[int, int]]) -> None:
    for frame in (encoded(command), msgspec.json.encode(command)):
        broken = bytearray(frame)
        for at, byte in damage:
            broken[at % len(broken)] = byte
        for codec in (CODEC, JSON):
            with contextlib.suppress(Disconnect):
                list(codec.decode(bytes(broken), LIMITS))


@settings(max_examples=300, deadline=None)
@given(envelopes(wire.Command))
def test_both_codecs_read_the_same_command(command: wire.Command) -> None:
    (read,) = decode(encoded(command))
    assert [read] == list(JSON.decode(msgspec.json.encode(command), LIMITS))
    assert read == command


@settings(max_examples=300, deadline=None)
@given(envelopes(wire.Reply))
def test_both_codecs_write_the_same_reply(reply: wire.Reply) -> None:
    message = CODEC._reply.FromString(undelimited(CODEC.encode_reply(reply)))
    assert without_zeros(plain(message)) == without_zeros(json.loads(JSON.encode_reply(reply)))


@settings(max_examples=300, deadline=None)
@given(envelopes(wire.Push))
def test_both_codecs_write_the_same_push(push: wire.Push) -> None:
    message = CODEC._reply.FromString(undelimited(CODEC.encode_push(push)))
    assert without_zeros(plain(message)) == without_zeros(json.loads(JSON.encode_push(push)))


@settings(deadline=None)
@given(st.text(max_size=5), messages(Publication), st.integers(0, 2**53))
def test_a_publication_is_the_push_of_it(channel: str, publication: Publication, number: int) -> None:
    push = wire.Push("" if number else channel, id=number, pub=publication)
    assert CODEC.encode_publication(channel, publication, number) == CODEC.encode_push(push)


def test_a_result_is_sent_even_when_it_is_empty() -> None:
    for name in ("subscribe", "unsubscribe", "publish", "refresh", "sub_refresh", "rpc", "presence"):
        kind = {"subscribe": wire.SubscribeResult, "refresh": wire.RefreshResult, "rpc": wire.RpcResult}.get(name)
        result: Any = wire.PresenceResult({}) if name == "presence" else (kind or wire.EmptyResult)()
        reply = sdk.Reply.FromString(undelimited(CODEC.encode_reply(wire.Reply(3, **{name: result}))))
        assert reply.id == 3
        assert reply.HasField(name)


def test_the_sdk_reads_a_publication_of_any_bytes() -> None:
    publication = Publication(
        data=Raw(b"\x00\xff"), info=ClientInfo("7", "c1", Raw(b"{}")), offset=6, tags={"a": "b"}, binary=True
    )
    push = sdk.Reply.FromString(undelimited(CODEC.encode_publication("ch", publication))).push
    info = sdk.ClientInfo(user="7", client="c1", conn_info=b"{}")
    assert push == sdk.Push(channel="ch", pub=sdk.Publication(data=b"\x00\xff", info=info, offset=6, tags={"a": "b"}))


def test_a_long_message_has_a_long_length() -> None:
    frame = CODEC.encode_publication("ch", Publication(data=Raw(b"x" * 70_000)))
    assert sdk.Reply.FromString(undelimited(frame)).push.pub.data == b"x" * 70_000


def test_an_emulation_request_of_the_sdk_carries_a_frame() -> None:
    body = sdk.EmulationRequest(node="n", session="s", data=b"\x00").SerializeToString()
    assert CODEC.decode_emulation(body) == wire.Emulation("s", "n", b"\x00")
    with pytest.raises(Disconnect):
        CODEC.decode_emulation(b"\xff")


def test_differences_are_bytes() -> None:
    whole = Publication(data=Raw(b"text"), offset=4)
    assert CODEC.delta_publication(whole, None) == whole
    assert CODEC.delta_publication(whole, b"\xff") == Publication(data=Raw(b"\xff"), offset=4, delta=True)


def test_the_ping_is_an_empty_reply() -> None:
    assert undelimited(CODEC.ping) == sdk.Reply().SerializeToString()


def everything(kind: type[msgspec.Struct]) -> Any:
    """A struct with no field at its default, three levels deep."""
    return msgspec.convert(_example(inspect.type_info(kind), 3), kind)


def _example(kind: Any, depth: int) -> Any:
    if isinstance(kind, inspect.StructType):
        fields = [field for field in kind.fields if field.name != "binary" and (depth or not holds_struct(field.type))]
        return {field.name: _example(field.type, depth - 1) for field in fields}
    if isinstance(kind, inspect.VarTupleType):
        return [_example(kind.item_type, depth)]
    if isinstance(kind, inspect.DictType):
        return {"k": _example(kind.value_type, depth)}
    if isinstance(kind, inspect.UnionType):
        return _example(next(part for part in kind.types if isinstance(part, inspect.StructType)), depth)
    return SIMPLE[type(kind)]


SIMPLE: dict[type, Any] = {
    inspect.BoolType: True,
    inspect.StrType: "é",
    inspect.IntType: 300,
    inspect.RawType: Raw(b"[1]"),
}

JAVASCRIPT = """
const { Centrifuge } = require('centrifuge/build/protobuf');
const codec = new Centrifuge('ws://localhost/')._codec;
const [reply, push, command] = JSON.parse(require('fs').readFileSync(0));
const bytes = (key, value) => (key === 'data' ? Buffer.from(JSON.stringify(value)) : value);
const read = (hex) => codec.decodeReplies(Buffer.from(hex, 'hex'))[0];
Uint8Array.prototype.toJSON = function () { return JSON.parse(Buffer.from(this).toString()); };
Buffer.prototype.toJSON = Uint8Array.prototype.toJSON;
const sent = Buffer.from(codec.encodeCommands([JSON.parse(command, bytes)])).toString('hex');
console.log(JSON.stringify([read(reply), read(push), sent]));
"""


def test_the_npm_sdk_reads_and_writes_every_field() -> None:
    reply, push, command = everything(wire.Reply), everything(wire.Push), everything(wire.Command)
    question = [
        CODEC.encode_reply(reply).hex(),
        CODEC.encode_push(push).hex(),
        msgspec.json.encode(command).decode(),
    ]
    done = subprocess.run(
        [*node_command(), "-e", JAVASCRIPT],
        input=json.dumps(question),
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
        timeout=60,
    )
    read_reply, read_push, sent = json.loads(done.stdout)
    assert without_zeros(read_reply) == without_zeros(json.loads(JSON.encode_reply(reply)))
    assert without_zeros(read_push) == without_zeros(json.loads(JSON.encode_push(push)))
    assert decode(bytes.fromhex(sent)) == [command]
