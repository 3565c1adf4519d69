"""From names to channel classes."""

from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

import hotclub
from hotclub.channels.registry import Declarations, Registry, get_registry
from hotclub.conf.config import Config


class Room(hotclub.Channel):
    pattern = "chat:<int:room_id>"
    history = hotclub.History(size=5, ttl=timedelta(minutes=1), durable=True)
    presence = True


class Member(hotclub.Channel):
    pattern = "member:<slug:team>:<uuid:who>"


class Lobby(hotclub.Channel):
    pattern = "lobby"
    history = hotclub.History(size=5, ttl=timedelta(minutes=1))
    recovery = False


class Board(hotclub.Channel):
    pattern = "board"
    history = hotclub.History(size=5, ttl=timedelta(minutes=1))
    recovery = "cache"
    position = delta = filters = compaction = True


class Base(hotclub.Channel, abstract=True):
    presence = True


class Heir(Base):
    pattern = "heir"


class Broken(hotclub.Channel):
    pattern = "broken:<nothing:x>"


class Nameless(hotclub.Channel):
    pass


@hotclub.rpc("ping")
def ping(client: hotclub.Client) -> str:
    return "pong"


def collect(*modules: dict[str, Any]) -> Declarations:
    made = []
    for names in modules:
        module = ModuleType("app.channels")
        vars(module).update(names)
        made.append(module)
    return Declarations.collect(made)


def registry(*classes: type[hotclub.Channel], **settings: Any) -> Registry:
    return Registry(Declarations(classes), Config(**settings))


def test_a_name_is_resolved_to_class_values_and_options() -> None:
    route = registry(Lobby, Room).resolve("chat:42")

    assert route is not None
    assert isinstance(route.channel, Room)
    assert dict(route.kwargs) == {"room_id": 42}
    assert route.pattern == "chat:<int:room_id>"
    assert route.spec.durable
    assert route.spec.presence
    assert route.spec.positioned
    assert (route.spec.retention.size, route.spec.retention.ttl) == (5, 60.0)


def test_what_subscribers_may_ask_for_reaches_the_engine() -> None:
    spec = registry(Board).route("board").spec
    assert (spec.recoverable, spec.cache, spec.position) == (True, True, True)
    assert (spec.delta, spec.filters, spec.compaction) == (True, True, True)
    spec = registry(Lobby).route("lobby").spec
    assert not any((spec.recoverable, spec.cache, spec.position, spec.delta, spec.filters, spec.compaction))


def test_only_the_insecure_let_everybody_publish_where_everybody_may_come_in() -> None:
    class Guarded(hotclub.Channel):
        pattern = "guarded"

        def can_subscribe(self, client: hotclub.Client) -> bool:
            return False

    insecure = registry(Lobby, Guarded, insecure=True)
    assert insecure.route("lobby").spec.members_only is False
    assert insecure.route("guarded").spec.members_only is True
    assert insecure.route("#1").spec.members_only is True
    assert registry(Lobby).route("lobby").spec.members_only is True


def test_a_channel_without_recovery_keeps_history_without_positions() -> None:
    route = registry(Lobby).route("lobby")

    assert route.spec.retention.size == 5
    assert not route.spec.positioned


@pytest.mark.parametrize(
    "name",
    [
        "",
        "chat:",
        "chat:x",
        "chat:*",
        "*",
        "..",
        "chat:1/../2",
        "chat:%31",
        "chat:1\0",
        "chat:1\n",
        "\nchat:1",
        "chat: 1",
        "Chat:1",
        "chat:-1",
        "chat:1:2",
        "xchat:1",
        "ｃhat:1",
        "chat:１",
        "chat:٣",
        "сhat:1",  # Cyrillic
        "chat:1\u200b",
        "lobby\n",
        "l" * 256,
    ],
)
def test_what_is_no_name_of_a_channel_has_no_route(name: str) -> None:
    assert registry(Room, Lobby).resolve(name) is None
    with pytest.raises(hotclub.Refused) as refused:
        registry(Room, Lobby).route(name)
    assert refused.value.code == 102


@pytest.mark.parametrize(
    "name", ["chat:007", "chat:00", "member:a:E02B2D17-6C5C-4BB5-A6EA-5E7E5F5E5E5E", "member:a:" + "0" * 32]
)
def test_a_second_spelling_is_no_second_channel(name: str) -> None:
    assert registry(Room, Member).resolve(name) is None


def test_a_uuid_in_its_own_spelling_is_resolved() -> None:
    assert registry(Member).resolve("member:a:e02b2d17-6c5c-4bb5-a6ea-5e7e5f5e5e5e") is not None


def test_resolved_names_are_remembered_and_their_number_is_bounded() -> None:
    rooms = registry(Room)
    assert rooms.resolve("chat:1") is rooms.resolve("chat:1")

    for number in range(20_000):
        rooms.resolve(f"no:{number}")

    assert rooms.resolve.cache_info().currsize <= 8192


def test_the_personal_channel_follows_its_settings() -> None:
    assert registry(personal_channel=False).resolve("#3") is None
    route = registry(personal_history=(7, 30)).route("#3")

    assert dict(route.kwargs) == {"user_id": "3"}
    assert (route.spec.retention.size, route.spec.retention.ttl) == (7, 30.0)
    assert route.spec.positioned
    assert not route.spec.presence


def test_declarations_are_collected_once_and_bases_are_not() -> None:
    module = {"Channel": hotclub.Channel, "Base": Base, "Heir": Heir, "Room": Room, "ping": ping, "other": 3}

    declared = collect(module, {"Room": Room, "again": ping})

    assert declared.channels == (Heir, Room)
    assert [procedure.name for procedure in declared.procedures] == ["ping"]
    assert Heir.presence


def test_an_unrelated_channels_module_declares_nothing() -> None:
    assert collect({"get_channel_layer": lambda: None, "CHANNELS": [1], "json": __import__("json")}) == Declarations()


def test_a_class_that_cannot_be_routed_leaves_the_others_alone() -> None:
    declared = registry(Broken, Nameless, Lobby)

    assert declared.resolve("lobby") is not None
    assert declared.resolve("broken:1") is None


def test_the_first_of_two_equal_patterns_wins() -> None:
    class Second(hotclub.Channel):
        pattern = "lobby"

    assert isinstance(registry(Lobby, Second).route("lobby").channel, Lobby)


def test_the_project_has_one_registry() -> None:
    assert get_registry() is get_registry()
