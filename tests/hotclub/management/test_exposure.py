"""What other machines must not reach, `hotclub_serve` does not show them."""

import socket
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from hotclub.management.commands import hotclub_serve
from hotclub.management.exposure import is_loopback

STRONG = "".join(chr(ord("a") + number % 26) for number in range(60))


@pytest.fixture
def exposed(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """The sockets on which a server began to serve; it ends at once. The project is fit for other machines."""
    served: list[socket.socket] = []
    monkeypatch.setattr(hotclub_serve, "run", lambda _app, *, listener, **_: served.append(listener))
    settings.SECRET_KEY, settings.DEBUG = STRONG, False
    yield served
    for listener in served:
        listener.close()


def serve_on(host: str, *options: str) -> str:
    told = StringIO()
    call_command("hotclub_serve", "--host", host, "--port", "0", *options, stderr=told, skip_checks=True)
    return told.getvalue()


WEAK = [
    ({"DEBUG": True}, "DEBUG is on"),
    ({"SECRET_KEY": "short"}, "SECRET_KEY can be guessed"),
    ({"SECRET_KEY": "a" * 60}, "SECRET_KEY can be guessed"),
    ({"SECRET_KEY": f"django-insecure-{STRONG}"}, "SECRET_KEY can be guessed"),
    ({"SECRET_KEY_FALLBACKS": ["short"]}, "SECRET_KEY can be guessed"),
    ({"HOTCLUB": {"INSECURE": True}}, "lets anybody do nearly everything"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("change", "reason"), WEAK)
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_serve_shows_a_weak_project_to_this_machine_alone(
    exposed: list[socket.socket], host: str, change: dict[str, Any], reason: str
) -> None:
    with override_settings(**change):
        with pytest.raises(CommandError) as refused:
            serve_on(host)
        assert reason in str(refused.value)
        assert "--allow-insecure" in str(refused.value)
        assert not exposed
        for options in (("127.0.0.1",), ("127.8.8.8",), ("localhost",), (host, "--allow-insecure")):
            assert reason in serve_on(*options)
    assert len(exposed) == 4


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "::1"])
def test_serve_shows_a_strong_project_to_everybody_without_a_word(exposed: list[socket.socket], host: str) -> None:
    assert serve_on(host) == ""
    assert len(exposed) == 1


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("::", False), ("10.0.0.1", False), ("x", False)],
)
def test_addresses_of_this_machine_alone_are_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
