"""Every transport through Django: whose request it is, and that a login that is over or a permission that is gone ends
what it opened within a second, and gives nothing when it comes back."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.core.asgi import get_asgi_application
from django.utils import timezone

from hotclub import Channel, Client, History, ahistory, apublish, aunsubscribe
from hotclub.asgi import application
from hotclub.conf.config import get_config
from hotclub.engine.limits import TokenBucket
from hotclub.engine.node import Node
from hotclub.engine.transports.base import issue_secret
from hotclub.models import Order
from hotclub.orders.messages import TakeCommands
from hotclub.orders.send import send
from hotclub.runtime.node import current_node
from tests.hotclub.conftest import Declare, Person, Site, amake_person
from tests.hotclub.revocation.test_signals_and_watch import log_out_like_the_view
from tests.hotclub.transports import FORMS, HTTP_PATHS, Wire, path_of
from tests.support.matrix import mostly, smoke
from tests.support.server import live_server

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]

every_form = pytest.mark.parametrize("form", FORMS)
CONNECT = b'{"id":1,"connect":{}}'


class Room(Channel):
    pattern = "room:<int:room_id>"
    history = History(size=100, ttl=timedelta(minutes=5))
    members: set[str] = set()

    async def can_subscribe(self, client: Client, *, room_id: int) -> bool:
        return client.user_id in self.members


@pytest.fixture
def members(declare: Declare) -> Iterator[set[str]]:
    """The ids of those who may be in the room."""
    declare(Room)
    Room.members.clear()
    yield Room.members
    Room.members.clear()


async def someone(members: set[str]) -> Person:
    person = await amake_person()
    members.add(str(person.user.pk))
    return person


async def epoch() -> str:
    """Of the room's log, which holds "earlier"."""
    await apublish("room:1", "earlier")
    return (await ahistory("room:1")).top.epoch


async def nothing_on_return(form: str, site: Site, person: Person, since: str, code: int | None) -> None:
    """Whoever comes back with a position is given nothing that was said since."""
    await apublish("room:1", "secret")
    async with Wire.open(form, site.url, person.cookie, "room:1", since=since) as wire:
        if code is not None:
            assert await wire.ended(5) == code
        assert b"secret" not in wire.received
        assert b"earlier" not in wire.received


# C10–C12


@every_form
async def test_who_may_is_given_what_was_missed(serve: Serve, members: set[str], form: str) -> None:
    """Without this the tests below could not fail."""
    site, person = await serve(), await someone(members)
    since = await epoch()
    async with Wire.open(form, site.url, person.cookie, "room:1", since=since) as wire:
        await wire.told(b"earlier")
        await apublish("room:1", "live")
        await wire.told(b"live")
        assert wire.code is None


@every_form
async def test_a_logout_ends_it_for_good(serve: Serve, members: set[str], form: str) -> None:
    site, person = await serve(), await someone(members)
    since = await epoch()
    async with Wire.open(form, site.url, person.cookie, "room:1") as wire:
        await sync_to_async(log_out_like_the_view)(person)
        assert await wire.ended(1) == 3503
        await nothing_on_return(form, site, person, since, 3501)
        assert b"secret" not in wire.received


@every_form
async def test_a_new_password_ends_it(serve: Serve, members: set[str], form: str) -> None:
    site, person = await serve(), await someone(members)
    since = await epoch()
    person.user.set_password("nuages")
    async with Wire.open(form, site.url, person.cookie, "room:1") as wire:
        await person.user.asave()
        assert await wire.ended(1) == 3011
        await nothing_on_return(form, site, person, since, 3501)
        assert b"secret" not in wire.received


async def test_a_session_that_expires_ends_it_at_once(serve: Serve, members: set[str]) -> None:
    """Long before the regular look; one that was prolonged goes on."""
    site, person = await serve(), await someone(members)
    since = await epoch()
    sessions = Session.objects.filter(pk=person.session_key)
    first = timezone.now() + timedelta(seconds=4)
    await sessions.aupdate(expire_date=first)
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(Wire.open(form, site.url, person.cookie, "room:1")) for form in FORMS]
        prolonged = first + timedelta(seconds=0.5)
        await sessions.aupdate(expire_date=prolonged)
        assert await asyncio.gather(*(wire.ended(10) for wire in wires)) == [3011] * len(FORMS)
        assert timedelta(0) < timezone.now() - prolonged < timedelta(seconds=3)
    for form in FORMS:
        await nothing_on_return(form, site, person, since, 3501)


@every_form
async def test_a_permission_that_is_gone_ends_the_subscription(serve: Serve, members: set[str], form: str) -> None:
    site, person = await serve(), await someone(members)
    since = await epoch()
    async with Wire.open(form, site.url, person.cookie, "room:1") as wire:
        members.clear()
        await aunsubscribe("room:1", user=person.user)
        await wire.told(b"server unsubscribe", 1)
        await nothing_on_return(form, site, person, since, None)
        assert b"secret" not in wire.received
        assert wire.code is None


