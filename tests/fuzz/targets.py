"""What is fuzzed: every place where bytes of a stranger are read for the first time.

A target takes an input and returns what it made of it (anything hashable that tells outcomes apart), or raises one of
the errors that it documents. Whatever it says of an input that it accepts is checked in the target itself.
"""

import base64
import json
import re
import unicodedata
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from hotclub import Channel, Client
from hotclub.access.keys import signatures
from hotclub.access.poll_keys import BadSignature, ExpiredSignature, check, sign
from hotclub.access.tokens import ExpiredToken, InvalidToken, verify_connection, verify_subscription
from hotclub.channels.registry import Declarations, Registry
from hotclub.conf.config import get_config
from hotclub.conf.token_keys import make_key, token_settings
from hotclub.conf.values import parse_origin
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.limits import Limits
from hotclub.engine.node import Node
from hotclub.engine.protocol import codec_protobuf
from hotclub.engine.protocol.codec_json import JsonCodec, UniJsonCodec
from hotclub.engine.protocol.codec_protobuf import ProtobufCodec
from hotclub.engine.protocol.fossil import apply_delta, create_delta
from hotclub.engine.protocol.messages import MAX_SAFE_INTEGER, Command, FilterNode
from hotclub.engine.protocol.payload import check_payload
from hotclub.engine.tags import compile_filter
from hotclub.engine.transports.base import is_issued, issue_secret
from hotclub.engine.transports.emulation import query_argument
from hotclub.engine.transports.unidirectional import decode_positions, encode_positions
from tests.support.app import TinyApplication

LIMITS: Final = Limits()
TEXT: Final = JsonCodec()
BINARY: Final = ProtobufCodec()


@dataclass(frozen=True)
class Target:
    """`errors` are those that may escape; `words` are what the format is made of."""

    name: str
    run: Callable[[bytes], Hashable]
    errors: tuple[type[Exception], ...]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _shape(command: Command) -> Hashable:
    """Which fields are set."""
    found = [name for name in command.__struct_fields__ if getattr(command, name)]
    return tuple(found)


# The codecs


def json_commands(frame: bytes) -> Hashable:
    found = list(TEXT.decode(frame, LIMITS))
    assert len(found) <= LIMITS.commands_per_frame
    commands = [command for command in found if isinstance(command, Command)]
    for command in commands:
        (again,) = TEXT.decode(msgspec.json.encode(command), LIMITS)
        assert again == command
    return tuple(map(_shape, commands[:4]))


def protobuf_commands(frame: bytes) -> Hashable:
    found = list(BINARY.decode(frame, LIMITS))
    assert len(found) <= LIMITS.commands_per_frame
    commands = [command for command in found if isinstance(command, Command)]
    for command in commands:
        if _is_unsigned(command):
            (again,) = BINARY.decode(protobuf_frame(command), LIMITS)
            assert again == command
    return tuple(map(_shape, commands[:4]))


def _is_unsigned(command: Command) -> bool:
    """What was read from protobuf can be written to it again; bounds that are JSON's own need no check here."""
    return command.id <= MAX_SAFE_INTEGER


def protobuf_frame(command: Command) -> bytes:
    message = BINARY._command()
    codec_protobuf._write(command, message)
    return codec_protobuf._delimited(message)


def json_emulation(body: bytes) -> Hashable:
    posted = TEXT.decode_emulation(body)
    posted.session.encode()
    posted.node.encode()
    again = msgspec.json.encode({"session": posted.session, "node": posted.node, "data": posted.data.decode()})
    assert TEXT.decode_emulation(again) == posted
    return bool(posted.session), bool(posted.node), bool(posted.data)


def protobuf_emulation(body: bytes) -> Hashable:
    posted = BINARY.decode_emulation(body)
    message = BINARY._emulation(session=posted.session, node=posted.node, data=posted.data)
    assert BINARY.decode_emulation(message.SerializeToString()) == posted
    return bool(posted.session), bool(posted.node), bool(posted.data)


def uni_connect(body: bytes) -> Hashable:
    request = UniJsonCodec().decode_connect(body)
    assert UniJsonCodec().decode_connect(msgspec.json.encode(request)) == request
    return tuple(name for name in request.__struct_fields__ if getattr(request, name))


def payload(data: bytes) -> Hashable:
    checked = bytes(check_payload(data, LIMITS))
    assert b"\n" not in checked
    assert b"\r" not in checked
    assert json.loads(checked, parse_constant=_no_constant) == json.loads(data)
    checked.decode()
    msgspec.json.encode(msgspec.json.decode(checked))
    return type(json.loads(checked)).__name__, len(checked) > 100


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def delta(data: bytes) -> Hashable:
    """Both ways: as a base and a target, and as a base and a patch."""
    middle = len(data) // 2
    base, target = data[:middle], data[middle:]
    patch = create_delta(base, target)
    if patch is not None:
        assert len(patch) < len(target)
        assert apply_delta(base, patch) == target
        if _is_text(target):
            patch.decode()
    apply_delta(base, target)
    return patch is None


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# Names, filters, positions


