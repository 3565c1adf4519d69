"""System checks of how channel classes are written: parameters of hooks, names of attributes, patterns that overlap."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.checks import CheckMessage
from django.core.signals import request_started
from django.core.wsgi import get_wsgi_application
from django.test import RequestFactory
from django.urls.converters import StringConverter, register_converter

import hotclub
import hotclub.checks
from hotclub.checks import hooks, options, patterns, project
from hotclub.serving import wsgi
from tests.hotclub.conftest import Declare

HISTORY = hotclub.History(size=1, ttl=timedelta(1))


class Room(hotclub.Channel):
    pattern = "chat:<int:room>"

    def can_subscribe(self, client: hotclub.Client, room: int) -> bool:
        return True


def found(messages: list[CheckMessage]) -> list[tuple[str, str]]:
    """The number of each finding, and its text; each says what to do and where."""
    for message in messages:
        assert message.hint, message
        assert message.obj, message
    return [(str(message.id).removeprefix("hotclub."), message.msg) for message in messages]


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class TestParameters:
    """Hooks and what they are called with."""

    @pytest.mark.parametrize(
        ("name", "hook", "problem"),
        [
            ("can_subscribe", lambda self, client: 0, "nothing takes the captured room"),
            ("can_subscribe", lambda self, client, rom: 0, "nothing takes the captured room; nothing gives rom"),
            ("can_subscribe", lambda self, room, client: 0, "room stands where client is given; nothing gives client"),
            ("can_subscribe", lambda client, room: 0, "client stands where self is given; room stands where client"),
            ("can_subscribe", lambda self: 0, "nothing takes client; nothing takes the captured room"),
            ("can_subscribe", lambda self, client, room, /: 0, "nothing takes the captured room; nothing gives room"),
            ("can_subscribe", decorated(lambda self, client: 0), "nothing takes the captured room"),
            ("can_publish", lambda self, client, room, data: 0, "nothing gives data"),
            ("can_subscribe", lambda self, client, room, data: 0, "nothing gives data"),
            ("on_publish", lambda self, client, room: 0, "room stands where data is given"),
            (
                "on_publish",
                lambda self, data, client, room: 0,
                "data stands where client is given; client stands where",
            ),
            ("on_unsubscribe", lambda self, *, room: 0, "nothing takes client"),
            ("on_presence_change", lambda self, client, room: 0, "room stands where joined is given"),
            ("get_state", lambda self, client: 0, "nothing takes the captured room"),
            ("tags_filter", lambda self, client: 0, "nothing takes the captured room"),
            ("channel_info", lambda self, client: 0, "nothing takes the captured room"),
            ("on_subscribe", lambda self, client, room, other: 0, "nothing gives other"),
        ],
    )
    def test_parameters_that_do_not_fit_are_an_error(
        self, declare: Declare, name: str, hook: Callable[..., Any], problem: str
    ) -> None:
        declare(type("Wrong", (Room,), {name: hook}))

        (message,) = hooks.check_hook_parameters()

        assert found([message])[0][0] == "E024"
        assert f"{name}() does not fit the pattern 'chat:<int:room>': {problem}" in message.msg
        assert str(message.hint).startswith(f"Write def {name}(self, client")

    @pytest.mark.parametrize(
        ("name", "hook"),
        [
            ("can_subscribe", lambda self, client, room: 0),
            ("can_subscribe", lambda self, who, *, room: 0),
            ("can_subscribe", lambda self, client, **values: 0),
            ("can_subscribe", lambda self, *args, **kwargs: 0),
            ("can_subscribe", lambda self, client, room, more=1: 0),
            ("can_subscribe", decorated(lambda self, client, room: 0)),
            ("on_publish", lambda self, client, message, room: 0),
            ("on_presence_change", lambda self, client, joined, room: 0),
        ],
    )
    def test_parameters_that_fit_are_none(self, declare: Declare, name: str, hook: Callable[..., Any]) -> None:
        declare(type("Right", (Room,), {name: hook}))

        assert hooks.check_hook_parameters() == []

    @pytest.mark.parametrize(
        ("base", "name", "hook", "right"),
        [
            (hotclub.MapChannel, "on_publish", lambda self, client, key, data: 0, "client, data, key"),
            (hotclub.MapChannel, "on_remove", lambda self, client: 0, "client, key"),
            (hotclub.MapChannel, "can_publish_key", lambda self, key, client: 0, "client, key"),
            (hotclub.MapChannel, "can_remove_key", lambda self, client: 0, "client, key"),
            (hotclub.SharedPollChannel, "poll", lambda self: 0, "keys"),
        ],
    )
    def test_channels_of_keys_have_hooks_of_their_own(
        self, declare: Declare, base: type, name: str, hook: Callable[..., Any], right: str
    ) -> None:
        declare(type("Wrong", (base,), {"pattern": "keyed", name: hook}))

        (message,) = hooks.check_hook_parameters()

        assert message.hint == f"Write def {name}(self, {right})."

    def test_a_class_with_a_bad_pattern_is_left_to_the_check_of_patterns(self, declare: Declare) -> None:
        declare(type("Wrong", (Room,), {"pattern": "chat:<nothing:room>"}))

        assert hooks.check_hook_parameters() == []


class TestAttributes:
    """Options and hooks that are none."""

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("presense", "Did you mean presence?"),
            ("can_subcribe", "Did you mean can_subscribe?"),
            ("histroy", "Did you mean history?"),
            ("join_leave", "Did you mean presence?"),
            ("history_size", "Did you mean history?"),
            ("key_ttl", "It belongs to MapChannel"),
            ("poll", "It belongs to SharedPollChannel"),
        ],
    )
    def test_a_misspelt_one_is_a_warning(self, declare: Declare, name: str, meant: str) -> None:
        declare(type("Wrong", (Room,), {name: True}))

        (message,) = options.check_options()

        assert found([message]) == [("W011", f"{name} does nothing on a channel class.")]
        assert meant in str(message.hint)

    @pytest.mark.parametrize("name", ["weather", "_presense", "is_member", "Message", "PATTERN", "rooms"])
    def test_one_that_is_like_none_of_ours_is_the_project_s_own(self, declare: Declare, name: str) -> None:
        declare(type("Right", (Room,), {name: None}))

        assert options.check_options() == []

    def test_a_base_of_several_classes_is_reported_once(self, declare: Declare) -> None:
        class Base(hotclub.Channel, abstract=True):
            presense = True

        declare(type("One", (Base,), {"pattern": "one"}), type("Two", (Base,), {"pattern": "two"}))

        (message,) = options.check_options()

        assert str(message.obj).endswith("Base")

    @pytest.mark.parametrize(("name", "value"), [("recovery", "cache"), ("recovery", True), ("position", True)])
    def test_an_option_that_needs_a_history_is_an_error_without_one(
        self, declare: Declare, name: str, value: Any
    ) -> None:
        declare(type("Wrong", (Room,), {name: value}))
        assert found(options.check_options()) == [("E025", f"{name} = {value!r} does nothing without history.")]

        declare(type("Right", (Room,), {name: value, "history": HISTORY}))
        assert options.check_options() == []

    @pytest.mark.parametrize(("name", "value"), [("recovery", False), ("position", False), ("delta", True)])
    def test_what_needs_no_history_is_none(self, declare: Declare, name: str, value: Any) -> None:
        declare(type("Right", (Room,), {name: value}))

        assert options.check_options() == []


class YearConverter:
    regex = "[0-9]{4}"

    def to_python(self, text: str) -> int:
        return int(text)

    def to_url(self, year: int) -> str:
        return f"{year:04}"


class Upper(StringConverter):
    regex = "[A-Z]+"


register_converter(YearConverter, "year")
register_converter(Upper, "upper")


class TestPatterns:
    """Names that two patterns match."""

    @pytest.fixture(autouse=True)
    def _impersonal(self, settings: Any) -> None:
        settings.HOTCLUB = {"PERSONAL_CHANNEL": False}

    @pytest.mark.parametrize(
        ("first", "second", "name"),
        [
            ("chat:<int:a>", "chat:<str:b>", "chat:1"),
            ("chat:<str:a>", "chat:<int:b>", "chat:1"),
            ("chat:<str:a>", "chat:<int:b>:members", "chat:1:members"),
            ("<str:a>:members", "chat:<str:b>", "chat:members"),
            ("chat:<slug:a>", "chat:lobby", "chat:lobby"),
            ("chat:lobby", "chat:<str:a>", "chat:lobby"),
            ("chat:<int:a>:<int:b>", "chat:<str:a>", "chat:1:1"),
            ("item:<uuid:a>", "item:<str:a>", "item:11111111-1111-4111-8111-111111111111"),
            ("in:<year:a>", "in:<int:a>", "in:1234"),
            ("in:<upper:a>", "in:<str:a>", "in:A"),
            ("a:<path:a>", "<str:b>:z", "a:z"),
        ],
    )
    def test_are_a_warning(self, declare: Declare, first: str, second: str, name: str) -> None:
        declare(*(type(f"C{number}", (Room,), {"pattern": text}) for number, text in enumerate((first, second))))

        (message,) = patterns.check_overlaps()

        assert found([message]) == [
            ("W012", f"The name {name!r} matches {first!r} of C0 and {second!r} of C1: the first one takes it.")
        ]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("chat:<int:a>", "room:<int:a>"),
            ("chat:<int:a>", "chat:lobby"),
            ("chat:<int:a>", "chat:007"),
            ("chat:<int:a>", "chat:<int:a>:members"),
            ("chat:<int:a>", "chat:a<str:b>"),
            ("chat:<slug:a>", "chat:<slug:a>:members"),
            ("item:<uuid:a>", "item:<int:a>"),
            ("in:<year:a>", "in:12345<int:a>"),
            ("in:<upper:a>", "in:<int:a>"),
            ("chat", "chat:"),
        ],
    )
    def test_there_are_none_of_patterns_apart(self, declare: Declare, first: str, second: str) -> None:
        declare(*(type(f"C{number}", (Room,), {"pattern": text}) for number, text in enumerate((first, second))))

        assert patterns.check_overlaps() == []

    def test_a_pattern_that_takes_the_personal_channels_is_a_warning(self, declare: Declare, settings: Any) -> None:
        declare(type("All", (Room,), {"pattern": "<str:name>"}))
        assert patterns.check_overlaps() == []

        settings.HOTCLUB = {"PERSONAL_CHANNEL": True}
        assert "the users' personal channels" in patterns.check_overlaps()[0].msg

    def test_many_patterns_are_compared_in_no_time(self, declare: Declare) -> None:
        texts = [f"app{number}:<int:a>:<slug:b>:<str:c>:members" for number in range(60)]
        declare(*(type(f"C{number}", (Room,), {"pattern": text}) for number, text in enumerate(texts)))

        assert patterns.check_overlaps() == []


def wrapped(scope: Any, receive: Any, send: Any) -> Any: ...


router = ProtocolTypeRouter({"http": wrapped, "websocket": URLRouter([])})


class TestApplication:
    """What the server serves."""

    def test_a_router_of_channels_is_told_what_to_write(self, settings: Any) -> None:
        settings.ASGI_APPLICATION = "tests.hotclub.checks.test_channels.router"

        (message,) = project.check_asgi()

        assert message.id == "hotclub.W004"
        assert "ProtocolTypeRouter" in message.msg
        assert "hotclub.asgi.application(get_asgi_application(), websocket_urlpatterns=…)" in str(message.hint)

    def test_another_application_is_told_how_to_vouch_for_itself(self, settings: Any, monkeypatch: Any) -> None:
        settings.ASGI_APPLICATION = "tests.hotclub.checks.test_channels.wrapped"

        (message,) = project.check_asgi()
        assert (message.id, "serves_hotclub = True" in str(message.hint)) == ("hotclub.W004", True)

        monkeypatch.setattr(wrapped, "serves_hotclub", True, raising=False)
        assert project.check_asgi() == []

    def test_without_a_setting_the_truth_is_told(self, settings: Any) -> None:
        settings.ASGI_APPLICATION = None

        (message,) = project.check_asgi()

        assert message.id == "hotclub.W003"
        assert "put Hotclub around Django by themselves" in message.msg


@pytest.mark.django_db
def test_the_first_request_through_wsgi_is_one_line_on_the_log(caplog: pytest.LogCaptureFixture) -> None:
    wsgi.watch_for_wsgi()
    before = len(request_started.receivers)
    site = get_wsgi_application()

    for _request in range(2):
        site(RequestFactory().get("/connection/websocket").environ, lambda *_args: lambda _body: None)

    lines = [record.getMessage() for record in caplog.records if "WSGI" in record.getMessage()]
    assert ["hotclub_serve" in line and "hotclub.asgi.application()" in line for line in lines] == [True]
    assert len(request_started.receivers) == before - 1


def test_every_check_is_in_the_reference() -> None:
    """The page lists exactly the ids that the checks can give."""
    sources = [*Path(hotclub.checks.__file__).parent.glob("*.py"), Path(hotclub.__path__[0]) / "conf" / "problems.py"]
    text = "\n".join(path.read_text() for path in sources)
    kinds = {"error": "E", "warning": "W"}
    given = {
        *(f"{kinds[kind]}{int(number):03}" for kind, number in re.findall(r"make_(error|warning)\(\s*(\d+)", text)),
        *re.findall(r'(?:hotclub\.|Problem\(\s*"|_explained\(")([EW]\d{3})', text),
    }
    page = (Path(__file__).parents[3] / "docs" / "reference" / "checks.md").read_text()

    assert given == set(re.findall(r"^\| `hotclub\.([EW]\d{3})` ", page, re.MULTILINE))
