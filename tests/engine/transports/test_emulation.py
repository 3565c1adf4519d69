"""HTTP streams and SSE with commands in requests of their own (protocol §6.1)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import Raw

from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.messages import Emulation
from hotclub.engine.target import Target
from hotclub.engine.transports.base import issue_secret
from hotclub.engine.transports.emulation import emulate, read_emulation, serve_http_stream, serve_sse
from hotclub.engine.transports.stream import HttpError
from tests.engine.support import Club
from tests.engine.transports.asgi import JSON, PROTOBUF, Exchange, body_of, post_commands, scope_of

CONNECT = b'{"id":1,"connect":{}}'


def http_stream(club: Club, body: bytes = CONNECT, **headers: str) -> Exchange:
    scope = scope_of(headers={name.replace("_", "-"): value for name, value in headers.items()})
    exchange = Exchange.start(serve_http_stream, club.node, scope, ..., Handshake(), ((b"x", b"y"),))
    exchange.body(body)
    return exchange


def sse(club: Club, command: bytes = CONNECT, method: str = "GET") -> Exchange:
    query = b"a=b&cf_connect=" + quote(command).encode()
    exchange = Exchange.start(serve_sse, club.node, scope_of(method, query=query), ..., Handshake())
    exchange.body(b"")
    return exchange


OPENERS: list[Callable[..., Exchange]] = [http_stream, sse]


def subscribe(channel: str, number: int = 2) -> dict[str, Any]:
    return {"id": number, "subscribe": {"channel": channel}}


# The response


async def test_an_http_stream_is_lines(club: Club) -> None:
    stream = http_stream(club)
    connected = await stream.connected()
    assert stream.headers[b"content-type"] == b"application/json"
    assert stream.headers[b"x-accel-buffering"] == b"no"
    assert stream.headers[b"cache-control"] == b"private, no-cache, no-store, must-revalidate, max-age=0"
    assert stream.headers[b"pragma"] == b"no-cache"
    assert stream.headers[b"x"] == b"y"
    assert stream.sent[1] == {"type": "http.response.body", "body": b"", "more_body": True}, "the head leaves at once"
    assert stream.written.endswith(b"}\n")
    assert b"\n\n" not in stream.written
    assert (connected["node"], bool(connected["session"])) == (club.node.id, True)
    stream.leave()
    await stream.finished()


async def test_sse_is_events_after_a_first_line(club: Club) -> None:
    stream = sse(club)
    await stream.connected()
    assert stream.headers[b"content-type"] == b"text/event-stream"
    assert stream.written.startswith(b"\r\ndata: {")
    assert stream.written.endswith(b"}\n\n")
    stream.leave()
    await stream.finished()


async def test_sse_takes_its_command_from_a_body_too(club: Club) -> None:
    stream = Exchange.start(serve_sse, club.node, scope_of(), ..., Handshake())
    stream.body(CONNECT[:5], more=True)
    stream.body(CONNECT[5:] + b'\n{"id":2,"rpc":{"method":"echo"}}')
    await stream.message(lambda item: item.get("id") == 2)
    stream.leave()


@pytest.mark.parametrize("media_type", [PROTOBUF, "Application/Octet-Stream; charset=binary"])
async def test_an_http_stream_speaks_protobuf(club: Club, media_type: str) -> None:
    stream = http_stream(club, b"\x04\x08\x01\x22\x00", content_type=media_type)
    await stream.until(lambda: stream.written)
    assert stream.headers[b"content-type"] == b"application/octet-stream"
    assert club.node.id.encode() in stream.written
    stream.leave()


# Commands


@pytest.mark.parametrize("opener", OPENERS)
async def test_commands_come_in_requests_of_their_own(club: Club, opener: Any) -> None:
    stream = opener(club)
    connected = await stream.connected()
    await post_commands(club, connected, subscribe("log:a"), {"id": 3, "rpc": {"method": "whoami"}})
    await stream.message(lambda item: item.get("id") == 3)
    assert [item["id"] for item in stream.messages() if "id" in item] == [1, 2, 3]
    await club.publish("log:a", 7)
    push = await stream.message(lambda item: item.get("push", {}).get("pub"))
    assert push["data"] == 7
    stream.leave()
    await stream.finished()
    assert (club.node.hub.num_clients, club.node.hub.num_channels, club.node.emulated) == (0, 0, {})
    assert await club.node.presence.members("log:a") == {}
    await post_commands(club, connected, subscribe("log:a"))
    assert club.node.hub.num_channels == 0, "commands for a connection that is gone are no error and do nothing"


async def test_requests_that_overtake_each_other_run_one_after_the_other(club: Club) -> None:
    stream = http_stream(club)
    connected = await stream.connected()
    gate = club.application.hold("subscribe", "log:a")
    await post_commands(club, connected, subscribe("log:a", 2))
    await gate.entered.wait()
    await post_commands(club, connected, {"id": 3, "unsubscribe": {"channel": "log:a"}})
    await post_commands(club, connected, subscribe("log:a", 4))
    gate.open()
    await stream.message(lambda item: item.get("id") == 4)
    assert [item["id"] for item in stream.messages() if "id" in item] == [1, 2, 3, 4]
    assert not any("error" in item for item in stream.messages())
    assert club.node.num_subscribers("log:a") == 1
    stream.leave()


async def test_a_pong_comes_in_a_request(club: Club) -> None:
    stream = http_stream(club)
    connected = await stream.connected()
    (session,) = [dispatcher.session for dispatcher in club.node.emulated.values()]
    club.node.pulse._awaiting[session] = 1e9
    await post_commands(club, connected, {})
    assert session not in club.node.pulse._awaiting
    stream.leave()


async def test_a_secret_of_another_connection_reaches_that_one_alone(club: Club) -> None:
    mine, other = http_stream(club), http_stream(club)
    connected = await mine.connected()
    await other.connected()
    await post_commands(club, connected, subscribe("plain:a"))
    await mine.message(lambda item: "subscribe" in item)
    await post_commands(club, connected, subscribe("plain:b"), session=issue_secret(club.node))
    assert len(other.messages()) == 1
    assert club.node.hub.channels() == ["plain:a"]
    mine.leave()
    other.leave()


async def test_a_client_id_is_no_secret(club: Club) -> None:
    stream = http_stream(club)
    connected = await stream.connected()
    await post_commands(club, connected, subscribe("plain:a"), session=connected["client"])
    assert club.node.hub.channels() == []
    stream.leave()


# What is refused


@pytest.mark.parametrize("serve", [serve_http_stream, serve_sse])
@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("DELETE", 405), ("HEAD", 405), ("OPTIONS", 405)])
async def test_other_methods(club: Club, serve: Any, method: str, status: int) -> None:
    stream = Exchange.start(serve, club.node, scope_of(method), ..., Handshake())
    assert await stream.status() == status


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "x"])
async def test_other_content_types(club: Club, media_type: str) -> None:
    assert await http_stream(club, content_type=media_type).status() == 415
    for serve in (serve_sse, serve_http_stream):
        stream = Exchange.start(serve, club.node, scope_of(headers={"content-type": media_type}), ..., Handshake())
        assert await stream.status() == 415
    with pytest.raises(HttpError) as refused:
        await read_emulation(club.node, scope_of(headers={"content-type": media_type}), body_of(b"{}"))
    assert refused.value.status == 415


async def test_a_stream_without_a_command(club: Club) -> None:
    assert await http_stream(club, b"").status() == 400
    assert await sse(club, b"").status() == 400
    for query in (b"", b"cf_connect", b"cf_connect=", b"&".join([b"x=1"] * 5_000) + b"&cf_connect=%7B%7D"):
        stream = Exchange.start(serve_sse, club.node, scope_of("GET", query=query), ..., Handshake())
        stream.body(b"")
        assert await stream.status() == 400


async def test_a_get_can_do_no_more_than_connect(club: Club) -> None:
    """Any page can make a browser GET something, cookies included."""
    for more in (b'{"id":2,"rpc":{"method":"echo"}}', b'{"id":2,"publish":{"channel":"log:a","data":1}}', b"\n"):
        assert await sse(club, CONNECT + b"\n" + more).status() == 400
    stream = sse(club, CONNECT + b"\n")
    await stream.connected()
    stream.leave()


async def test_a_body_that_is_too_long_is_refused_before_its_end(club: Club) -> None:
    for serve in (serve_http_stream, serve_sse):
        stream = Exchange.start(serve, club.node, scope_of(), ..., Handshake())
        for _ in range(3):
            stream.body(b" " * 1_000, more=True)
        assert await stream.status() == 413
    assert await sse(club, b"x" * 2_001).status() == 413
    stream = Exchange.start(serve_sse, club.node, scope_of("GET"), ..., Handshake())
    stream.body(b"x", more=True)
    assert await stream.status() == 413


async def test_a_peer_that_leaves_in_the_middle_of_its_body(club: Club) -> None:
    stream = Exchange.start(serve_http_stream, club.node, scope_of(), ..., Handshake())
    stream.body(b"{", more=True)
    stream.leave()
    assert await stream.status() == 400


async def test_a_body_that_does_not_come() -> None:
    club = Club(Limits(connect_timeout=0.05))
    stream = Exchange.start(serve_http_stream, club.node, scope_of(), ..., Handshake())
    stream.body(b"{", more=True)
    assert await stream.status() == 408


async def test_too_many_that_wait() -> None:
    club = Club(Limits(unauthenticated_connections=1))
    await club.node.start()
    gate = club.application.hold("connect", "")
    first = http_stream(club)
    await gate.entered.wait()
    assert await http_stream(club).status() == 503
    assert await sse(club).status() == 503
    gate.open()
    await first.connected()
    second = sse(club)
    await second.connected()
    first.leave()
    second.leave()
    await second.finished()
    assert club.node.entrance.transports == 0
    await club.node.stop()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"{}", 400),
        (b'{"session":"s","node":"n"}', 400),
        (b'{"session":"s","node":"n","data":""}', 400),
        (b'{"session":"s","node":"n","data":{}}', 400),
        (b'{"session":1,"node":"n","data":"{}"}', 400),
        (b'{"session":"\\ud800","node":"n","data":"{}"}', 400),
        (b'{"session":"\xff","node":"n","data":"{}"}', 400),
        (b'{"session":"s","node":"n","data":"%b"}' % (b" " * 2_001), 413),
        (b'{"session":"s","node":"n","data":"%b"}' % (b" " * 4_001), 413),
    ],
)
async def test_a_bad_body_of_commands(club: Club, body: bytes, status: int) -> None:
    with pytest.raises(HttpError) as refused:
        await read_emulation(club.node, scope_of(), body_of(body))
    assert refused.value.status == status


async def test_commands_are_posted(club: Club) -> None:
    for method in ("GET", "PUT", "HEAD"):
        with pytest.raises(HttpError) as refused:
            await read_emulation(club.node, scope_of(method), body_of(b""))
        assert refused.value.status == 405


async def test_commands_in_protobuf(club: Club) -> None:
    body = b"\x0a\x01n\x12\x01s\x1a\x01\x00"
    scope = scope_of(headers={"content-type": PROTOBUF})
    assert await read_emulation(club.node, scope, body_of(body)) == Emulation("s", "n", b"\x00")
    with pytest.raises(HttpError) as refused:
        await read_emulation(club.node, scope, body_of(b"\xff"))
    assert refused.value.status == 400
    for charset in ("utf-8", "latin-1", "utf-16", "rot13", '"', ""):
        scope = scope_of(headers={"content-type": f"{JSON}; charset={charset}"})
        assert (await read_emulation(club.node, scope, body_of(b'{"session":"s","data":"{}"}'))).data == b"{}"


# The end


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_disconnect_is_the_last_push_and_ends_the_response(club: Club, opener: Any) -> None:
    stream = opener(club)
    await stream.connected()
    club.node.disconnect(Target(), Disconnect(3503))
    await stream.finished()
    assert stream.messages()[-1] == {"push": {"disconnect": {"code": 3503, "reason": "force disconnect"}}}
    assert stream.ended
    assert club.application.ended[0][1] == 3503


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 3501),
        (b"{}\n" + CONNECT, 0),
        (b'{"id":1,"rpc":{}}', 3501),
        (CONNECT + b"\n" + CONNECT.replace(b"1", b"2"), 3501),
        (b'{"id":1,"connect":{"data":{"disconnect":3500}}}', 3500),
        (b'{"id":1,"connect":{"data":1}}', 3004),
    ],
)
async def test_a_bad_beginning_is_told_in_the_stream(club: Club, body: bytes, code: int) -> None:
    stream = http_stream(club, body)
    if not code:
        await stream.connected()
        stream.leave()
        return
    assert await stream.disconnected() == code
    await stream.finished()
    assert (club.node.hub.num_clients, club.node.emulated, len(club.node.pulse)) == (0, {}, 0)


async def test_a_connect_that_does_not_come_ends_the_stream() -> None:
    club = Club(Limits(connect_timeout=0.05))
    await club.node.start()
    stream = http_stream(club, b"{}")
    assert await stream.disconnected() == 3502
    await stream.finished()
    await club.node.stop()


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_cancelled_request_leaves_nothing(club: Club, opener: Any) -> None:
    stream = opener(club)
    connected = await stream.connected()
    await post_commands(club, connected, subscribe("here:a"))
    await stream.message(lambda item: item.get("push", {}).get("join"))
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stream.finished()
    assert (club.node.hub.num_clients, club.node.emulated, len(club.node.pulse)) == (0, {}, 0)
    assert await club.node.presence.members("here:a") == {}


async def test_a_client_that_is_gone_while_its_hook_runs_leaves_nothing(club: Club) -> None:
    gate = club.application.hold("connect", "")
    stream = http_stream(club)
    await gate.entered.wait()
    stream.leave()
    await stream.finished()
    assert (club.node.hub.num_clients, club.node.entrance.transports, club.node.emulated) == (0, 0, {})


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_reader_that_stopped_is_cut_off_and_costs_a_bounded_memory(club: Club, opener: Any) -> None:
    stream = opener(club)
    connected = await stream.connected()
    await post_commands(club, connected, subscribe("log:a"))
    await stream.message(lambda item: item.get("push", {}).get("join"))
    stream.stop_reading()
    for _ in range(50):
        await club.node.publish("log:a", Raw(b'"%b"' % (b"x" * 1_000)))
        await asyncio.sleep(0)
    await stream.finished()
    assert club.node.counters.closed == {3008: 1}
    assert (club.node.hub.num_clients, club.node.entrance.transports, club.node.emulated) == (0, 0, {})


async def test_a_slow_reader_that_goes_on_is_told_why_it_was_cut_off(club: Club) -> None:
    stream = http_stream(club)
    connected = await stream.connected()
    await post_commands(club, connected, subscribe("log:a"))
    await stream.message(lambda item: "subscribe" in item)
    stream.stop_reading()
    while not club.node.counters.closed:
        await club.node.publish("log:a", Raw(b'"%b"' % (b"x" * 1_000)))
        await asyncio.sleep(0)
    stream.read()
    assert await stream.disconnected() == 3008
    await stream.finished()
    assert stream.ended
    offsets = [item["push"]["pub"]["offset"] for item in stream.messages() if "pub" in item.get("push", {})]
    assert offsets == list(range(1, len(offsets) + 1)), "what was sent has no hole"


async def test_a_silent_emulated_peer_is_cut_off() -> None:
    club = Club(Limits(ping_interval=0.08, pong_timeout=0.04))
    await club.node.start()
    stream = http_stream(club)
    assert await stream.disconnected() == 3012
    assert json.loads(b"{}") in stream.messages()
    await club.node.stop()


async def test_commands_for_no_connection_are_no_error(club: Club) -> None:
    emulate(club.node, Emulation("never", club.node.id, b"{}"))
