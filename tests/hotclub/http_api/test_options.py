"""What the options of the HTTP API do: overrides, versions, sessions, everybody; and what cannot be done is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

import hotclub
import hotclub.polls
import hotclub.tokens
from hotclub.conf.config import Config
from hotclub.http_api.endpoint import Call, answer
from hotclub.runtime.node import current_node, set_current_node
from tests.hotclub.conftest import Site, amake_person
from tests.hotclub.http_api.test_methods import KEY, Api, opened
from tests.hotclub.transports import Wire
from tests.support.wire import ErrorReply, WireClient, push_of

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]

SECRET = "a secret of more than thirty-two bytes"


class Open(hotclub.Channel, abstract=True):
    async def can_subscribe(self, client: hotclub.Client, **names: Any) -> bool:
        return True


class Room(Open):
    pattern = "room:<str:name>"
    history = hotclub.History(size=100, ttl=timedelta(minutes=5))
    presence = True


class Bare(Open):
    pattern = "bare:<str:name>"


class Quiet(Open):
    pattern = "quiet:<str:name>"
    history = Room.history
    recovery = False


class Latest(Open):
    pattern = "latest:<str:name>"
    history = Room.history
    recovery = "cache"


class Kept(Open):
    pattern = "kept:<str:name>"
    history = hotclub.History(size=100, ttl=timedelta(minutes=5), durable=True)


class Board(hotclub.MapChannel):
    pattern = "board:<str:name>"

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    declare(Room, Bare, Quiet, Latest, Kept, Board)
    hotclub_settings(API_PATH="/api", API_KEYS=[KEY], ALLOW_ANONYMOUS=True, TOKENS={"HMAC_SECRET": SECRET})


def switched(**switches: bool) -> dict[str, Any]:
    return {name: {"value": value} for name, value in switches.items()}


async def subscribed(api: Api, client: WireClient, channel: str, **override: bool) -> dict[str, Any]:
    request = {"channel": channel, "client": client.client_id, "override": switched(**override)}
    await api.result("subscribe", request)
    return await client.push("subscribe", channel)


async def seen_by(client: WireClient, kind: str, channel: str, count: int) -> list[str]:
    """Whose coming (`join`) or going (`leave`) it was told, once it was `count` times."""

    def told() -> list[str]:
        return [push["info"]["client"] for item in client.inbox if (push := push_of(item, kind, channel)) is not None]

    await client.wait(lambda: len(told()) >= count)
    return told()


async def test_an_override_hides_a_subscriber_or_its_coming_and_going(serve: Serve) -> None:
    api = Api(site := await serve())
    watcher, hidden, silent, seen = [await opened(site) for _ in range(4)]
    await watcher.subscribe("room:1")

    await subscribed(api, hidden, "room:1", presence=False)
    await subscribed(api, silent, "room:1", join_leave=False)
    await subscribed(api, seen, "room:1")

    present = (await api.result("presence", {"channel": "room:1"}))["presence"]
    assert set(present) == {watcher.client_id, silent.client_id, seen.client_id}
    announced = [watcher.client_id, hidden.client_id, seen.client_id]
    assert await seen_by(watcher, "join", "room:1", 3) == announced
    for client in (hidden, silent, seen):
        await api.result("unsubscribe", {"channel": "room:1", "client": client.client_id})
    assert await seen_by(watcher, "leave", "room:1", 2) == announced[1:]
    for client in (watcher, hidden, silent, seen):
        client.abort()


async def test_an_override_spares_a_subscriber_the_others_coming_and_going(serve: Serve) -> None:
    api = Api(site := await serve())
    deaf, other = await opened(site), await opened(site)

    await subscribed(api, deaf, "room:1", force_push_join_leave=False)
    await subscribed(api, other, "room:1")
    await api.result("publish", {"channel": "room:1", "data": 1})

    await deaf.publications("room:1", 1)
    assert not [item for item in deaf.inbox if push_of(item, "join")]
    assert deaf.client_id in (await api.result("presence", {"channel": "room:1"}))["presence"]
    deaf.abort()
    other.abort()


async def test_an_override_announces_in_a_channel_without_presence(serve: Serve) -> None:
    api = Api(site := await serve())
    watcher, other = await opened(site), await opened(site)

    await subscribed(api, watcher, "bare:1", force_push_join_leave=True)
    await subscribed(api, other, "bare:1", join_leave=True)
    assert await seen_by(watcher, "join", "bare:1", 1) == [other.client_id]
    await api.result("unsubscribe", {"channel": "bare:1", "client": other.client_id})

    assert await seen_by(watcher, "leave", "bare:1", 1) == [other.client_id]
    watcher.abort()
    other.abort()


async def test_an_override_gives_and_takes_recovery_and_positions(serve: Serve) -> None:
    api = Api(site := await serve())
    client = await opened(site)

    plain = await subscribed(api, client, "room:1", force_recovery=False)
    recovering = await subscribed(api, client, "quiet:1", force_recovery=True)
    placed = await subscribed(api, client, "quiet:2", force_positioning=True)

    await api.result("publish", {"channel": "latest:1", "data": "kept"})
    await subscribed(api, client, "latest:1", force_recovery=False, force_positioning=True)
    await api.result("publish", {"channel": "latest:1", "data": "live"})

    assert [item["data"] for item in await client.publications("latest:1", 1)] == ["live"]
    assert not {"recoverable", "positioned", "epoch"} & set(plain)
    assert recovering["recoverable"]
    assert recovering["positioned"]
    assert "recoverable" not in placed
    assert placed["positioned"]
    client.abort()


async def test_what_a_placed_subscriber_misses_is_found_where_its_class_has_no_positions(serve: Serve) -> None:
    api = Api(site := await serve())
    client = await opened(site)
    await subscribed(api, client, "quiet:1", force_positioning=True)
    node = current_node()
    assert node is not None
    await api.result("publish", {"channel": "quiet:1", "data": 1})
    await client.publications("quiet:1", 1)

    node.hub.members("quiet:1")[0].offset -= 1
    await node.upkeep.positions.run()

    assert (await client.ended()).code == 3010


@pytest.mark.parametrize(
    ("channel", "switches"),
    [
        ("bare:1", {"presence": True}),
        ("bare:1", {"force_recovery": True}),
        ("bare:1", {"force_positioning": True}),
        ("board:1", {}),
    ],
)
async def test_what_the_class_has_not_is_refused(serve: Serve, channel: str, switches: dict[str, bool]) -> None:
    api = Api(await serve())

    assert await api.error("subscribe", {"channel": channel, "user": "1", "override": switched(**switches)}) == 108


async def test_tokens_override_as_well(serve: Serve) -> None:
    api = Api(site := await serve())
    hide = switched(presence=False, join_leave=False, force_recovery=False)
    token = hotclub.tokens.connection_token("7", claims={"subs": {"room:1": {"override": hide}}})
    wrong = hotclub.tokens.connection_token("7", claims={"subs": {"bare:1": {"override": switched(presence=True)}}})
    by_token = hotclub.tokens.subscription_token("7", "room:2", claims={"override": hide})
    cannot = hotclub.tokens.subscription_token("7", "bare:2", claims={"override": switched(force_recovery=True)})
    headers = site.headers()
    port = site.port

    client = await WireClient.open(port, headers=headers)
    reply = await client.connect(token=token)
    second = await client.call("subscribe", channel="room:2", token=by_token)

    assert "recoverable" not in reply["subs"]["room:1"]
    assert "recoverable" not in second
    for channel in ("room:1", "room:2"):
        assert (await api.result("presence", {"channel": channel}))["presence"] == {}
    with pytest.raises(ErrorReply) as refused:
        await client.call("subscribe", channel="bare:2", token=cannot)
    assert refused.value.code == 108
    async with await WireClient.open(port, headers=headers) as other:
        with pytest.raises(ErrorReply) as refused:
            await other.connect(token=wrong)
    assert refused.value.code == 108
    client.abort()


@pytest.mark.parametrize("channel", ["room:1", "kept:1"])
async def test_a_repeated_key_counts_before_its_version(serve: Serve, channel: str) -> None:
    api = Api(await serve())
    request = {"channel": channel, "data": 1, "version": 5, "idempotency_key": "k"}

    first, again = await api.result("publish", request), await api.result("publish", request)
    older = await api.result("publish", {"channel": channel, "data": 2, "version": 4})

    assert first == again == older
    assert first["offset"] == 1
    assert await api.error("publish", {**request, "data": 3}) == 113


async def test_versions_are_compared_without_a_history_too(serve: Serve) -> None:
    api = Api(site := await serve())
    client = await opened(site)
    await client.subscribe("bare:1")

    for version, data in ((2, "two"), (1, "one"), (3, "three")):
        await api.result("publish", {"channel": "bare:1", "data": data, "version": version})

    assert [item["data"] for item in await client.publications("bare:1", 2)] == ["two", "three"]
    client.abort()


@pytest.mark.parametrize("channel", ["room:1", "kept:1"])
async def test_what_is_kept_nowhere_is_not_sent_twice_either(serve: Serve, channel: str) -> None:
    api = Api(site := await serve())
    client = await opened(site)
    await client.subscribe(channel)

    for data in ("once", "once"):
        await api.result("publish", {"channel": channel, "data": data, "skip_history": True, "idempotency_key": "k"})
    await api.result("publish", {"channel": channel, "data": "other", "skip_history": True})

    assert [item["data"] for item in await client.publications(channel, 2)] == ["once", "other"]
    client.abort()


async def test_everybody_and_a_session_are_addressed(serve: Serve) -> None:
    api = Api(site := await serve())
    known, nobody = await opened(site, await amake_person()), await opened(site)

    await api.result("subscribe", {"channel": "bare:1", "all_users": True})
    await known.push("subscribe", "bare:1")
    await nobody.push("subscribe", "bare:1")
    await api.result("disconnect", {"session": "somebody else's"})
    await known.settled()
    await nobody.settled()
    assert known.closed is None
    assert nobody.closed is None
    await api.result("disconnect", {"all_users": True})

    assert (await known.ended()).code == 3503
    assert (await nobody.ended()).code == 3503


@pytest.mark.parametrize("form", ["http_stream", "sse", "uni_sse"])
async def test_a_connection_over_http_is_addressed_by_its_secret(serve: Serve, form: str) -> None:
    api = Api(site := await serve())
    async with Wire.open(form, site.url, "", "bare:1") as wire, Wire.open(form, site.url, "", "bare:1") as other:
        [connected] = [item["connect"] for item in wire.messages() if "connect" in item]

        await api.result("disconnect", {"session": connected["session"]})

        assert await wire.ended(5) == 3503
        await api.result("publish", {"channel": "bare:1", "data": "still there"})
        await other.told(b"still there")


class Prices(hotclub.SharedPollChannel):
    pattern = "prices:<str:name>"
    interval = timedelta(seconds=30)

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    async def poll(self, keys: Any, name: str) -> Any:
        return [hotclub.polls.Polled(key, "polled", version=1) for key in keys]


class Unversioned(Prices):
    pattern = "unversioned:<str:name>"
    versioned = False


@pytest.mark.parametrize("process", ["this", "another"])
async def test_a_value_reaches_the_followers_of_a_shared_poll(serve: Serve, declare: Declare, process: str) -> None:
    declare(Prices)
    api = Api(site := await serve())
    client = await opened(site)
    await client.call("subscribe", channel="prices:1", type=4)
    track = {"signature": hotclub.polls.sign_keys(None, "prices:1", ["a", "b"]), "items": [{"key": "a"}, {"key": "b"}]}
    await client.call("sub_refresh", channel="prices:1", type=1, track=[track])
    await client.publications("prices:1", 2)
    node = current_node()

    if process == "another":
        # As in a process without connections: what it publishes goes through the database.
        set_current_node(None)
    await hotclub.polls.ashared_poll_publish("prices:1", "a", {"n": 1}, version=2)
    await sync_to_async(hotclub.polls.shared_poll_publish)("prices:1", "a", {"n": 2}, version=3)
    set_current_node(node)
    await client.wait(lambda: any(item.get("version") == 3 for item in client.received("prices:1")))
    await api.result("shared_poll_publish", {"channel": "prices:1", "key": "a", "b64data": "WzNd", "version": 4})
    await api.result("shared_poll_publish", {"channel": "prices:1", "key": "a", "data": "old", "version": 3})
    await api.result("shared_poll_publish", {"channel": "prices:1", "key": "b", "version": 2, "removed": True})

    pushed = await client.publications("prices:1", 4)
    values = [item for item in pushed if item["key"] == "a"]
    # Two ways lead there, and an older value that comes later on one of them is dropped.
    assert values[-1]["data"] == [3]
    assert [item["version"] for item in values] == sorted(item["version"] for item in values)
    client.abort()


async def test_what_is_no_value_of_a_shared_poll_is_refused(declare: Declare) -> None:
    declare(Prices, Unversioned, Bare)

    for channel, key, version, code in (
        ("nowhere", "a", 1, 102),
        ("bare:1", "a", 1, 107),
        ("prices:1", "", 1, 107),
        ("prices:1", "a", 0, 107),
        ("unversioned:1", "a", 1, 108),
    ):
        with pytest.raises(hotclub.Refused) as refused:
            await hotclub.polls.ashared_poll_publish(channel, key, 1, version=version)
        assert refused.value.code == code


def call_of(method: str, body: bytes) -> Call:
    """A request to the API, as the endpoint gets it."""

    async def read(_config: Config) -> bytes:
        return body

    return Call("POST", method, {"x-api-key": KEY}, "", "127.0.0.1", read)


async def test_a_process_that_serves_nobody_does_not_pretend(serve: Serve) -> None:
    await serve()
    node = current_node()
    set_current_node(None)
    try:
        for method, body in (
            ("channels", b"{}"),
            ("info", b"{}"),
            ("presence", b'{"channel":"room:1"}'),
            ("presence_stats", b'{"channel":"room:1"}'),
            ("history", b'{"channel":"room:1"}'),
            ("history_remove", b'{"channel":"room:1"}'),
            ("map_read_state", b'{"channel":"board:1"}'),
            ("map_read_stream", b'{"channel":"board:1"}'),
            ("map_stats", b'{"channel":"board:1"}'),
        ):
            told = await answer(call_of(method, body))
            assert b'"code":108' in told.body, method
            assert b"No node runs in this process" in told.body
        for method in ("publish", "history", "history_remove"):
            told = await answer(call_of(method, b'{"channel":"kept:1","data":1}'))
            assert b'"result"' in told.body, method
    finally:
        set_current_node(node)


async def test_a_version_is_compared_where_the_log_is(serve: Serve) -> None:
    """A process without connections has no versions of its own: two of them could not know of each other's."""
    api = Api(site := await serve())
    client = await opened(site)
    await client.subscribe("room:1")
    await api.result("publish", {"channel": "room:1", "data": "two", "version": 2})
    node = current_node()
    set_current_node(None)
    for version in (1, 3):
        body = b'{"channel":"room:1","data":%d,"version":%d}' % (version, version)
        told = await answer(call_of("publish", body))
        assert told.body == b'{"result":{}}'
    set_current_node(node)

    async with asyncio.timeout(5):
        assert [item["data"] for item in await client.publications("room:1", 2)] == ["two", 3]
    client.abort()
