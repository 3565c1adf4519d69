"""System checks: each finds its mistake, says what to do, and is quiet without it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, run_checks
from django.core.checks.registry import registry

import hotclub
from hotclub.asgi import application
from hotclub.checks import access, channels, hooks, nodes, options, patterns, project
from hotclub.checks import settings as settings_checks

Declare = Callable[..., None]
Configure = Callable[..., None]

DURABLE = hotclub.History(size=1, ttl=timedelta(1), durable=True)


class Good(hotclub.Channel):
    pattern = "good:<int:number>"

    def can_subscribe(self, client: hotclub.Client, number: int) -> bool:
        return True


class GoodLog(Good):
    pattern = "log:<int:number>"
    history = DURABLE

    def on_publish(self, client: hotclub.Client, data: Any, number: int) -> Any:
        return data


@hotclub.rpc("good")
def good(client: hotclub.Client, number: int) -> int:
    return number


def greet(client: hotclub.Client) -> None: ...


def answer(method: str, params: Any) -> Any: ...


async def django_app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    raise NotImplementedError


asgi_application = application(django_app)


def ids(messages: list[CheckMessage]) -> list[str]:
    for message in messages:
        assert message.hint, message
    return [message.id.removeprefix("hotclub.") for message in messages if message.id]


def with_channel(declare: Declare, **attributes: Any) -> list[str]:
    declare(type("Wrong", (Good,), {"__module__": __name__, **attributes}))
    return ids(channels.check_channels())


def test_a_sound_project_passes(declare: Declare, settings: Any) -> None:
    settings.ASGI_APPLICATION = "tests.hotclub.checks.test_checks.asgi_application"
    declare(Good, GoodLog, good)

    assert run_checks(tags=["hotclub"], include_deployment_checks=False) == []


def test_every_check_is_registered() -> None:
    modules: dict[str, Any] = {}
    for module in (access, channels, hooks, nodes, options, patterns, project, settings_checks):
        modules |= vars(module)
    ours = {check for check in registry.get_checks(include_deployment_checks=True) if "hotclub" in check.tags}

    assert ours == {value for name, value in modules.items() if name.startswith("check_")}


def test_mistakes_in_the_settings_are_errors(hotclub_settings: Configure) -> None:
    hotclub_settings(ENGNE="memory://", ENGINE="pigeon://")

    assert ids(settings_checks.check_settings()) == ["E002", "E004"]


@pytest.mark.parametrize(
    "path",
    ["no.such.module", *(f"{__name__}.{name}" for name in ("missing", "DURABLE", "asgi_application", "Good"))],
)
@pytest.mark.parametrize("name", ["ON_CONNECT", "ON_DISCONNECT", "API_RPC"])
def test_a_hook_that_is_no_function_is_an_error(hotclub_settings: Configure, name: str, path: str) -> None:
    hotclub_settings(**{name: path})

    assert ids(settings_checks.check_hooks()) == ["E008"]


@pytest.mark.parametrize(
    ("name", "path"), [("ON_CONNECT", "answer"), ("ON_DISCONNECT", "answer"), ("API_RPC", "greet")]
)
def test_a_hook_that_cannot_be_called_is_an_error(hotclub_settings: Configure, name: str, path: str) -> None:
    hotclub_settings(**{name: f"tests.hotclub.checks.test_checks.{path}"})

    assert ids(settings_checks.check_hooks()) == ["E008"]


def test_a_hook_that_exists_is_none(hotclub_settings: Configure) -> None:
    hotclub_settings(
        ON_CONNECT="tests.hotclub.checks.test_checks.greet", API_RPC="tests.hotclub.checks.test_checks.answer"
    )

    assert settings_checks.check_hooks() == []


def test_a_class_without_a_pattern_is_an_error(declare: Declare) -> None:
    class Patternless(hotclub.Channel):
        def can_subscribe(self, client: hotclub.Client) -> bool:
            return True

    declare(Patternless)

    assert ids(channels.check_channels()) == ["E010"]


def test_a_class_without_can_subscribe_is_an_error(declare: Declare) -> None:
    class Careless(hotclub.Channel):
        pattern = "careless"

    declare(Careless)

    assert ids(channels.check_channels()) == ["E011"]


@pytest.mark.parametrize("token", [True, False])
def test_nobody_needs_a_permission_that_a_token_or_the_settings_give(
    declare: Declare, settings: Any, token: bool
) -> None:
    class Careless(hotclub.Channel):
        pattern = "careless"

    Careless.token = token
    settings.HOTCLUB = {"INSECURE": not token}
    declare(Careless)

    assert ids(channels.check_channels()) == []


@pytest.mark.parametrize(
    "pattern",
    [3, "", "room:<nothing:x>", "room:<int:x", "room:<int:a-b>", "room 1", "room:\u200d<int:x>", "room:\u3164",
     "x" * 256, "周" * 86, "room:<int:client>",
     "room:<str:data>"],
)  # fmt: skip
def test_a_pattern_that_cannot_be_used_is_an_error(declare: Declare, pattern: Any) -> None:
    assert with_channel(declare, pattern=pattern) == ["E012"]


@pytest.mark.parametrize(
    "pattern", ["zimmer:ü", "zimmer:u\u0308", "聊天:<str:name>", "room/<int:x>", "a@b|c\\d:<int:x>"]
)
def test_a_pattern_of_any_alphabet_is_good(declare: Declare, pattern: str) -> None:
    assert with_channel(declare, pattern=pattern) == []


def test_two_classes_with_one_pattern_are_an_error(declare: Declare) -> None:
    declare(Good, type("Twin", (Good,), {"__module__": __name__}))

    assert ids(channels.check_channels()) == ["E013"]


@pytest.mark.parametrize(
    "history",
    [(100, 60), hotclub.History(0, timedelta(1)), hotclub.History(True, timedelta(1)), hotclub.History(1, timedelta()),
     hotclub.History(1, 60)],  # type: ignore[arg-type]
)  # fmt: skip
def test_a_history_without_size_or_ttl_is_an_error(declare: Declare, history: Any) -> None:
    assert with_channel(declare, history=history) == ["E014"]


@pytest.mark.parametrize("hook", channels.HOOKS)
@pytest.mark.parametrize("value", [True, staticmethod(lambda client, number: True), property(lambda self: True), None])
def test_a_hook_that_is_no_method_is_an_error(declare: Declare, hook: str, value: Any) -> None:
    assert with_channel(declare, **{hook: value}) == ["E015"]


@pytest.mark.parametrize("hook", ["can_publish", "on_publish"])
def test_an_async_hook_of_a_transaction_is_an_error(declare: Declare, hook: str) -> None:
    async def wait(self: Any, client: Any, *args: Any, **kwargs: Any) -> bool:
        return True

    assert with_channel(declare, history=DURABLE, **{hook: wait}) == ["E016"]
    assert with_channel(declare, **{hook: wait}) == []


def test_two_procedures_with_one_name_are_an_error(declare: Declare) -> None:
    @hotclub.rpc("good")
    def other(client: hotclub.Client) -> None: ...

    declare(good, other)

    assert ids(channels.check_procedures()) == ["E017"]


def test_a_procedure_that_cannot_be_called_is_an_error(declare: Declare) -> None:
    @hotclub.rpc("lonely")
    def lonely() -> None: ...

    @hotclub.rpc("undefined")
    def undefined(client: hotclub.Client, a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    declare(lonely, undefined)

    assert ids(channels.check_procedures()) == ["E018", "E018"]


def test_missing_apps_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda name: False)

    assert ids(project.check_apps())[:2] == ["E020", "E020"]


def test_staticfiles_before_us_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

    for order, expected in (
        (["django.contrib.staticfiles", "hotclub"], ["W007"]),
        (["daphne", "hotclub", "django.contrib.staticfiles"], ["W007"]),
        (["hotclub", "django.contrib.staticfiles", "daphne"], []),
    ):
        monkeypatch.setattr(apps, "get_app_configs", lambda order=order: [Named(name) for name in order])
        assert ids(project.check_apps()) == expected


def test_missing_middleware_is_a_warning(settings: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]

    assert ids(project.check_middleware()) == ["W002", "W002"]


def test_middleware_that_inherits_counts(settings: Any) -> None:
    settings.MIDDLEWARE = [
        "tests.hotclub.checks.test_checks.OwnSessions",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]

    assert project.check_middleware() == []


class OwnSessions(project._import_or_none("django.contrib.sessions.middleware.SessionMiddleware")):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (None, ["W003"]),
        ("no.such.asgi.application", ["W004"]),
        ("tests.hotclub.checks.test_checks.django_app", ["W004"]),
        ("tests.hotclub.checks.test_checks.asgi_application", []),
    ],
)
def test_what_the_server_serves_has_to_be_ours(settings: Any, path: str | None, expected: list[str]) -> None:
    settings.ASGI_APPLICATION = path

    assert ids(project.check_asgi()) == expected


class Database:
    """As much of a database connection as the check looks at."""

    def __init__(self, vendor: str, **options: Any) -> None:
        self.vendor = vendor
        self.settings_dict = {"OPTIONS": options}


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        (Database("sqlite"), ["W001"]),
        (Database("sqlite", transaction_mode=None), ["W001"]),
        (Database("sqlite", transaction_mode="deferred"), ["W001"]),
        (Database("sqlite", transaction_mode="immediate"), []),
        (Database("postgresql"), []),
        (Database("mysql"), ["E021"]),
    ],
)
def test_durable_channels_need_a_fit_database(
    declare: Declare, monkeypatch: pytest.MonkeyPatch, database: Database, expected: list[str]
) -> None:
    monkeypatch.setattr(project, "connections", {"default": database})
    declare(GoodLog)
    assert ids(project.check_database()) == expected
    declare(Good)
    assert project.check_database() == []


@pytest.mark.parametrize(("age", "expected"), [(0, []), (60, ["W005"]), (None, ["W005"])])
def test_persistent_connections_are_a_warning(
    settings: Any, monkeypatch: pytest.MonkeyPatch, age: int | None, expected: list[str]
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "CONN_MAX_AGE", age)

    assert ids(project.check_connections()) == expected


def test_a_database_that_does_not_commit_by_itself_is_an_error(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.check_autocommit() == []
    monkeypatch.setitem(settings.DATABASES["default"], "AUTOCOMMIT", False)

    assert ids(project.check_autocommit()) == ["E027"]
    assert [message.id for message in run_checks() if message.id == "hotclub.E027"] == ["hotclub.E027"]


def test_an_insecure_cookie_is_a_warning_when_deployed(settings: Any) -> None:
    settings.DEBUG, settings.SESSION_COOKIE_SECURE = False, False
    assert ids(project.check_cookies()) == ["W006"]
    settings.SESSION_COOKIE_SECURE = True
    assert project.check_cookies() == []
    settings.DEBUG, settings.SESSION_COOKIE_SECURE = True, False
    assert project.check_cookies() == []