def tags_filter(data: bytes) -> Hashable:
    try:
        root = msgspec.json.decode(data, type=FilterNode)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "no node"
    admits = compile_filter(root)
    tags: tuple[dict[str, str], ...] = ({}, {"a": "1"}, {"a": "x" * 300, "b": "-12.5"}, {"a": "9" * 400})
    return tuple(bool(admits(each)) for each in tags)


class _Room(Channel):
    pattern = "room:<int:room_id>"

    async def can_subscribe(self, client: Client, *, room_id: int) -> bool:
        return True


class _Page(Channel):
    pattern = "page:<slug:name>.<uuid:id>"

    async def can_subscribe(self, client: Client, **captured: object) -> bool:
        return True


class _Any(Channel):
    pattern = "any:<str:a>:<path:b>"

    async def can_subscribe(self, client: Client, **captured: object) -> bool:
        return True


_REGISTRY: Final = Registry(Declarations((_Room, _Page, _Any)), get_config())
_NODE: Final = Node(TinyApplication().bundle)


def _is_plain(name: str) -> bool:
    """What every channel's name is, in the words of the documentation."""
    shown = name.isprintable() and not any(character.isspace() for character in name)
    return shown and 0 < len(name.encode()) <= 255 and unicodedata.normalize("NFC", name) == name


def channel_name(data: bytes) -> Hashable:
    name = _text(data)
    route = _REGISTRY.resolve(name)
    if route is not None:
        assert _is_plain(name)
        if route.pattern == _Room.pattern:
            assert name == f"room:{route.kwargs['room_id']}", "one room has one name"
        return route.pattern
    spec = _NODE.channels.resolve(name).spec
    assert _is_plain(name)
    return type(spec).__name__


def event_id(data: bytes) -> Hashable:
    known = decode_positions(data)
    encoded = encode_positions(known)
    assert not set(encoded) & set(b"\r\n\x00")
    assert decode_positions(encoded).items() <= known.items()
    for channel, (epoch, offset) in known.items():
        (channel + epoch).encode()
        assert abs(offset) <= MAX_SAFE_INTEGER
    return len(known) > 0, len(known) > 1


def query(data: bytes) -> Hashable:
    return len(query_argument({"query_string": data}, b"cf_connect")) > 0


def origin(data: bytes) -> Hashable:
    parsed = parse_origin(data.decode("latin-1"))
    if parsed is not None:
        assert re.fullmatch(r"[a-z0-9_.\[\]:-]+", parsed.host)
    return parsed is None


# Tokens, signatures, secrets


_SETTINGS: Final = token_settings({"HMAC_SECRET": "fuzz" * 16, "ISSUER": ["us", "them"], "AUDIENCE": "here"})
_CLAIMS: Final = (
    {"sub": "7", "aud": "here", "iss": "us", "exp": 4_000_000_000},
    {"sub": "", "aud": ["here", "there"], "iss": "them", "channels": ["a"], "info": {"a": 1}, "b64info": "e30="},
    {"sub": "7", "aud": "here", "iss": "us", "channel": "room:1", "client": "c"},
    {"sub": "7", "aud": "here", "iss": "us", "exp": 1},
    {"sub": "7", "aud": "elsewhere", "iss": "us"},
)


def _token(claims: object, key: str = "fuzz" * 16) -> bytes:
    made = signatures().encode(
        json.dumps(claims).encode(), make_key({"ALGORITHM": "HS256", "KEY": key}).private, algorithm="HS256"
    )
    return made.encode()


_TOKENS: Final = [_token(claims) for claims in _CLAIMS]
_SIGNED: Final = {token.split(b".")[1] for token in _TOKENS}


def token(data: bytes) -> Hashable:
    text = _text(data)
    outcome: list[str] = []
    for verify in (verify_connection, verify_subscription):
        try:
            verify(text, _SETTINGS)
        except ExpiredToken:
            outcome.append("expired")
        except InvalidToken as refused:
            outcome.append(refused.reason[:20])
            continue
        else:
            outcome.append("accepted")
        assert data.split(b".")[1] in _SIGNED, "claims that nobody signed"
    return tuple(outcome)


_SIGNATURE: Final = sign(b"secret", "7", "poll:a", ["k"], issued=1_000, expires=2_000)


def poll_signature(data: bytes) -> Hashable:
    text = _text(data)
    check(text, (b"secret", b"older"), "7", "poll:a", ["k"], now=1_500)
    assert [int(part) for part in text.split(":")[:2]] == [1_000, 2_000]
    return "accepted"


_SECRET: Final = issue_secret(_NODE)


def session_secret(data: bytes) -> Hashable:
    text = _text(data)
    assert not is_issued(_NODE, _NODE.id, text) or text == _SECRET
    assert not is_issued(_NODE, text, _SECRET) or text == _NODE.id
    return "." in text


