"""What a caller is told whose name, user or database is none."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections as databases
from django.db import models, transaction

import hotclub
import hotclub.asgi
from hotclub.access.tokens import verify_connection, verify_subscription
from hotclub.actions import connections
from hotclub.actions import publish as publishing
from hotclub.channels import client as clients
from hotclub.channels.client import user_id_of, user_id_or_anonymous
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.polls import sign_keys
from hotclub.runtime import tables
from hotclub.runtime.tables import NotMigrated
from hotclub.tokens import TokenUser, connection_token, subscription_token
from tests.hotclub.conftest import Declare
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]

Configure = Callable[..., None]


class Room(hotclub.Channel):
    pattern = "chat:<int:room>"

    def can_subscribe(self, client: hotclub.Client, room: int) -> bool:
        return True


class Members(Room):
    pattern = "chat:<int:room>:members"


class Lobby(Room):
    pattern = "lobby"


class Poll(hotclub.SharedPollChannel):
    pattern = "poll"


def refusal(name: str) -> Refused:
    with pytest.raises(Refused) as refused:
        hotclub.publish(name, 1)
    assert refused.value.code == Code.UNKNOWN_CHANNEL
    return refused.value


NO_NAME = r"'chat:1\n' is no channel's name: a name has printable characters without white space, and U+000A is none"


class TestNames:
    """Names that no pattern matches."""

    @pytest.fixture(autouse=True)
    def _declared(self, declare: Declare) -> None:
        declare(Room, Members, Lobby)

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("chat:ab", "no pattern matches 'chat:ab'; near it: 'chat:<int:room>', 'chat:<int:room>:members'"),
            ("chatt:7", "no pattern matches 'chatt:7'; near it: 'chat:<int:room>'"),
            ("loby", "no pattern matches 'loby'; near it: 'lobby'"),
            ("weather", "no pattern matches 'weather'"),
            ("chat:ü", r"no pattern matches 'chat:\xfc'; near it: 'chat:<int:room>', 'chat:<int:room>:members'"),
            ("chat:1\n", NO_NAME),
            ("", "'' is no channel's name: a name is not empty"),
        ],
    )
    def test_the_caller_is_told_why_and_what_is_near(self, name: str, said: str) -> None:
        assert str(refusal(name)) == f"102 unknown channel: {said}"

    def test_the_text_is_printable_and_short_however_long_the_name(self) -> None:
        for name in ("x" * 100_000, "\x1b[31m" * 40):
            assert str(refusal(name)).isprintable()
            assert len(str(refusal(name))) < 700

    def test_a_client_is_told_nothing_of_the_patterns(self) -> None:
        assert refusal("chat:ab").message == "unknown channel"

    def test_without_any_channel_that_is_said(self, declare: Declare, hotclub_settings: Configure) -> None:
        hotclub_settings(PERSONAL_CHANNEL=False)
        declare()
        assert "channels.py" in str(refusal("chat:1"))


KEY = UUID("12345678-1234-4321-8765-123456789abc")
PERSON: Any = SimpleNamespace(pk=KEY, is_anonymous=False, is_authenticated=True)
"""A user whose primary key is no number."""


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the project's users such primary keys."""
    model = SimpleNamespace(_meta=SimpleNamespace(pk=models.UUIDField(primary_key=True), label="people.Person"))
    monkeypatch.setattr(clients, "get_user_model", lambda: model)