# C9: whose request it is


def request_of(transport: str) -> tuple[str, str, bytes]:
    """Method, path with query, and body of a request that opens this transport, or of a POST of commands."""
    if transport == "emulation":
        return "POST", "/emulation", b'{"session":"s","node":"n","data":"{}"}'
    path = path_of(transport)
    if HTTP_PATHS[transport] == "POST":
        return "POST", path, CONNECT if transport == "http_stream" else b"{}"
    argument = CONNECT if transport == "sse" else b"{}"
    return "GET", f"{path}?cf_connect={quote(argument)}", b""


async def status(site: Site, transport: str, headers: dict[str, str]) -> int:
    """How a request is answered; the response is not waited for."""
    method, path, body = request_of(transport)
    async with (
        httpx.AsyncClient(verify=False, base_url=site.url, timeout=5) as http,
        http.stream(method, path, content=body, headers={"Content-Type": "application/json", **headers}) as response,
    ):
        return response.status_code


every_http = pytest.mark.parametrize("transport", [*HTTP_PATHS, "emulation"])
most_http = pytest.mark.parametrize("transport", mostly(["sse", "emulation"], [*HTTP_PATHS, "emulation"]))


def good(transport: str) -> int:
    """The status of a request that is let in: the secret of the POST is none of ours."""
    return 404 if transport == "emulation" else 200


@most_http
@pytest.mark.parametrize(
    "origin",
    [
        smoke("http://evil.com", "evil"),
        "null",
        "",
        "{url}.evil.com",
        "{url}@evil.com",
        "https://{host}",
        "http://127.0.0.1:1",
    ],
)
async def test_a_foreign_origin_is_refused(serve: Serve, members: set[str], transport: str, origin: str) -> None:
    site, person = await serve(), await someone(members)
    sent = origin.format(url=site.url, host=site.url.removeprefix("http://"))
    for cookie in ({"Cookie": person.cookie}, {}):
        assert await status(site, transport, {"Origin": sent, **cookie}) == 403
        assert await status(site, transport, {"Origin": sent, "Sec-Fetch-Site": "same-origin", **cookie}) == 403


@every_http
async def test_the_own_and_a_listed_origin_are_let_in(
    serve: Serve, members: set[str], hotclub_settings: Configure, transport: str
) -> None:
    hotclub_settings(ALLOWED_ORIGINS=["https://shop.example.com"])
    site, person = await serve(), await someone(members)
    for origin in (site.url, "https://shop.example.com"):
        assert await status(site, transport, {"Origin": origin, "Cookie": person.cookie}) == good(transport)


@most_http
@pytest.mark.parametrize("where", [smoke("cross-site", "cross-site"), "same-site", "x"])
async def test_a_browser_that_says_it_is_elsewhere_is_refused(
    serve: Serve, members: set[str], transport: str, where: str
) -> None:
    """A link or an image of another site sends no origin with a GET."""
    site, person = await serve(), await someone(members)
    assert await status(site, transport, {"Cookie": person.cookie, "Sec-Fetch-Site": where}) == 403


@every_http
async def test_a_cookie_that_nobody_answers_for_may_read_and_not_send(
    serve: Serve, members: set[str], transport: str
) -> None:
    site, person = await serve(), await someone(members)
    sends = request_of(transport)[0] == "POST"
    assert await status(site, transport, {"Cookie": person.cookie}) == (403 if sends else 200)
    assert await status(site, transport, {"Cookie": person.cookie, "Sec-Fetch-Site": "same-origin"}) == good(transport)


async def test_a_link_can_do_no_more_than_connect(serve: Serve, members: set[str]) -> None:
    site, person = await serve(), await someone(members)
    argument = quote(CONNECT + b'\n{"id":2,"publish":{"channel":"room:1","data":"forged"}}')
    async with httpx.AsyncClient(verify=False, base_url=site.url) as http:
        answer = await http.get(f"/connection/sse?cf_connect={argument}", headers={"Cookie": person.cookie})
    assert answer.status_code == 400


@every_http
async def test_a_host_that_is_not_ours_is_a_bad_request(serve: Serve, settings: Any, transport: str) -> None:
    site = await serve()
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    assert await status(site, transport, {"Host": "evil.com", "Origin": "http://evil.com"}) == 400


@every_http
async def test_a_preflight_names_what_is_allowed(serve: Serve, hotclub_settings: Configure, transport: str) -> None:
    hotclub_settings(ALLOWED_ORIGINS=["https://shop.example.com"])
    site = await serve()
    path = request_of(transport)[1].partition("?")[0]
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, x-a"}
    async with httpx.AsyncClient(verify=False, base_url=site.url) as http:
        answer = await http.options(path, headers={"Origin": "https://shop.example.com", **asked})
        assert answer.status_code == 204
        assert "content-length" not in answer.headers
        assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-max-age"] == "300"
        assert answer.headers["access-control-allow-headers"] == asked["Access-Control-Request-Headers"]
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert answer.headers["vary"] == "Origin"
        refused = await http.options(path, headers={"Origin": "https://evil.com", **asked})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers


