"""Who may open a connection, and as whom."""

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

import pytest
import websockets
from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY, get_user_model
from django.core.handlers.asgi import ASGIRequest

from hotclub.access.handshake import (
    SESSION_STATE,
    RefusedHandshake,
    RequestHeaders,
    check_handshake,
    check_http_request,
)
from hotclub.access.session import LOGIN_KEY, authenticate, login_of, session_store
from hotclub.conf.config import Config
from tests.hotclub.conftest import Site, amake_person, make_person
from tests.support.server import websocket_url

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]


def scope(**headers: str) -> dict[str, Any]:
    return {
        "type": "websocket",
        "scheme": "ws",
        "path": "/connection/websocket",
        "query_string": b"",
        "client": ("192.0.2.1", 5000),
        "server": ("127.0.0.1", 80),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }


def status(config: Config | None = None, *, scheme: str = "ws", **headers: Any) -> int:
    """200 for a handshake that may go on, otherwise the status it is refused with."""
    try:
        check_handshake({**scope(**headers), "scheme": scheme}, config or Config())
    except RefusedHandshake as refused:
        return refused.status.value
    return 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.com",
        "https://good.com",  # the page is served over http
        "http://good.com.evil.com",
        "http://good.com@evil.com",
        "http://evil.com#good.com",
        "http://evil.com/http://good.com",
        "http://xgood.com",
        "http://sub.good.com",
        "http://good.com:81",
        "http://good.com/",
        "http://good.com,http://evil.com",
        "good.com",
        "",
        "*",
    ],
)
@pytest.mark.parametrize("cookie", ["", "sessionid=abcdefgh"])
def test_a_foreign_origin_is_forbidden(origin: str, cookie: str) -> None:
    assert status(host="good.com", origin=origin, cookie=cookie) == 403


@pytest.mark.parametrize(
    ("host", "origin", "scheme"),
    [
        ("good.com", "http://good.com", "ws"),
        ("GOOD.com", "http://good.COM", "ws"),
        ("good.com:8000", "http://good.com:8000", "ws"),
        ("good.com:80", "http://good.com", "ws"),
        ("good.com", "https://good.com", "wss"),
        ("[::1]:8000", "http://[::1]:8000", "ws"),
    ],
)
def test_the_own_origin_is_allowed(host: str, origin: str, scheme: str) -> None:
    assert status(host=host, origin=origin, scheme=scheme, cookie="sessionid=abcdefgh") == 200


def test_a_listed_origin_is_allowed_and_its_neighbours_are_not() -> None:
    config = Config(allowed_origins=("https://app.example.com",))

    assert status(config, host="good.com", origin="https://app.example.com") == 200
    assert status(config, host="good.com", origin="https://app.example.com:444") == 403
    assert status(config, host="good.com", origin="http://app.example.com") == 403


def test_a_session_cookie_without_an_origin_is_forbidden() -> None:
    assert status(host="good.com", cookie="sessionid=abcdefgh") == 403
    assert status(host="good.com", cookie="theme=dark") == 200


def test_a_host_that_is_not_ours_is_a_bad_request(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["good.com"]

    assert status(host="evil.com", origin="http://evil.com") == 400
    assert status(host="good.com", origin="http://good.com") == 200


def test_forwarded_headers_count_only_where_django_trusts_them(settings: Any) -> None:
    forwarded: dict[str, Any] = {"host": "inner", "x_forwarded_host": "good.com", "x_forwarded_proto": "https"}
    assert status(origin="https://good.com", **forwarded) == 403

    settings.USE_X_FORWARDED_HOST = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    assert status(origin="https://good.com", **forwarded) == 200


def test_what_a_hostile_handshake_holds_beside_makes_nothing_stumble() -> None:
    hostile = {
        **scope(host="good.com", origin="http://good.com", cookie="\xff=;;=", content_type="a/b; charset=\0"),
        "query_string": b"\xff\xfe",
    }

    assert check_handshake(hostile, Config()).headers["host"] == "good.com"


def test_the_opaque_origin_is_allowed_by_name_and_brings_no_login() -> None:
    """Pages from files and in sandboxed frames; any site can make such a frame."""
    opaque = scope(host="good.com", origin="null", cookie="sessionid=" + "a" * 32)
    for check in (check_handshake, check_http_request):
        handshake = check({**opaque, "method": "POST"}, Config(allowed_origins=("null",)))
        assert handshake.state[SESSION_STATE] == ""
        for allowed in ((), ("https://null",)):
            with pytest.raises(RefusedHandshake):
                check({**opaque, "method": "POST"}, Config(allowed_origins=allowed))
    with pytest.raises(RefusedHandshake):
        check_handshake(scope(host="good.com", origin="NULL"), Config(allowed_origins=("null",)))


def test_the_handshake_carries_headers_and_address() -> None:
    handshake = check_handshake(scope(host="good.com", user_agent="x"), Config())

    assert handshake.headers["user-agent"] == "x"
    assert handshake.address == "192.0.2.1"


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("origin", "expected"), [("http://evil.com", 403), ("null", 403), ("https://good.com@evil", 403)]
)
async def test_the_refusal_is_an_http_status(serve: Serve, fast: bool, origin: str, expected: int) -> None:
    site = await serve(fast=fast)

    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(websocket_url(site.url), additional_headers={"Origin": origin}, proxy=None)

    assert refused.value.response.status_code == expected