_COMMANDS: Final = [
    b'{"connect":{"name":"js","token":"t","data":{"a":[1]},"subs":{"a":{"recover":true,"offset":5,"epoch":"e"}}},"id":1}',
    b'{"id":2,"subscribe":{"channel":"a","flag":3,"recover":true,"epoch":"e","offset":1,"delta":"fossil"}}',
    b'{"id":2,"subscribe":{"tf":{"op":"and","nodes":[{"key":"a","cmp":"in","vals":["1","2"]}]}}}',
    b'{"id":3,"publish":{"channel":"a","data":"x","type":1,"key":"k","removed":true}}\n{}\n{"send":{"data":1}}',
    b'{"id":4,"history":{"channel":"a","limit":-1,"since":{"offset":1,"epoch":"e"},"reverse":true}}\n',
    b'{"id":5,"sub_refresh":{"channel":"a","type":1,"track":[{"signature":"s","items":[{"key":"k","version":1}]}]}}',
    b'{"id":6,"rpc":{"method":"m","data":null}}',
    b'{"id":7,"presence":{"channel":"a"}}\n{"id":8,"unsubscribe":{"channel":"a"}}\n{"id":9,"refresh":{"token":"t"}}',
]
_FIELDS: Final = [
    b'"%b":' % name.encode() for name in ("id", *Command.__struct_fields__, "channel", "data", "offset", "subs", "tf")
]
_FILTERS: Final = [
    b'{"key":"a","cmp":"eq","val":"1"}',
    b'{"op":"not","nodes":[{"op":"or","nodes":[{"key":"a","cmp":"gt","val":"-1.5"},{"key":"b","cmp":"nex"}]}]}',
    b'{"key":"a","cmp":"nin","vals":["","1"]}',
]

TARGETS: Final = [
    Target("json_commands", json_commands, (Disconnect,), _COMMANDS, _FIELDS),
    Target(
        "protobuf_commands",
        protobuf_commands,
        (Disconnect,),
        [
            b"".join(protobuf_frame(command) for command in TEXT.decode(frame, LIMITS) if isinstance(command, Command))
            for frame in _COMMANDS
            if b"-1" not in frame
        ],
        [b"\x08\x01", b"\x12\x00", b"\x0a\x01a", b"\x22\x02\x10\x01", b"\x0b", b"\x0c"],
    ),
    Target(
        "json_emulation",
        json_emulation,
        (Disconnect,),
        [json.dumps({"session": "s", "node": "n", "data": frame.decode()}).encode() for frame in _COMMANDS[:2]],
        [b'"session":', b'"node":', b'"data":'],
    ),
    Target("protobuf_emulation", protobuf_emulation, (Disconnect,), [b"\x0a\x01n\x12\x01s\x1a\x02\x00\x00"]),
    Target(
        "uni_connect",
        uni_connect,
        (Disconnect,),
        [b'{"token":"t","subs":{"a":{"recover":true,"offset":1},"b":{"token":"t","tf":{"key":"a","cmp":"ex"}}}}'],
        _FIELDS,
    ),
    Target("payload", payload, (Refused,), [b'{"a":[1,-2.5e3,true,null,"\\u00e9\\n"]}', b"[[[]]]", b'"\xe5\x9b\x9b"']),
    Target("delta", delta, (ValueError,), [b"abcdefgh" * 40, "四季歌".encode() * 30, b"4\n4@0,3UxY;", b"0\n0;"]),
    Target("tags_filter", tags_filter, (Refused,), _FILTERS, [b'"op":"and"', b'"nodes":[', b'"cmp":"lte"']),
    Target(
        "channel_name",
        channel_name,
        (Refused,),
        [b"room:7", b"page:a-b.6b0c3a0e-8a2a-4c39-9a57-0b3f5d1f1c11", b"any:a:b:c", b"#7", b"log:a"],
        [b"room:", b"any:", b"#", b"*", b"..", b"%2e", "ｒｏｏｍ".encode(), b"007"],
    ),
    Target(
        "event_id",
        event_id,
        (),
        [encode_positions({"log:a": ("epoch", 5), "b": ("", 0)}), base64.urlsafe_b64encode(b'{"a":["e",1]}')],
    ),
    Target("query", query, (), [b"a=b&cf_connect=%7B%22data%22%3A1%7D&cf_connect=x", b"cf_connect=a+b"], [b"&", b"="]),
    Target(
        "origin",
        origin,
        (),
        [b"https://example.com:443", b"http://[::1]:80", b"null", b"https://a@b"],
        [b"https://", b"@", b"\\", b"#", b"?"],
    ),
    Target(
        "token",
        token,
        (),
        [*_TOKENS, _token(_CLAIMS[0], "another" * 8)],
        [b".", b"=", *(base64.urlsafe_b64encode(text).rstrip(b"=") for text in (b'{"alg":"none"}', b'{"sub":"8"}'))],
    ),
    Target(
        "poll_signature", poll_signature, (BadSignature, ExpiredSignature), [_SIGNATURE.encode()], [b":", "٣".encode()]
    ),
    Target("session_secret", session_secret, (), [_SECRET.encode(), _NODE.id.encode()], [b".", b"\n"]),
]