class TestUsers:
    """Who may be given as a user."""

    @pytest.mark.parametrize("nobody", [None, "", "bob", 1.5, True, AnonymousUser(), KEY, [], b"7"])
    def test_what_names_nobody_is_an_error(self, nobody: Any) -> None:
        with pytest.raises(ValueError, match=r"names nobody|no primary key"):
            hotclub.publish_to_user(nobody, 1)
        if nobody is not None:
            with pytest.raises(ValueError, match=r"names nobody|no primary key"):
                hotclub.disconnect(nobody)

    def test_a_user_that_is_not_saved_is_an_error_for_tokens_too(self, hotclub_settings: Configure) -> None:
        hotclub_settings(TOKENS={"HMAC_SECRET": "x" * 32})
        with pytest.raises(ValueError, match="names nobody"):
            connection_token(get_user_model()(username="new"))

    @pytest.mark.parametrize(("key", "name"), [(7, "7"), ("7", "7"), ("007", "7"), (get_user_model()(pk=7), "7")])
    def test_a_user_a_key_and_its_text_name_the_same_user(self, key: Any, name: str) -> None:
        assert user_id_of(key) == name
        assert user_id_or_anonymous(key) == name

    @pytest.mark.usefixtures("people")
    @pytest.mark.parametrize("key", [KEY, str(KEY), KEY.hex, PERSON])
    def test_a_key_need_be_no_number(self, key: Any) -> None:
        assert user_id_of(key) == str(KEY)
        for nobody in ("bob", 7):
            with pytest.raises(ValueError, match=r"no primary key of people\.Person"):
                user_id_of(nobody)

    @pytest.mark.usefixtures("people")
    @pytest.mark.parametrize("user", [KEY, str(KEY), PERSON])
    def test_every_function_takes_a_key_that_is_no_number(
        self, monkeypatch: pytest.MonkeyPatch, hotclub_settings: Configure, declare: Declare, user: Any
    ) -> None:
        declare(Room, Poll)
        found: list[Any] = []
        monkeypatch.setattr(connections, "everywhere", lambda order: found.append(order.target.user_id))
        monkeypatch.setattr(publishing, "publish", lambda channel, *_args, **_options: found.append(channel))

        hotclub.disconnect(user)
        hotclub.subscribe("chat:1", user=user)
        hotclub.unsubscribe("chat:1", user=user)
        hotclub.publish_to_user(user, 1)
        assert found == [str(KEY)] * 3 + [f"#{KEY}"]

        assert sign_keys(user, "poll", ["a"]) == sign_keys(str(KEY), "poll", ["a"])
        hotclub_settings(TOKENS={"HMAC_SECRET": "x" * 32})
        assert verify_connection(connection_token(user)).sub == str(KEY)
        assert verify_subscription(subscription_token(user, "chat:1")).sub == str(KEY)

    def test_where_users_live_elsewhere_any_text_names_one(self, hotclub_settings: Configure) -> None:
        hotclub_settings(TOKENS={"HMAC_SECRET": "x" * 32})

        assert user_id_of("bob") == "bob"
        assert user_id_of(TokenUser("bob")) == "bob"
        with pytest.raises(ValueError, match="no primary key"):
            user_id_of(1.5)  # type: ignore[arg-type]

    @pytest.mark.parametrize("nobody", [None, "", AnonymousUser()])
    def test_somebody_anonymous_has_tokens_and_signatures(self, nobody: Any) -> None:
        assert user_id_or_anonymous(nobody) == ""


class Log(Room):
    pattern = "log:<int:room>"
    history = hotclub.History(size=10, ttl=timedelta(days=1), durable=True)


CALLS: list[Callable[[], Any]] = [
    lambda: hotclub.publish("log:1", 1),
    lambda: hotclub.publish("chat:1", 1),
    lambda: hotclub.history("log:1"),
    lambda: hotclub.disconnect(1),
    lambda: hotclub.subscribe("chat:1", user=1),
    lambda: hotclub.unsubscribe("chat:1", user=1),
    lambda: hotclub.publish_to_user(1, 1),
]


class TestTables:
    """Before `manage.py migrate`, on every database."""

    @pytest.fixture(autouse=True)
    def _unmigrated(self, store: str, declare: Declare) -> Iterator[None]:
        declare(Room, Log)
        call_command("migrate", "hotclub", "zero", database=ALIAS, verbosity=0)
        yield
        call_command("migrate", "hotclub", database=ALIAS, verbosity=0)

    @pytest.mark.parametrize("call", CALLS)
    def test_the_caller_is_told_to_migrate(self, call: Callable[[], Any]) -> None:
        with pytest.raises(NotMigrated, match=f"run `manage.py migrate --database {ALIAS}`"):
            call()

    def test_a_transaction_of_the_caller_s_remains_usable(self) -> None:
        with transaction.atomic(using=ALIAS):
            with pytest.raises(NotMigrated):
                hotclub.publish("chat:1", 1)
            with databases[ALIAS].cursor() as cursor:
                cursor.execute("SELECT 1")
                assert cursor.fetchone() == (1,)

    def test_it_works_as_soon_as_another_process_has_migrated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(NotMigrated):
            hotclub.publish("log:1", 1)
        monkeypatch.setattr("hotclub.apps.look_anew", lambda alias: None)
        call_command("migrate", "hotclub", database=ALIAS, verbosity=0)

        position = hotclub.publish("log:1", 1)

        assert position is not None
        assert position.offset == 1


def test_the_default_database_is_not_named() -> None:
    assert str(NotMigrated("default", "hotclub_stream")).endswith("run `manage.py migrate`.")


@pytest.mark.parametrize("call", [lambda: hotclub.publish("chat:1", 1), lambda: hotclub.asgi.application(None)])  # type: ignore[arg-type]
def test_a_project_that_has_not_installed_the_app_is_told_so(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]
) -> None:
    configs = {name: config for name, config in apps.app_configs.items() if name != "hotclub"}
    monkeypatch.setattr(apps, "app_configs", configs)
    with pytest.raises(ImproperlyConfigured, match=r'^"hotclub" is missing from INSTALLED_APPS\.$'):
        call()


@pytest.mark.django_db
def test_a_database_is_asked_for_its_tables_once(django_assert_num_queries: Any) -> None:
    tables.look_anew("default")

    with django_assert_num_queries(0):
        tables.streams()
        tables.entries()