async def test_a_refusal_of_an_allowed_page_can_be_read_by_it(serve: Serve) -> None:
    site = await serve()
    async with httpx.AsyncClient(verify=False, base_url=site.url) as http:
        for method, path, expected in (
            ("PUT", "/connection/sse", 405),
            ("GET", "/connection/http_stream", 405),
            ("GET", "/emulation", 405),
            ("GET", "/connection/sse", 400),
            ("POST", "/emulation", 400),
        ):
            answer = await http.request(method, path, headers=site.headers())
            assert answer.status_code == expected
            assert answer.headers["access-control-allow-origin"] == site.url


async def test_commands_with_the_secret_of_another_login_are_refused(serve: Serve, members: set[str]) -> None:
    site, person = await serve(), await someone(members)
    other = await amake_person("stephane")
    async with Wire.open("http_stream", site.url, person.cookie, "room:1") as wire:
        connected = wire.messages()[0]["connect"]
        body = {"session": connected["session"], "node": connected["node"], "data": '{"id":3,"ping":{}}'}
        async with httpx.AsyncClient(verify=False, base_url=site.url, headers=site.headers()) as http:
            for cookie, expected in ((other.cookie, 403), ("", 403), (person.cookie, 204)):
                headers = {"Cookie": cookie} if cookie else {}
                assert (await http.post("/emulation", json=body, headers=headers)).status_code == expected
            forged = {**body, "session": connected["session"][:-1] + "x"}
            assert (await http.post("/emulation", json=forged)).status_code == 404
            elsewhere = {**body, "node": "another"}
            assert (await http.post("/emulation", json=elsewhere)).status_code == 404
        await wire.told(b'"ping"')
        assert wire.received.count(b'"ping":{}') == 1


def issued_elsewhere(node: Node) -> str:
    """A secret of another node of the same site."""
    other = Node(node.application, key=node.key)
    other.id = "elsewhere"
    return issue_secret(other)


async def test_commands_for_another_process_are_handed_on_and_bounded(
    serve: Serve, members: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, person = await serve(), await someone(members)
    node = current_node()
    assert node is not None
    body = {"session": issued_elsewhere(node), "node": "elsewhere", "data": '{"id":3,"ping":{}}'}
    headers = site.headers(person)
    async with httpx.AsyncClient(verify=False, base_url=site.url, headers=headers) as http:
        assert (await http.post("/emulation", json=body)).status_code == 204
        row = await Order.objects.alatest("id")
        assert json.loads(row.payload) == {
            "type": "take_commands",
            "node": "elsewhere",
            "session": body["session"],
            "user": str(person.user.pk),
            "data": base64.b64encode(b'{"id":3,"ping":{}}').decode(),
        }
        monkeypatch.setattr(node, "forwarding", TokenBucket(rate=0.001, burst=1, now=time.monotonic()))
        assert [(await http.post("/emulation", json=body)).status_code for _ in range(2)] == [204, 429]


@pytest.mark.parametrize("own", [True, False])
async def test_commands_that_arrived_at_another_process_are_taken_from_the_same_user(
    serve: Serve, members: set[str], own: bool
) -> None:
    site, person = await serve(), await someone(members)
    async with Wire.open("http_stream", site.url, person.cookie, "room:1") as wire:
        connected = wire.messages()[0]["connect"]
        user = str(person.user.pk)
        shown_with = {b'{"id":3,"rpc":{}}': user if own else "another", b'{"id":4,"ping":{}}': user}
        for command, shown in shown_with.items():
            order = TakeCommands(connected["node"], connected["session"], user=shown, data=command)
            await sync_to_async(send)(order)
        await wire.told(b'"ping":{}')
        assert (b'"id":3' in wire.received) is own


def test_the_paths_are_the_documented_ones() -> None:
    config = get_config()
    assert [config.transport_path(name) for name in HTTP_PATHS] == [path_of(name) for name in HTTP_PATHS]
    assert config.emulation_path == "/emulation"


@pytest.mark.parametrize("form", [form for form in FORMS if "websocket" not in form])
async def test_a_server_that_stops_says_goodbye_and_does_not_wait(members: set[str], form: str) -> None:
    person = await someone(members)
    async with contextlib.AsyncExitStack() as client:
        loop = asyncio.get_running_loop()
        async with live_server(application(get_asgi_application())) as url:
            wire = await client.enter_async_context(Wire.open(form, url, person.cookie, "room:1"))
            began = loop.time()
        assert await wire.ended(1) == 3001
        assert loop.time() - began < 2
