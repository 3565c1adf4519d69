"""One ASGI application for pages, our sockets and other people's consumers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import websockets
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

from hotclub.asgi import application
from hotclub.runtime.node import current_node
from tests.hotclub.conftest import Site, amake_person
from tests.support.server import websocket_url

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]


class Greeter(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """A consumer as the tutorials write them."""

    async def connect(self) -> None:
        await self.accept()
        await self.send_json(
            {"user": self.scope["user"].get_username(), "name": self.scope["url_route"]["kwargs"]["name"]}
        )


PATTERNS = [path("ws/<str:name>/", Greeter.as_asgi())]


async def pages(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def greeting(url: str, **headers: str) -> str | bytes:
    async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
        return await socket.recv()


async def status_of(url: str, **headers: str) -> int:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url, additional_headers=headers, proxy=None)
    return refused.value.response.status_code


async def test_pages_are_django_s(serve: Serve) -> None:
    site = await serve(application(pages))

    async with httpx.AsyncClient(verify=False, trust_env=False) as browser:
        assert (await browser.get(f"{site.url}/connection/websocket")).text == "/connection/websocket"


@pytest.mark.parametrize("patterns", [PATTERNS, AuthMiddlewareStack(URLRouter(PATTERNS))])
async def test_consumers_run_beside_us(serve: Serve, patterns: Any) -> None:
    site = await serve(application(get_asgi_application(), websocket_urlpatterns=patterns))
    person = await amake_person()
    url = websocket_url(site.url, "/ws/there/")

    assert await greeting(url, Origin=site.url, Cookie=person.cookie) == '{"user": "django", "name": "there"}'
    assert (await site.open(person)).connects == 1


async def test_a_list_of_patterns_is_guarded_by_the_allowed_hosts(serve: Serve, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    site = await serve(application(get_asgi_application(), websocket_urlpatterns=PATTERNS))

    assert await status_of(websocket_url(site.url, "/ws/there/"), Origin="http://evil.com") == 403


async def test_a_socket_that_nobody_serves_is_not_found(serve: Serve) -> None:
    site = await serve()

    assert await status_of(websocket_url(site.url, "/elsewhere"), Origin=site.url) == 404


async def test_a_server_without_denial_responses_answers_403() -> None:
    sent = await converse({"type": "websocket", "path": "/elsewhere", "headers": []}, {"type": "websocket.connect"})

    assert sent == [{"type": "websocket.close", "code": 1008}]


async def converse(scope: dict[str, Any], *received: dict[str, Any], app: Any = None) -> list[dict[str, Any]]:
    """What the application sends when it receives this."""
    incoming = iter(received)
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    await (app or application(pages))(scope, receive, send)
    return sent


async def test_the_path_can_be_chosen(serve: Serve, hotclub_settings: Configure) -> None:
    hotclub_settings(PATH="live/")
    site = await serve()
    person = await amake_person()
    headers = site.headers(person)

    async with websockets.connect(
        websocket_url(site.url, "/live/websocket"), additional_headers=headers, proxy=None
    ) as socket:
        await socket.send('{"id":1,"connect":{}}')
        assert '"connect"' in str(await socket.recv())
    assert await status_of(websocket_url(site.url), **headers) == 404


async def test_the_path_is_below_the_script_prefix() -> None:
    scope = {
        "type": "websocket",
        "path": "/app/connection/websocket",
        "root_path": "/app",
        "headers": [(b"host", b"a b")],
    }
    extensions: dict[str, Any] = {"websocket.http.response": {}}

    sent = await converse({**scope, "extensions": extensions}, {"type": "websocket.connect"})

    assert sent[0]["status"] == 400  # by our handshake, and not 404


async def test_a_forced_script_name_is_taken_off_as_well(settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = "/app"
    scope = {"type": "websocket", "path": "/app/connection/websocket", "headers": [(b"host", b"a b")]}

    sent = await converse({**scope, "extensions": {"websocket.http.response": {}}}, {"type": "websocket.connect"})

    assert sent[0]["status"] == 400


async def test_the_lifespan_starts_and_stops_the_node() -> None:
    app = application(pages)
    seen: list[Any] = []

    async def receive() -> Any:
        seen.append(current_node())
        return {"type": ["lifespan.startup", "lifespan.shutdown"][len(seen) - 1]}

    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert seen[0] is None
    assert seen[1] is not None
    assert current_node() is None


async def test_a_start_that_fails_is_told_to_the_server(hotclub_settings: Configure) -> None:
    hotclub_settings(THREADS=0)

    [answer] = await converse({"type": "lifespan"}, {"type": "lifespan.startup"})

    assert answer["type"] == "lifespan.startup.failed"
    assert "THREADS" in answer["message"]


async def test_without_a_lifespan_the_first_connection_starts_one_node(serve: Serve) -> None:
    app = application(pages)
    site = await serve(app, lifespan="off")
    assert current_node() is None
    person = await amake_person()

    clients = await asyncio.gather(*(site.open(person) for _ in range(5)))

    node = current_node()
    assert node is not None
    assert node.info().num_clients == len(clients)
    for client in clients:
        await client.sdk.disconnect()
    await converse({"type": "lifespan"}, {"type": "lifespan.shutdown"}, app=app)
    assert current_node() is None


async def test_stopping_tells_every_client_to_come_back(serve: Serve) -> None:
    app = application(pages)
    site = await serve(app)
    client = await site.open(await amake_person())

    await converse({"type": "lifespan"}, {"type": "lifespan.shutdown"}, app=app)

    async with asyncio.timeout(5):
        await client.reconnecting.wait()


async def test_an_unknown_scope_is_refused() -> None:
    with pytest.raises(ValueError, match="carrier"):
        await converse({"type": "carrier.pigeon"})


async def test_a_process_that_stops_is_not_ready_and_takes_no_new_connection(
    serve: Serve, hotclub_settings: Configure
) -> None:
    hotclub_settings(READY_PATH="/ready", ALLOW_ANONYMOUS=True)
    site = await serve()
    async with httpx.AsyncClient(trust_env=False, base_url=site.url) as client:
        assert (await client.get("/ready")).status_code == 200
        node = current_node()
        assert node is not None
        node.leaving = True
        assert (await client.get("/ready")).json() == {"ready": False, "reason": "this process is stopping"}
        refused = await client.get("/connection/uni_sse")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