async def test_a_signed_in_person_connects_and_an_anonymous_one_is_refused_for_good(serve: Serve) -> None:
    site = await serve()

    assert (await site.open(await amake_person())).connects == 1
    anonymous = await site.open(wait=False)

    assert (await anonymous.gone)[0] == 3501


async def test_anonymous_connections_can_be_allowed(serve: Serve, hotclub_settings: Configure) -> None:
    hotclub_settings(ALLOW_ANONYMOUS=True)
    site = await serve()

    assert (await site.open()).connects == 1


@pytest.mark.parametrize(
    "cookie", ["sessionid=", "sessionid=short", "sessionid=" + "0" * 32, "sessionid=" + "a" * 5000]
)
async def test_a_worthless_cookie_is_nobody(serve: Serve, cookie: str) -> None:
    site = await serve()

    assert (await (await site.open(cookie=cookie, wait=False)).gone)[0] == 3501


def test_a_session_is_only_read() -> None:
    person = make_person()
    get_user_model()._default_manager.filter(pk=person.user.pk).update(password="changed")

    assert authenticate(person.session_key) is None
    assert session_store(person.session_key).get(SESSION_KEY) is not None


def test_a_session_made_with_an_old_secret_still_counts(settings: Any) -> None:
    person = make_person()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"

    login = authenticate(person.session_key)

    assert login is not None
    assert login.user == person.user


def test_an_inactive_user_and_a_removed_backend_sign_nobody_in(settings: Any) -> None:
    person = make_person()
    assert authenticate(person.session_key) is not None

    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    assert authenticate(person.session_key) is None
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    get_user_model()._default_manager.filter(pk=person.user.pk).update(is_active=False)

    assert authenticate(person.session_key) is None


def test_a_session_id_tells_nothing_of_the_key() -> None:
    assert login_of({}, None) == login_of({}, "") == ""
    assert login_of({}, "key") == login_of({}, "key") != login_of({}, "kez")
    assert "key" not in login_of({}, "key")
    assert login_of({LOGIN_KEY: "name"}, "key") == login_of({LOGIN_KEY: "name"}, "kez") != login_of({}, "key")
    assert "name" not in login_of({LOGIN_KEY: "name"}, "key")


async def test_the_user_of_a_hook_is_the_session_s_whatever_the_client_claims(
    serve: Serve, declare: Callable[..., None]
) -> None:
    import hotclub

    seen = []

    @hotclub.rpc("whoami")
    async def whoami(client: hotclub.Client) -> str:
        seen.append(client)
        return client.user_id

    declare(whoami)
    site = await serve()
    person = await amake_person()
    connected = await site.open(person)

    answer = await connected.sdk.rpc("whoami", {})

    assert answer.data == str(person.user.pk)
    assert seen[0].login_id == await sync_to_async(lambda: person.login_id)()
    with pytest.raises(Exception, match="unknown argument 'user'"):
        await connected.sdk.rpc("whoami", {"user": "1", "is_staff": True})
    assert await sync_to_async(lambda: seen[0].user.username)() == "django"


def test_headers_are_those_that_django_reads() -> None:
    raw = [
        (b"host", b"club.example"),
        (b"accept-language", b"zh"),
        (b"accept-language", b"en;q=0.5"),
        (b"x_forwarded_for", b"forged"),
        (b"content-length", b"7"),
        (b"x-name", "café".encode("latin1")),
    ]
    request = ASGIRequest({"type": "http", "method": "GET", "path": "/", "headers": raw[:4] + raw[5:]}, BytesIO())
    headers = RequestHeaders(raw)
    assert dict(headers) == {name.lower(): value for name, value in request.headers.items()}
    assert len(headers) == 3
    assert headers["accept-language"] == "zh,en;q=0.5"
    assert headers.get("content-length") is None
