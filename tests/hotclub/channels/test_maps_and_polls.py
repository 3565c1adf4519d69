"""Maps and shared polls as a project writes them: classes, hooks, functions, signatures, checks."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, SynchronousOnlyOperation
from django.db import transaction
from msgspec import Raw

import hotclub
import hotclub.maps
import hotclub.polls
from hotclub.channels.registry import get_registry
from hotclub.checks import channels
from hotclub.checks import settings as settings_checks
from hotclub.engine.broker.maps import MapMessage
from hotclub.orders.messages import ChangeMap, ClearMap, Order
from hotclub.runtime.node import require_node
from hotclub.serving.service import Service
from hotclub.testing import Connection, HotclubClient
from tests.hotclub.conftest import make_person

pytestmark = pytest.mark.django_db(transaction=True)

Declare = Callable[..., None]
Configure = Callable[..., None]
MINUTE = timedelta(minutes=1)


class Open(hotclub.MapChannel, abstract=True):
    async def can_subscribe(self, client: hotclub.Client, **kwargs: Any) -> bool:
        return True


class Board(Open):
    """Everybody may write, but nobody to `locked`; what is written is signed."""

    pattern = "board:<str:name>"
    history = hotclub.History(size=10, ttl=MINUTE)
    delta = filters = True
    debounce = timedelta(milliseconds=20)

    def can_publish_key(self, client: hotclub.Client, key: str, name: str) -> bool:
        return key != "locked"

    def on_publish(self, client: hotclub.Client, data: Any, key: str, name: str) -> Any:
        if key == "mine":
            return hotclub.maps.MapEntry(client.id, data, tags={"by": name}, score=3)
        if key == "nothing":
            return None
        return {"said": data, "in": name}

    def on_remove(self, client: hotclub.Client, key: str, name: str) -> Any:
        if key == "kept":
            raise PermissionDenied
        return {"alias": "real", "nothing": None}.get(key, key)


class Cursors(Open):
    pattern = "cursors:<int:page>"
    key_ttl = MINUTE
    presence_clients = "online:{channel}"
    presence_users = "people:{page}"

    async def can_publish_key(self, client: hotclub.Client, key: str, page: int) -> bool:
        return key == client.id


class Online(Open):
    pattern = "online:<str:channel>"
    holds = "clients"
    key_ttl = MINUTE
    delta = True


class People(Open):
    pattern = "people:<int:page>"
    holds = "users"
    key_ttl = MINUTE


class Silent(Open):
    pattern = "silent"


class Prices(hotclub.SharedPollChannel):
    pattern = "prices:<str:market>"
    interval = timedelta(hours=1)
    asked: list[tuple[str, dict[str, int]]] = []

    def can_subscribe(self, client: hotclub.Client, market: str) -> bool:
        return market != "closed"

    def poll(self, keys: Mapping[str, int], market: str) -> Any:
        self.asked.append((market, dict(keys)))
        return [hotclub.polls.Polled(key, {"price": 1}, version=2) for key in keys if key != "unversioned"] + [
            hotclub.polls.Polled("unversioned", 1)
        ]


class Weather(hotclub.SharedPollChannel):
    pattern = "weather"
    interval = timedelta(hours=1)
    versioned = False

    async def can_subscribe(self, client: hotclub.Client) -> bool:
        return True

    async def poll(self, keys: Mapping[str, int]) -> Any:
        return hotclub.polls.PollResult([hotclub.polls.Polled(key, "sunny") for key in keys], epoch="ignored")


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    Prices.asked = []
    declare(Board, Cursors, Online, People, Silent, Prices, Weather)
    hotclub_settings(ALLOW_ANONYMOUS=True)


@contextlib.asynccontextmanager
async def connected(*maps: str, user: Any = None) -> AsyncIterator[Connection]:
    client = HotclubClient()
    if user is not None:
        client.force_login(user)
    async with client.connect() as connection:
        for channel in maps:
            await connection.subscribe(channel, type=1, phase=2)
        yield connection


async def entries(channel: str) -> dict[str, Any]:
    page = await hotclub.maps.amap_state(channel)
    return {entry.key: entry for entry in page.entries}


async def put(c: Connection, channel: str, key: str, data: Any) -> None:
    await c.command("publish", channel=channel, type=1, key=key, data=data)


async def refused(command: Any) -> int:
    with pytest.raises(hotclub.Refused) as error:
        await command
    return error.value.code


def test_options_become_the_engines() -> None:
    registry = get_registry()
    board = registry.route("board:a").spec
    assert board.map is not None
    assert (board.positioned, board.delta, board.filters, board.debounce, board.latest) == (True, True, True, 20, False)
    cursors = registry.route("cursors:7").spec
    assert cursors.map is not None
    assert (cursors.map.key_ttl, cursors.positioned, cursors.latest) == (60.0, False, True)
    assert (cursors.clients_map, cursors.users_map) == ("online:cursors:7", "people:7")
    assert [registry.route(name).spec.type for name in ("board:a", "online:x", "people:1", "weather")] == [1, 2, 3, 4]
    assert not registry.route("online:x").spec.delta
    online = registry.route("online:x").spec.map
    assert online is not None
    assert (board.map.keys, online.keys) == (10_000, 0)
    prices = registry.route("prices:a").spec.poll
    assert prices is not None
    assert (prices.interval, prices.batch, prices.keys, prices.versioned) == (3600.0, 1000, 5000, True)


def test_a_presence_map_that_is_none_is_left_out(declare: Declare, caplog: pytest.LogCaptureFixture) -> None:
    declare(type("Wrong", (Cursors,), {"presence_clients": "people:{page}", "__module__": __name__}), People)
    spec = get_registry().route("cursors:7").spec
    assert (spec.clients_map, spec.users_map) == ("", "people:7")
    assert "people:7" in caplog.text


def test_a_presence_map_that_names_itself_is_resolved(declare: Declare) -> None:
    declare(type("Own", (People,), {"presence_users": "{channel}", "__module__": __name__}))
    assert get_registry().route("people:7").spec.users_map == "people:7"


async def test_what_on_publish_returns_is_what_stands_in_the_map() -> None:
    async with connected("board:a") as c:
        await put(c, "board:a", "k", 1)
        await put(c, "board:a", "mine", 2)
        await put(c, "board:a", "nothing", 3)
        found = await entries("board:a")
        assert {key: (entry.data, entry.tags, entry.score) for key, entry in found.items()} == {
            "k": ({"said": 1, "in": "a"}, {}, 0),
            c.id: (2, {"by": "a"}, 3),
        }
        assert found["k"].info.client == c.id
        assert await refused(put(c, "board:a", "locked", 1)) == 103


async def test_on_remove_decides_what_is_removed() -> None:
    async with connected("board:a") as c:
        for key in ("real", "alias", "nothing", "kept", "plain"):
            await hotclub.maps.amap_publish("board:a", key, 1)
        for key in ("alias", "nothing", "plain"):
            await c.command("publish", channel="board:a", type=1, key=key, removed=True)
        assert await refused(c.command("publish", channel="board:a", type=1, key="kept", removed=True)) == 103
        assert set(await entries("board:a")) == {"alias", "nothing", "kept"}


async def test_without_hooks_a_client_only_reads(hotclub_settings: Configure) -> None:
    async with connected("silent", "cursors:1") as c:
        assert await refused(put(c, "silent", "k", 1)) == 103
        assert await refused(c.command("publish", channel="silent", type=1, key="k", removed=True)) == 103
        await put(c, "cursors:1", c.id, {"x": 1})
        assert await refused(put(c, "cursors:1", "another", {"x": 1})) == 103
        assert await refused(c.command("publish", channel="cursors:1", type=1, key=c.id, removed=True)) == 103


async def test_in_insecure_mode_unwritten_permissions_are_given(hotclub_settings: Configure) -> None:
    hotclub_settings(ALLOW_ANONYMOUS=True, INSECURE=True)
    async with connected("silent", "cursors:1", "board:a") as c:
        await c.subscribe("online:x", type=2, phase=2)
        await put(c, "silent", "k", 1)
        await c.command("publish", channel="silent", type=1, key="k", removed=True)
        assert await refused(put(c, "cursors:1", "another", 1)) == 103
        assert await refused(put(c, "board:a", "locked", 1)) == 103
        assert await refused(put(c, "online:x", "k", 1)) == 103


async def test_members_stand_in_the_maps_of_their_channel() -> None:
    person = await sync_to_async(make_person)()
    async with connected(user=person.user) as c:
        await c.subscribe("cursors:7", type=1, phase=2)
        await c.flush()
        assert set(await entries("online:cursors:7")) == {c.id}
        assert set(await entries("people:7")) == {str(person.user.pk)}
        await c.unsubscribe("cursors:7")
        assert await entries("online:cursors:7") == await entries("people:7") == {}


async def test_the_server_changes_and_reads_maps() -> None:
    async with connected("board:a") as c:
        outcome = await hotclub.maps.amap_publish("board:a", "k", {"n": 1}, tags={"a": "b"})
        assert outcome is not None
        assert (outcome.position.offset, outcome.suppressed) == (1, None)
        again = await hotclub.maps.amap_publish("board:a", "k", 2, mode="if_new")
        assert again is not None
        assert again.suppressed is hotclub.maps.Suppressed.KEY_EXISTS
        lost = await hotclub.maps.amap_publish("board:a", "k", 2, expected=hotclub.Position(outcome.position.epoch, 9))
        assert lost is not None
        assert lost.current is not None
        assert lost.current.data == {"n": 1}
        page = await hotclub.maps.amap_state("board:a", key="k")
        assert ([entry.tags for entry in page.entries], page.cursor) == ([{"a": "b"}], "")
        assert (await hotclub.maps.amap_stats("board:a")).num_keys == 1
        assert (await c.receive("board:a")).data == {"n": 1}
        await hotclub.maps.amap_remove("board:a", "k")
        await c.flush()
        assert await entries("board:a") == {}
        await hotclub.maps.amap_publish("board:a", "k", 1)
        await hotclub.maps.amap_clear("board:a")
        await c.assert_unsubscribed("board:a", 2500)
        assert (await hotclub.maps.amap_stats("board:a")).num_keys == 0


async def test_a_change_leaves_with_the_transaction_or_not_at_all() -> None:
    def change(fail: bool) -> Any:
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            outcome = hotclub.maps.map_publish("board:a", "failed" if fail else "done", 1)
            if fail:
                raise ZeroDivisionError
        return outcome

    async with connected():
        assert await sync_to_async(change)(True) is None
        assert await sync_to_async(change)(False) is None
        assert set(await entries("board:a")) == {"done"}


async def test_synchronous_names_work_in_threads_and_refuse_the_event_loop() -> None:
    def use() -> tuple[Any, ...]:
        hotclub.maps.map_publish("board:a", "k", 1)
        state = [entry.key for entry in hotclub.maps.map_state("board:a").entries]
        keys = hotclub.maps.map_stats("board:a").num_keys
        hotclub.maps.map_remove("board:a", "k")
        hotclub.maps.map_publish("board:a", "l", 1)
        hotclub.maps.map_clear("board:a")
        return state, keys, hotclub.maps.map_stats("board:a").num_keys

    async with connected():
        assert await sync_to_async(use)() == (["k"], 1, 0)
    for call in (
        lambda: hotclub.maps.map_publish("board:a", "k", 1),
        lambda: hotclub.maps.map_remove("board:a", "k"),
        lambda: hotclub.maps.map_state("board:a"),
        lambda: hotclub.maps.map_stats("board:a"),
        lambda: hotclub.maps.map_clear("board:a"),
    ):
        with pytest.raises(SynchronousOnlyOperation):
            call()


@pytest.mark.parametrize(
    ("channel", "key", "more", "code"),
    [
        ("weather", "k", {}, 108),
        ("unheard-of", "k", {}, 102),
        ("board:a", "", {}, 107),
        ("cursors:1", "k", {"expected": hotclub.Position("x", 1)}, 107),
    ],
)
def test_what_cannot_be_changed_is_refused_before_the_commit(
    channel: str, key: str, more: dict[str, Any], code: int
) -> None:
    with pytest.raises(hotclub.Refused) as refusal, transaction.atomic():
        hotclub.maps.map_publish(channel, key, 1, **more)
    assert refusal.value.code == code


def test_clearing_takes_a_map() -> None:
    with pytest.raises(hotclub.Refused) as refusal:
        hotclub.maps.map_clear("weather")
    assert refusal.value.code == 108


def test_a_process_without_connections_changes_maps_and_cannot_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Order] = []
    monkeypatch.setattr("hotclub.orders.send.send", sent.append)
    assert hotclub.maps.map_publish("board:a", "k", 1, tags={"a": "b"}) is None
    assert hotclub.maps.map_remove("board:a", "k") is None
    hotclub.maps.map_clear("board:a")
    assert sent == [
        ChangeMap("board:a", MapMessage(key="k", data=Raw(b"1"), tags={"a": "b"})),
        ChangeMap("board:a", MapMessage(key="k", removed=True)),
        ClearMap("board:a"),
    ]
    with pytest.raises(hotclub.NoNode):
        hotclub.maps.map_state("board:a")


async def test_a_node_does_what_other_processes_ask_for(caplog: pytest.LogCaptureFixture) -> None:
    await sync_to_async(hotclub.maps.map_publish)("board:a", "k", {"n": 1}, tags={"a": "b"})
    service = Service()
    await service.start()
    try:
        service.receive(ChangeMap("board:a", MapMessage(key="k", data=Raw(b"1"))), "another", 1)
        service.receive(ChangeMap("board:a", MapMessage(key="l", data=Raw(b"1"))), "another", 2)
        service.receive(ChangeMap("unheard-of", MapMessage(key="l", data=Raw(b"1"))), "another", 3)
        await service.node.channels.settle()
        assert set(await entries("board:a")) == {"k", "l"}
        service.receive(ClearMap("board:a"), "another", 4)
        await service.node.channels.settle()
        assert await entries("board:a") == {}
        assert "unheard-of" in caplog.text
    finally:
        await service.stop()


async def follow(c: Connection, channel: str, keys: list[str], signature: str) -> dict[str, Any]:
    batch = {"signature": signature, "items": [{"key": key} for key in keys]}
    return await c.command("sub_refresh", channel=channel, type=1, track=[batch])


async def test_a_signed_list_of_keys_can_be_followed(caplog: pytest.LogCaptureFixture) -> None:
    person = await sync_to_async(make_person)()
    keys = ["a", "unversioned"]
    signature = hotclub.polls.sign_keys(person.user, "prices:x", keys, ttl=timedelta(seconds=30))
    async with connected(user=person.user) as c:
        await c.subscribe("prices:x", type=4)
        assert 28 <= (await follow(c, "prices:x", keys, signature))["ttl"] <= 30
        await require_node().channels.polls.refresh("prices:x")
        assert (await c.receive("prices:x")).data == {"price": 1}
        await c.assert_nothing_received("prices:x")
        assert Prices.asked[0] == ("x", {"a": 0, "unversioned": 0})
        assert "versioned = False" in caplog.text
        assert await refused(follow(c, "prices:x", ["a"], signature)) == 103
        expired = hotclub.polls.sign_keys(person.user, "prices:x", ["a"], ttl=timedelta(seconds=-60))
        assert await refused(follow(c, "prices:x", ["a"], expired)) == 109
        anonymous = hotclub.polls.sign_keys(AnonymousUser(), "prices:x", ["a"])
        assert await refused(follow(c, "prices:x", ["a"], anonymous)) == 103
        assert await refused(c.subscribe("prices:closed", type=4)) == 103


async def test_values_without_versions_and_async_polls(hotclub_settings: Configure) -> None:
    hotclub_settings(ALLOW_ANONYMOUS=True, POLL_SECRETS=["new", "old"])
    signature = hotclub.polls.sign_keys(None, "weather", ["paris"])
    hotclub_settings(ALLOW_ANONYMOUS=True, POLL_SECRETS=["newest", "new"])
    async with connected() as c:
        await c.subscribe("weather", type=4)
        await follow(c, "weather", ["paris"], signature)
        await require_node().channels.polls.refresh("weather")
        assert (await c.receive("weather")).data == "sunny"


def test_only_keys_of_shared_polls_are_signed(settings: Any) -> None:
    for channel, code in (("board:a", 108), ("unheard-of", 102)):
        with pytest.raises(hotclub.Refused) as refusal:
            hotclub.polls.sign_keys(None, channel, ["a"])
        assert refusal.value.code == code


async def test_a_new_secret_key_leaves_old_signatures_good_for_a_while(settings: Any) -> None:
    signature = hotclub.polls.sign_keys("", "weather", ["paris"])
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another secret key"
    async with connected() as c:
        await c.subscribe("weather", type=4)
        assert await refused(follow(c, "weather", ["paris"], signature)) == 103
        settings.SECRET_KEY_FALLBACKS = [old]
        await follow(c, "weather", ["paris"], signature)


def wrong(base: type, declare: Declare, **attributes: Any) -> list[str | None]:
    declare(type("Wrong", (base,), {"__module__": __name__, **attributes}))
    found = channels.check_channels()
    assert all(message.hint for message in found)
    return [message.id for message in found]


@pytest.mark.parametrize(
    ("base", "attributes"),
    [
        (Board, {"key_ttl": 60}),
        (Board, {"max_keys": 0}),
        (Board, {"key_ttl": timedelta(0)}),
        (Board, {"holds": "people"}),
        (Board, {"history": hotclub.History(size=1, ttl=MINUTE, durable=True)}),
        (Board, {"debounce": 50}),
        (Board, {"on_remove": 7}),
        (Board, {"presence_clients": "online:{room}"}),
        (Board, {"presence_users": 7}),
        (Online, {"key_ttl": None}),
        (Online, {"key_ttl": timedelta(seconds=10)}),
        (Prices, {"poll": hotclub.SharedPollChannel.poll}),
        (Prices, {"interval": 10}),
        (Prices, {"timeout": timedelta(0)}),
        (Prices, {"batch_size": 0}),
        (Prices, {"max_keys": True}),
        (Prices, {"filters": True}),
    ],
)
def test_mistakes_are_found(base: type, attributes: dict[str, Any], declare: Declare) -> None:
    assert wrong(base, declare, **attributes) == ["hotclub.E019"]


@pytest.mark.parametrize("base", [Board, Cursors, Online, People, Prices, Weather])
def test_what_is_right_passes(base: type, declare: Declare) -> None:
    assert wrong(base, declare) == []


@pytest.mark.parametrize("value", ["secret", [b"secret"], [""], 7])
def test_secrets_are_a_list_of_strings(value: object, hotclub_settings: Configure) -> None:
    hotclub_settings(POLL_SECRETS=value)
    (message,) = settings_checks.check_settings()
    assert (message.id, "POLL_SECRETS" in message.msg) == ("hotclub.E007", True)
