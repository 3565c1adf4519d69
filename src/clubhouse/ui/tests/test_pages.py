"""The parts that every page has in both languages, the front end's files, and the error pages."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from clubhouse.accounts.models import User
from clubhouse.ui.errors import bad_request, csrf_failure, forbidden, not_found, server_error
from clubhouse.ui.storage import CollectedStaticFilesStorage

pytestmark = pytest.mark.django_db

PAGES = ["/", "/accounts/login/", "/accounts/signup/", "/accounts/settings/", "/chat/", "/chat/new/", "/nowhere/"]


def _refuse(_request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def _break(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken by the test")


urlpatterns = [path("refuse/", _refuse), path("break/", _break), path("", include("clubhouse.urls"))]
handler400, handler403, handler404, handler500 = bad_request, forbidden, not_found, server_error


@pytest.fixture
def reader(make_user: Callable[..., User], sign_in: Callable[[User], Client]) -> Client:
    """A signed-in browser."""
    return sign_in(make_user("alice"))


@pytest.mark.parametrize(
    ("language", "tag", "skip"), [("en", "en", "Skip to content"), ("zh-hans", "zh-Hans-CN", "跳到主要内容")]
)
@pytest.mark.parametrize("address", PAGES)
def test_every_page_says_its_language(
    reader: Client, settings: Any, address: str, language: str, tag: str, skip: str
) -> None:
    reader.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    response = reader.get(address, follow=True)
    assert f'<html lang="{tag}" data-theme="auto">' in response.text
    assert skip in response.text
    assert f'data-catalog="/jsi18n/?lang={language}&amp;v=' in response.text


@pytest.mark.parametrize("address", PAGES)
def test_no_chinese_page_has_english_left(reader: Client, settings: Any, address: str) -> None:
    reader.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    html = reader.get(address, follow=True).text
    html = re.sub(r"<script.*?</script>|<[^>]+>|&\w+;", " ", html, flags=re.DOTALL)
    words = set(re.findall(r"[A-Za-z]{2,}", html)) - {"Clubhouse", "Hotclub", "Django", "English", "alice", "Cookie"}
    assert words == set()


@pytest.mark.parametrize("address", PAGES)
def test_every_page_has_the_landmarks_and_what_the_islands_expect(reader: Client, address: str) -> None:
    response = reader.get(address, follow=True)
    for part in (
        '<a class="skip-link" href="#main">',
        '<main id="main"',
        "<hc-connection-bar>",
        "<hc-toasts>",
        "<hc-theme>",
        'data-connection="/connection/websocket"',
        'data-http-stream="/connection/http_stream"',
        'data-sse="/connection/sse"',
        'data-emulation="/emulation"',
        f'data-user="{User.objects.get().pk}"',
        '<div id="announce-polite" class="visually-hidden" role="status"',
        '<div id="announce-assertive" class="visually-hidden" role="alert"',
    ):
        assert part in response.text, part
    assert response.text.count("<h1") == 1
    assert "style=" not in response.text


def test_strangers_have_no_user_id() -> None:
    assert 'data-user=""' in Client().get("/").text


@pytest.mark.parametrize("address", ["/", "/nowhere/", "/accounts/login/", "/jsi18n/"])
def test_the_content_security_policy_allows_this_site_only(address: str) -> None:
    response = Client().get(address)
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy.pop("script-src").startswith("'self'")
    assert policy.pop("style-src").startswith("'self'")
    assert policy == {
        "default-src": "'self'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"


def test_scripts_carry_the_nonce_of_their_own_response() -> None:
    nonces = set()
    for _ in range(2):
        response = Client().get("/")
        (nonce,) = set(re.findall(r'<script [^>]*nonce="([^"]+)"', response.text))
        assert f"'nonce-{nonce}'" in response["Content-Security-Policy"]
        nonces.add(nonce)
    assert len(nonces) == 2


def test_an_island_loads_its_files_in_the_order_of_their_imports(reader: Client) -> None:
    html = reader.get("/chat/").text
    styles = re.findall(r'<link rel="stylesheet" href="([^"]+)"', html)
    assert styles[:3] == [f"/static/clubhouse/dist/assets/{name}-0a1b2c3d.css" for name in ("base", "shared", "shell")]
    for name in ("shell", "chat"):
        assert f'<script type="module" src="/static/clubhouse/dist/assets/{name}-0a1b2c3d.js" nonce=' in html
    assert '<link rel="modulepreload" href="/static/clubhouse/dist/assets/base-0a1b2c3d.js">' in html


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "There is no build manifest"),
        ("{", "The build manifest cannot be read"),
        ('{"a": {}}', "The build manifest cannot be read"),
        ("{}", "The build has no entry"),
    ],
)
def test_a_front_end_that_is_not_built_is_said_clearly(build: Path, content: str | None, reason: str) -> None:
    manifest = build / "manifest.json"
    if content is None:
        manifest.unlink()
    else:
        manifest.write_text(content, encoding="utf-8")
    response = Client().get("/")
    assert response.status_code == 503
    assert reason in response.text
    assert "make run" in response.text


def test_a_new_build_is_noticed(build: Path) -> None:
    assert "shell-0a1b2c3d.js" in Client().get("/").text
    manifest = build / "manifest.json"
    manifest.write_text(manifest.read_text().replace("0a1b2c3d", "9f8e7d6c"), encoding="utf-8")
    assert "shell-9f8e7d6c.js" in Client().get("/").text


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("address", "status", "words"),
    [("/refuse/", 403, "No access"), ("/nowhere/", 404, "Page not found"), ("/break/", 500, "Something went wrong")],
)
def test_what_went_wrong_has_a_page(address: str, status: int, words: str) -> None:
    response = Client(raise_request_exception=False).get(address)
    assert response.status_code == status
    assert words in response.text


@pytest.mark.urls(__name__)
def test_the_page_for_our_faults_needs_no_front_end(build: Path) -> None:
    (build / "manifest.json").unlink()
    response = Client(raise_request_exception=False, headers={"Accept-Language": "zh-CN"}).get("/break/")
    assert response.status_code == 500
    assert '<html lang="zh-Hans-CN">' in response.text
    assert "出了点问题" in response.text


def test_a_form_that_is_too_long_is_explained() -> None:
    browser = Client(headers={"Accept-Language": "zh-CN"})
    response = browser.post("/accounts/login/", {"username": "x" * 3_000_000})
    assert response.status_code == 400
    assert '<html lang="zh-Hans-CN">' in response.text
    assert "无法理解这个请求" in response.text


def test_an_old_form_is_explained() -> None:
    response = Client(enforce_csrf_checks=True).post("/accounts/login/", {})
    assert response.status_code == 403
    assert "This page was too old" in response.text
    assert csrf_failure.__name__ == "csrf_failure"


@pytest.mark.parametrize(("language", "expected"), [("zh-hans", "正在连接…"), ("en", None)])
def test_the_catalog_holds_the_front_ends_texts(language: str, expected: str | None) -> None:
    response = Client().get("/jsi18n/", {"lang": language})
    assert response["Content-Type"] == "application/json"
    assert json.loads(response.content)["catalog"].get("Connecting…") == expected
    assert "immutable" not in response["Cache-Control"]


def test_the_catalog_of_a_page_can_be_kept_for_ever() -> None:
    found = re.search(r'data-catalog="([^"]+)"', Client(headers={"Accept-Language": "zh-CN"}).get("/").text)
    assert found
    address = found[1].replace("&amp;", "&")
    response = Client().get(address)
    assert {"public", "immutable", "max-age=31536000"} <= set(response["Cache-Control"].split(", "))
    assert json.loads(response.content)["catalog"]["Connecting…"] == "正在连接…"
    assert "immutable" not in Client().get(address[:-1] + "x")["Cache-Control"]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/", 200),
        ("/chat/", 200),
        ("/chat/new/", 200),
        ("/chat", 301),
        ("/accounts/login/", 302),
        ("/accounts/settings/", 200),
        ("/nowhere/", 404),
        ("/refuse/", 403),
        ("/break/", 500),
        ("/chat/99/", 404),
        ("/chat/99/messages", 404),
        ("/chat/99/join/", 302),
        ("/admin/", 302),
        ("/admin/login/", 200),
        ("/jsi18n/", 200),
    ],
)
def test_no_cache_keeps_what_a_signed_in_person_sees(reader: Client, address: str, status: int) -> None:
    reader.raise_request_exception = False
    response = reader.get(address)
    assert response.status_code == status
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))


def test_no_cache_keeps_the_pages_around_a_login_and_files_are_kept(make_user: Callable[..., User]) -> None:
    make_user("alice")
    browser = Client()
    assert "no-store" not in browser.get("/").get("Cache-Control", "")
    response = browser.post("/accounts/login/", {"username": "alice", "password": "minor swing"})
    assert "no-store" in response["Cache-Control"]
    assert "no-store" not in browser.get("/static/clubhouse/theme.js")["Cache-Control"]
    assert "no-store" in browser.get("/chat/", headers={"Host": "evil.example"})["Cache-Control"]
    assert "no-store" in browser.post("/accounts/logout/")["Cache-Control"]


def test_static_files_are_served_in_one_piece() -> None:
    response = Client().get("/static/clubhouse/theme.js")
    assert response.status_code == 200
    assert not response.streaming, "under ASGI Django would warn and read it to the end first"
    assert response["Content-Type"].startswith("text/javascript")
    assert b"wa-dark" in response.content
    part = Client().get("/static/clubhouse/theme.js", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, response.content[:10])
    again = Client().get(
        "/static/clubhouse/theme.js",
        headers={"If-None-Match": response.get("ETag", ""), "If-Modified-Since": response["Last-Modified"]},
    )
    assert (again.status_code, again.content) == (304, b"")
    assert Client().head("/static/clubhouse/theme.js").content == b""


def test_collected_files_get_a_hash_and_others_keep_their_name(tmp_path: Path, settings: Any) -> None:
    settings.STATIC_ROOT = tmp_path / "collected"
    settings.STATICFILES_DIRS = [tmp_path / "files"]
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django.contrib.admin"]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "new.txt").write_text("here")
    assert CollectedStaticFilesStorage().url("new.txt") == "/static/new.txt"
    call_command("collectstatic", interactive=False, verbosity=0)
    url = CollectedStaticFilesStorage().url("new.txt")
    assert re.fullmatch(r"/static/new\.[0-9a-f]{12}\.txt", url)
    assert (tmp_path / "collected" / url.removeprefix("/static/")).read_text() == "here"


def test_files_that_come_and_go_under_a_running_server_are_noticed(tmp_path: Path, settings: Any) -> None:
    settings.STATICFILES_DIRS = [tmp_path / "files"]
    (tmp_path / "files").mkdir()
    browser = Client()
    assert browser.get("/static/new.txt").status_code == 404
    (tmp_path / "files" / "new.txt").write_text("here")
    assert browser.get("/static/new.txt").content == b"here"
    (tmp_path / "files" / "new.txt").unlink()
    assert browser.get("/static/new.txt").status_code == 404
    assert browser.get("/static/../settings.py").status_code == 404
    assert browser.get("/static/%2e%2e/%2e%2e/settings.py").status_code == 404


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("/static/clubhouse/dist/assets/chat-CbvhaALm.js", True),
        ("/static/clubhouse/dist/assets/chat-D--xMElh.css", True),
        ("/static/clubhouse/dist/manifest.json", False),
        ("/static/clubhouse/theme.js", False),
    ],
)
def test_files_with_a_hash_in_their_name_are_kept_for_ever(name: str, kept: bool) -> None:
    from clubhouse.ui.middleware import StaticFilesMiddleware

    assert StaticFilesMiddleware(lambda _request: HttpResponse()).immutable_file_test("", name) is kept


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/x-www-form-urlencoded; charset=latin-1", 415),
        ("application/x-www-form-urlencoded; charset=utf-16", 415),
        ("multipart/form-data; boundary=x; charset=latin-1", 415),
        ("multipart/form-data; boundary=x; charset=rot13", 415),
        ("multipart/form-data; boundary=x; charset=undefined", 415),
        ("application/x-www-form-urlencoded; charset=UTF8", 200),
        ("application/x-www-form-urlencoded; charset=us-ascii", 200),
        ("application/x-www-form-urlencoded; charset=nonsense", 200),
    ],
)
def test_a_form_in_another_encoding_is_refused_and_breaks_no_page(
    settings: Any, debug: bool, content_type: str, status: int
) -> None:
    settings.DEBUG = debug
    browser = Client(enforce_csrf_checks=True)
    token = browser.get("/accounts/login/", secure=True).cookies["csrftoken"].value
    headers = {"x-csrftoken": token, "origin": "https://testserver"}
    # `post` would encode the body as the header says.
    answer = browser.generic("POST", "/accounts/login/", b"a=b", content_type, headers=headers, secure=True)
    assert answer.status_code == status
