"""The HTTP API: every method, by plain requests and by the PyPI client, with keys that may and may not."""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import cent
import httpx
import jsonschema
import msgspec
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, override_settings
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

import hotclub
from hotclub.asgi import application
from hotclub.conf.config import Config
from hotclub.http_api.endpoint import NAMES
from hotclub.http_api.issue import new_key, revoke_key
from hotclub.http_api.openapi import document
from tests.hotclub.conftest import Person, Site, amake_person
from tests.support.listener import Response
from tests.support.wire import WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]

KEY = "an-api-key-for-tests"


class Room(hotclub.Channel):
    pattern = "room:<str:name>"
    history = hotclub.History(size=100, ttl=timedelta(minutes=5))
    presence = True

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


class Kept(hotclub.Channel):
    pattern = "kept:<str:name>"
    history = hotclub.History(size=100, ttl=timedelta(minutes=5), durable=True)

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


class Plain(hotclub.Channel):
    pattern = "plain:<str:name>"

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    declare(Room, Kept, Plain)
    hotclub_settings(API_PATH="/api", API_KEYS=[KEY], ALLOW_ANONYMOUS=True)


DOCUMENT = document()
TEAPOT = 418
"""What the project's own pages answer in these tests."""


def check_documented(method: str, answer: httpx.Response) -> None:
    """Hold an answer to what the OpenAPI document says of it."""
    path = DOCUMENT["paths"].get(f"/{method}")
    if path is None or answer.status_code == TEAPOT:
        return
    described = path["post"]["responses"][str(answer.status_code)].get("content")
    if described is not None:
        schema = described["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**schema, "components": DOCUMENT["components"]})


class Api:
    """Requests to a served site."""

    def __init__(self, site: Site, key: str = KEY) -> None:
        self.url = f"{site.url}/api"
        self.headers = {"X-API-Key": key}

    async def post(self, method: str, body: Any = None, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(verify=False, trust_env=False) as http:
            content = body if isinstance(body, bytes) else msgspec.json.encode(body or {})
            answer = await http.post(f"{self.url}/{method}", content=content, headers={**self.headers, **headers})
        check_documented(method.partition("?")[0], answer)
        return answer

    async def result(self, method: str, body: Any = None) -> Any:
        answer = await self.post(method, body)
        assert answer.status_code == 200
        assert "error" not in answer.json(), answer.text
        return answer.json()["result"]

    async def error(self, method: str, body: Any = None) -> int:
        answer = await self.post(method, body)
        assert answer.status_code == 200
        code: int = answer.json()["error"]["code"]
        return code


async def opened(site: Site, person: Person | None = None) -> WireClient:
    return await WireClient.connected(site.port, headers=site.headers(person))


@pytest.mark.parametrize("channel", ["room:1", "kept:1"])
async def test_publishing_and_history(serve: Serve, channel: str) -> None:
    api = Api(site := await serve())
    client = await opened(site)
    await client.subscribe(channel)

    first = await api.result("publish", {"channel": channel, "data": {"n": 1.0}, "tags": {"a": "b"}})
    await api.result("publish", {"channel": channel, "b64data": base64.b64encode(b"[2]").decode()})
    again = await api.post("publish", {"channel": channel, "data": 3, "idempotency_key": "k"})
    repeated = await api.post("publish", {"channel": channel, "data": 3, "idempotency_key": "k"})

    pushed = await client.publications(channel, 3)
    assert [item["data"] for item in pushed] == [{"n": 1.0}, [2], 3]
    assert first["offset"] == 1
    assert again.json() == repeated.json()
    assert await api.error("publish", {"channel": channel, "data": 4, "idempotency_key": "k"}) == 113
    page = await api.result("history", {"channel": channel, "limit": -1})
    assert [item["data"] for item in page["publications"]] == [{"n": 1.0}, [2], 3]
    assert page["publications"][0]["tags"] == {"a": "b"}
    assert page["offset"] == 3
    since = {"offset": 1, "epoch": page["epoch"]}
    assert [
        item["offset"]
        for item in (await api.result("history", {"channel": channel, "limit": 10, "since": since}))["publications"]
    ] == [2, 3]
    assert await api.error("history", {"channel": channel, "since": {"offset": 1, "epoch": "?"}, "limit": 1}) == 112
    assert await api.error("history", {"channel": channel, "since": {"offset": 0}, "reverse": True}) == 107
    await api.result("history_remove", {"channel": channel})
    empty = await api.result("history", {"channel": channel, "limit": -1})
    assert (empty["publications"], empty["offset"], empty["epoch"]) == ([], 3, page["epoch"])
    client.abort()


@pytest.mark.parametrize("channel", ["room:1", "kept:1"])
async def test_an_older_version_is_dropped(serve: Serve, channel: str) -> None:
    api = Api(await serve())

    for version in (2, 1, 2, 3):
        await api.result("publish", {"channel": channel, "data": version, "version": version})
    await api.result("publish", {"channel": channel, "data": "new", "version": 1, "version_epoch": "e"})

    page = await api.result("history", {"channel": channel, "limit": -1})
    assert [item["data"] for item in page["publications"]] == [2, 3, "new"]


@pytest.mark.parametrize("channel", ["room:1", "kept:1"])
async def test_what_is_not_for_the_history_reaches_who_is_there(serve: Serve, channel: str) -> None:
    api = Api(site := await serve())
    client = await opened(site)
    await client.subscribe(channel)

    assert await api.result("publish", {"channel": channel, "data": "now", "skip_history": True}) == {}

    assert "offset" not in (await client.publications(channel, 1))[0]
    assert (await api.result("history", {"channel": channel, "limit": -1}))["publications"] == []
    client.abort()


async def test_broadcast_answers_for_each_channel(serve: Serve) -> None:
    api = Api(await serve())

    answer = await api.result("broadcast", {"channels": ["room:1", "nowhere", "kept:1"], "data": 1})

    assert [item.get("error", {}).get("code") for item in answer["responses"]] == [None, 102, None]
    assert answer["responses"][0]["result"]["offset"] == 1


async def test_each_channel_of_a_broadcast_answers_for_a_payload_that_none_takes(serve: Serve) -> None:
    api = Api(await serve())

    answer = await api.result("broadcast", {"channels": ["room:1", "kept:1"]})

    assert [item["error"]["code"] for item in answer["responses"]] == [107, 107]


@pytest.mark.parametrize("transport", ["http_stream", "uni_http_stream", "uni_sse"])
async def test_a_connection_is_addressed_by_the_secret_it_was_given(serve: Serve, transport: str) -> None:
    api = Api(site := await serve())
    body = b'{"id":1,"connect":{}}' if transport == "http_stream" else b"{}"
    headers = {"content-type": "application/json"}
    async with (
        await opened(site),
        await Response.open(site.port, f"/connection/{transport}", body=body, headers=headers) as stream,
        contextlib.aclosing(stream.pieces()) as pieces,
    ):
        reply = b""
        while b"}" not in reply:
            reply += await anext(pieces)
        known = {key.decode(): value.decode() for key, value in re.findall(rb'"(client|session)":"([^"]+)"', reply)}

        await api.result("subscribe", {"channel": "room:1", "session": known["session"], "client": "another"})
        assert (await api.result("presence", {"channel": "room:1"}))["presence"] == {}
        await api.result("subscribe", {"channel": "room:1", "session": known["session"]})
        assert list((await api.result("presence", {"channel": "room:1"}))["presence"]) == [known["client"]]
        await api.result("unsubscribe", {"channel": "room:1", **known})
        assert (await api.result("presence", {"channel": "room:1"}))["presence"] == {}


async def test_subscriptions_and_connections_are_controlled(serve: Serve) -> None:
    api = Api(site := await serve())
    person = await amake_person()
    user = str(person.user.pk)
    client, other = await opened(site, person), await opened(site, person)
    await api.result("publish", {"channel": "room:1", "data": 0})

    await api.result("subscribe", {"channel": "room:1", "user": user, "client": client.client_id, "data": {"hi": 1}})
    assert (await client.push("subscribe", "room:1"))["data"] == {"hi": 1}
    assert list((await api.result("presence", {"channel": "room:1"}))["presence"]) == [client.client_id]
    assert await api.result("presence_stats", {"channel": "room:1"}) == {"num_clients": 1, "num_users": 1}
    assert (await api.result("channels", {"pattern": "room:*"}))["channels"] == {"room:1": {"num_clients": 1}}
    assert (await api.result("info"))["nodes"][0]["num_clients"] == 2

    await api.result("unsubscribe", {"channel": "room:1", "user": user})
    assert (await client.push("unsubscribe", "room:1"))["code"] == 2000
    await api.result("refresh", {"user": user, "client": client.client_id, "expire_at": 4_000_000_000})
    assert (await client.push("refresh"))["expires"] is True
    await api.result("disconnect", {"user": user, "whitelist": [other.client_id]})
    assert (await client.ended()).code == 3503
    assert other.closed is None
    await api.result("refresh", {"user": user, "expired": True})
    assert (await other.ended()).code == 3005


async def test_an_empty_user_is_the_anonymous_ones_and_not_everybody(serve: Serve) -> None:
    api = Api(site := await serve())
    known, nobody = await opened(site, await amake_person()), await opened(site)

    await api.result("disconnect", {"user": "", "disconnect": {"code": 4500, "reason": "bye"}})

    assert (await nobody.ended()).code == 4500
    await known.settled()
    assert known.closed is None
    known.abort()


async def test_a_batch_answers_each_command(serve: Serve) -> None:
    api = Api(await serve())
    commands = [
        {"publish": {"channel": "room:1", "data": 1}},
        {"publish": {"channel": "nowhere", "data": 1}},
        {"history": {"channel": "room:1", "limit": 1}},
        {"nonsense": {}},
        {"batch": {"commands": []}},
        {"publish": {"channel": "room:1"}, "info": {}},
        {"publish": None},
        None,
    ]
    codes = [102, 104, 104, 107, 104, 107]

    for parallel in (False, True):
        replies = (await api.result("batch", {"commands": commands, "parallel": parallel}))["replies"]
        assert [next(iter(reply)) for reply in replies] == ["publish", "error", "history", *["error"] * 5]
        assert [reply["error"]["code"] for reply in replies if "error" in reply] == codes


async def test_a_batch_that_is_malformed_somewhere_does_nothing(serve: Serve) -> None:
    api = Api(await serve())
    commands = [{"publish": {"channel": "room:1", "data": 1}}, {"publish": {"channel": 1, "data": 1}}]

    assert (await api.post("batch", {"commands": commands})).status_code == 400

    assert (await api.result("history", {"channel": "room:1"}))["offset"] == 0
    assert (await api.result("batch"))["replies"] == []


class Board(hotclub.MapChannel):
    pattern = "board:<str:name>"
    history = hotclub.History(size=10, ttl=timedelta(minutes=5))

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


class Prices(hotclub.SharedPollChannel):
    pattern = "prices"

    async def can_subscribe(self, client: hotclub.Client) -> bool:
        return True

    async def poll(self, keys: Any) -> Any:
        return []


async def test_maps_are_changed_and_read(serve: Serve, declare: Declare) -> None:
    declare(Board, Prices, Plain)
    api = Api(await serve())
    board = {"channel": "board:1"}

    first = await api.result("map_publish", {**board, "key": "a", "data": {"n": 1}, "tags": {"t": "1"}})
    await api.result("map_publish", {**board, "key": "b", "b64data": base64.b64encode(b"2").decode()})
    again = await api.result("map_publish", {**board, "key": "a", "data": 3, "key_mode": "if_new"})
    wrong = {"offset": 9, "epoch": first["epoch"]}
    late = await api.result("map_publish", {**board, "key": "a", "data": 3, "expected_position": wrong})
    state = await api.result("map_read_state", {**board, "limit": -1})

    assert first["offset"] == 1
    assert (again["suppressed"], again["suppress_reason"]) == (True, "key_exists")
    assert late["suppress_reason"] == "position_mismatch"
    assert [(item["key"], item["data"]) for item in state["entries"]] == [("a", {"n": 1}), ("b", 2)]
    assert await api.result("map_stats", board) == {"num_keys": 2}
    assert (await api.result("map_remove", {**board, "key": "a"}))["offset"] == 3
    stream = await api.result("map_read_stream", {**board, "limit": -1})
    assert [item.get("removed", False) for item in stream["entries"]] == [False, False, True]
    await api.result("map_clear", board)
    assert (await api.result("map_read_state", {**board, "limit": -1}))["entries"] == []


async def test_a_map_is_read_in_part(serve: Serve, declare: Declare) -> None:
    declare(Board)
    api = Api(await serve())
    board = {"channel": "board:1"}
    first = await api.result("map_publish", {**board, "key": "a", "data": 1})
    await api.result("map_publish", {**board, "key": "b", "data": 2})
    await api.result("map_remove", {**board, "key": "a"})

    assert [item["key"] for item in (await api.result("map_read_state", {**board, "key": "b"}))["entries"]] == ["b"]
    assert (await api.result("map_read_state", board))["entries"] == []
    revision = {"revision_offset": 1, "revision_epoch": first["epoch"]}
    assert (await api.result("map_read_state", {**board, **revision, "limit": -1}))["entries"] == []
    assert await api.error("map_read_state", {**board, "limit": -1, "revision_offset": 1}) == 112
    newer = await api.result("map_read_stream", {**board, "limit": -1, "since_offset": 2})
    assert [item["offset"] for item in newer["entries"]] == [3]
    assert await api.error("map_read_stream", {**board, "limit": 1, "since_epoch": "?"}) == 112


async def test_only_a_map_is_one(serve: Serve, declare: Declare) -> None:
    declare(Board, Prices, Plain)
    api = Api(await serve())
    board = {"channel": "board:1"}

    await api.result("shared_poll_publish", {"channel": "prices", "key": "a", "data": 1, "version": 1})
    for method in ("map_publish", "map_remove", "shared_poll_publish"):
        assert await api.error(method, {"channel": "plain:1", "key": "a", "data": 1, "version": 1}) == 107
    for method in ("map_read_state", "map_read_stream", "map_stats", "map_clear"):
        assert await api.error(method, {"channel": "plain:1"}) == 107
    assert await api.error("map_publish", {**board, "key": "", "data": 1}) == 107
    assert await api.error("map_publish", {**board, "key": "a"}) == 107


async def test_older_clients_send_commands_in_lines(serve: Serve) -> None:
    site = await serve(application(pages))

    async def ask(text: str, key: str = KEY) -> tuple[int, list[Any]]:
        async with httpx.AsyncClient(verify=False, trust_env=False) as http:
            answer = await http.post(f"{site.url}/api", content=text, headers={"Authorization": f"apikey {key}"})
        return answer.status_code, [msgspec.json.decode(line) for line in answer.text.split("\n")]

    status, [first, second, third, fourth] = await ask(
        '{"id": 7, "method": "publish", "params": {"channel": "room:1", "data": 1}}\n'
        '{"method": "publish", "params": {"channel": "nowhere", "data": 1}}\n'
        '{"method": "publish", "params": {"channel": 1}}\n\n'
        '{"params": {}}\n'
    )
    assert status == 200
    assert (first["id"], first["result"]["offset"]) == (7, 1)
    assert [item["error"]["code"] for item in (second, third, fourth)] == [102, 107, 107]
    for text in ("", "{", "[]", '{"method": "nonsense"}', '{"method": "batch"}', '{"method": "info"}\n{"method": 1}'):
        assert (await ask(text))[0] == 400
    assert (await ask('{"method": "info"}', "wrong"))[0] == 401


def answering(method: str, params: Any) -> Any:
    return None if method == "nothing" else {"method": method, "params": params}


async def test_rpc_is_the_projects_own_function(serve: Serve, hotclub_settings: Configure) -> None:
    api = Api(await serve())
    assert await api.error("rpc", {"method": "x"}) == 104

    hotclub_settings(API_RPC="tests.hotclub.http_api.test_methods.answering")

    assert await api.result("rpc", {"method": "x", "params": [1]}) == {"data": {"method": "x", "params": [1]}}
    assert await api.result("rpc", {"method": "nothing"}) == {"data": None}


@pytest.mark.parametrize(
    ("method", "body", "code", "status"),
    [
        ("publish", {"channel": "nowhere", "data": 1}, 102, 404),
        ("publish", {"channel": "room:1"}, 107, 400),
        ("publish", {"data": 1}, 107, 400),
        ("publish", {"channel": "", "data": 1}, 107, 400),
        ("publish", {"channel": "plain:1", "data": 1, "delta": True}, 108, 400),
        ("publish", {"channel": "room:1", "data": 1, "skip_history": True, "version": 1}, 107, 400),
        ("publish", {"channel": "kept:1", "data": 1, "idempotency_key": "\0"}, 107, 400),
        ("publish", {"channel": "kept:1", "data": 1, "version": 1, "version_epoch": "\0"}, 107, 400),
        ("broadcast", {"channels": [], "data": 1}, 107, 400),
        ("subscribe", {"channel": "room:1", "b64info": "?"}, 107, 400),
        ("subscribe", {"channel": "room:1", "label_filter": {"key": "a"}}, 108, 400),
        ("rpc", {"method": "x"}, 104, 404),
        ("publish", {"channel": "room:1", "b64data": "?"}, 107, 400),
        ("publish", {"channel": "kept:1", "b64data": "AAEC"}, 108, 400),
        ("presence", {"channel": "plain:1"}, 108, 400),
        ("history", {"channel": "plain:1"}, 108, 400),
        ("history_remove", {"channel": "plain:1"}, 108, 400),
        ("history", {"channel": "room:1", "since": {"epoch": "?"}}, 112, 416),
        ("unsubscribe", {"channel": "nowhere"}, 102, 404),
        ("disconnect", {"disconnect": {"reason": "{}"}}, 107, 400),
        ("subscribe", {"channel": "room:1", "expire_at": 1}, 110, 400),
    ],
)
async def test_errors_stand_in_the_answer_or_become_its_status(
    serve: Serve, method: str, body: Any, code: int, status: int
) -> None:
    api = Api(await serve())

    assert await api.error(method, body) == code
    answer = await api.post(method, body, **{"X-Centrifugo-Error-Mode": "transport"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """In the place of Django."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_what_is_no_request_is_refused(serve: Serve) -> None:
    site = await serve(application(pages))
    api = Api(site)

    assert (await api.post("publish", b"{nonsense")).status_code == 400
    assert (await api.post("batch", b'{"commands": [{"publish": }]}')).status_code == 400
    for body in (b"", b"[1]", b'"x"', b'{"channel": 1}', b"[" * 100_000, b'{"data":"\\ud800"}'):
        assert (await api.post("publish", body)).status_code == 400, body[:20]
    assert (await api.post("publish", b"x" * (8 * 1024 * 1024 + 1))).status_code == 413
    async with httpx.AsyncClient(verify=False, trust_env=False) as http:
        assert (await http.get(f"{api.url}/publish", headers=api.headers)).headers["allow"] == "POST"
        wrong = await http.post(f"{api.url}/openapi.json", headers=api.headers)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
        assert (await http.get(f"{site.url}/api/else")).status_code == 418


async def test_only_a_key_opens_it(serve: Serve, hotclub_settings: Configure) -> None:
    site = await serve()
    body = {"channel": "room:1", "data": 1}

    for key in ("", "wrong", KEY + "x"):
        assert (await Api(site, key).post("publish", body)).status_code == 401
    api = Api(site)
    api.headers = {"Authorization": f"apikey {KEY}"}
    assert (await api.post("publish", body)).status_code == 200
    api.headers = {"Authorization": f"Bearer {KEY}"}
    assert (await api.post("publish", body)).status_code == 401
    assert (await api.post(f"publish?api_key={KEY}", body)).status_code == 401
    hotclub_settings(API_KEY_IN_QUERY=True)
    assert (await api.post(f"publish?api_key={KEY}", body)).status_code == 200


async def test_a_stored_key_does_what_it_may_until_it_is_revoked(serve: Serve) -> None:
    site = await serve()
    key = await sync_to_async(new_key)(
        "shop", channels=["room:*"], methods=["publish", "history", "channels", "disconnect"]
    )
    api = Api(site, key)

    await api.result("publish", {"channel": "room:1", "data": 1})
    assert await api.error("publish", {"channel": "kept:1", "data": 1}) == 103
    assert await api.error("presence", {"channel": "room:1"}) == 103
    assert await api.error("refresh", {"user": "1"}) == 103
    assert await api.result("disconnect", {"user": "1"}) == {}

    assert await sync_to_async(revoke_key)("shop")
    assert (await api.post("publish", {"channel": "room:1", "data": 1})).status_code == 401
    assert not await sync_to_async(revoke_key)("shop")


async def test_a_hashed_key_in_the_settings(serve: Serve, hotclub_settings: Configure) -> None:
    from hotclub.conf.values import HASHED, digest_of

    hotclub_settings(API_PATH="/api", API_KEYS=[{"KEY": HASHED + digest_of("mine"), "CHANNELS": ["room:*"]}])
    site = await serve()

    await Api(site, "mine").result("publish", {"channel": "room:1", "data": 1})
    assert (await Api(site, digest_of("mine")).post("info")).status_code == 401


def own_api(request: HttpRequest, name: str) -> HttpResponse:
    """A view of the project."""
    return HttpResponse(f"the project's own {name}")


@pytest.mark.parametrize("name", ["publish", "history", "info", "openapi.json", "rooms"])
async def test_without_a_path_the_api_takes_nothing_from_the_project(
    serve: Serve, hotclub_settings: Configure, settings: Any, name: str
) -> None:
    settings.ROOT_URLCONF = __name__
    hotclub_settings(API_PATH=Config().api_path)
    site = await serve()

    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(f"{site.url}/api/{name}")).text == f"the project's own {name}"


async def test_the_document_is_for_keys_and_staff(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    async with httpx.AsyncClient(verify=False, trust_env=False) as http:
        url = f"{site.url}/api/openapi.json"
        assert (await http.get(url)).status_code == 401
        assert (await http.get(url, headers={"Cookie": person.cookie})).status_code == 401
        person.user.is_staff = True
        await person.user.asave()
        assert (await http.get(url, headers={"Cookie": person.cookie})).json() == document()
        assert (await http.get(url, headers={"X-API-Key": KEY})).json()["openapi"] == "3.1.0"


def test_the_document_describes_every_method() -> None:
    assert {name.removeprefix("/") for name in document()["paths"]} == NAMES - {"openapi.json"}
    assert "channel" in document()["components"]["schemas"]["PublishRequest"]["required"]


urlpatterns = [path("live-api/", include("hotclub.urls")), path("api/<str:name>", csrf_exempt(own_api))]


@override_settings(ROOT_URLCONF="tests.hotclub.http_api.test_methods")
async def test_the_api_as_django_views(serve: Serve) -> None:
    await serve()
    browser = AsyncClient(enforce_csrf_checks=True)

    answer = await browser.post(
        "/live-api/publish",
        {"channel": "room:1", "data": 1},
        content_type="application/json",
        headers={"X-API-Key": KEY},
    )

    assert answer.json()["result"]["offset"] == 1
    assert (await browser.post("/live-api/publish", {})).status_code == 401
    assert (await browser.post("/live-api/else", {})).status_code == 404
    lines = await browser.post(
        "/live-api/", {"method": "info"}, content_type="application/json", headers={"X-API-Key": KEY}
    )
    assert lines.json()["result"]["nodes"]


@pytest_asyncio.fixture
async def pypi(serve: Serve) -> AsyncIterator[tuple[cent.AsyncClient, Site]]:
    """The PyPI client of this API, and the site it talks to."""
    site = await serve()
    client = cent.AsyncClient(f"{site.url}/api", KEY)
    yield client, site
    await client.close()


async def test_the_pypi_client_publishes_and_asks(pypi: tuple[cent.AsyncClient, Site]) -> None:
    client, _site = pypi

    published = await client.publish(cent.PublishRequest(channel="room:1", data={"a": 1}, idempotency_key="k"))
    many = await client.broadcast(cent.BroadcastRequest(channels=["room:1", "nowhere"], data={}))
    page = await client.history(cent.HistoryRequest(channel="room:1", limit=10))
    batch = await client.batch(
        cent.BatchRequest(requests=[cent.PublishRequest(channel="room:1", data=1), cent.InfoRequest()])
    )
    await client.history_remove(cent.HistoryRemoveRequest(channel="room:1"))

    assert published.offset == 1
    assert many.responses[1].error is not None
    assert many.responses[1].error.code == 102
    assert [item.data for item in page.publications] == [{"a": 1}, {}]
    assert len(batch.replies) == 2
    with pytest.raises(cent.CentApiResponseError):
        await client.publish(cent.PublishRequest(channel="nowhere", data=1))


async def test_the_pypi_client_controls_connections(pypi: tuple[cent.AsyncClient, Site]) -> None:
    client, site = pypi
    person = await amake_person()
    live, user = await opened(site, person), str(person.user.pk)

    await client.subscribe(cent.SubscribeRequest(user=user, channel="room:1"))
    await live.push("subscribe", "room:1")
    there = await client.presence(cent.PresenceRequest(channel="room:1"))
    stats = await client.presence_stats(cent.PresenceStatsRequest(channel="room:1"))
    channels = await client.channels(cent.ChannelsRequest(pattern="room:*"))
    nodes = (await client.info(cent.InfoRequest())).nodes
    await client.refresh(cent.RefreshRequest(user=user, expire_at=4_000_000_000))
    await client.unsubscribe(cent.UnsubscribeRequest(user=user, channel="room:1"))
    await client.disconnect(cent.DisconnectRequest(user=user))

    assert [info.user for info in there.presence.values()] == [user]
    assert (stats.num_clients, channels.channels["room:1"].num_clients, nodes[0].num_clients) == (1, 1, 1)
    assert (await live.ended()).code == 3503


async def test_the_pypi_client_is_told_of_a_wrong_key(serve: Serve) -> None:
    client = cent.AsyncClient(f"{(await serve()).url}/api", "wrong")
    with pytest.raises(cent.CentUnauthorizedError):
        await client.info(cent.InfoRequest())
    await client.close()


async def test_the_synchronous_pypi_client_works(serve: Serve) -> None:
    site = await serve()
    client = cent.Client(f"{site.url}/api", KEY)

    async with asyncio.timeout(5):
        done = await asyncio.to_thread(client.publish, cent.PublishRequest(channel="room:1", data=1))
    assert done.offset == 1
