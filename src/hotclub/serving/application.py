"""The ASGI application of a project: Hotclub's transports, the consumers of Django Channels, and Django itself."""

import asyncio
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from time import monotonic
from typing import Final

from django.core.handlers.asgi import get_script_prefix

from hotclub.access.forwarded import Forwarded
from hotclub.access.handshake import RefusedHandshake, check_handshake, log_refusal
from hotclub.access.rates import TooMany
from hotclub.conf.config import get_config
from hotclub.engine.node import Node
from hotclub.engine.observe import logger, printable
from hotclub.engine.transports.base import ASGIApplication, Receive, Scope, Send
from hotclub.engine.transports.unidirectional import serve_uni_websocket
from hotclub.engine.transports.websocket import serve_websocket
from hotclub.http_api.asgi import api_name, serve_api
from hotclub.serving.bodies import Bodies
from hotclub.serving.http import endpoints, serve_http
from hotclub.serving.lease import Lease, engine_kind
from hotclub.serving.quiet import Quiet
from hotclub.serving.ready import serve_ready
from hotclub.serving.redaction import redact_logs
from hotclub.serving.service import Service, finish

_LEASE_SECONDS: Final = 1.0
"""The longest time for the removal of this process's lease, which expires anyway."""
_STOPPING: Final = "this process is stopping"


class HotclubApplication:
    """The application that `hotclub.asgi.application` returns. It serves one event loop."""

    serves_hotclub = True
    """Tells the system check W004 that an application serves Hotclub; a project's wrapper sets the same attribute."""

    def __init__(self, django_app: ASGIApplication, consumers: ASGIApplication | None) -> None:
        redact_logs()
        self._django_app = django_app
        self._consumers = consumers
        self._service: Service | None = None
        self._lease: Lease | None = None
        self._quiet: Quiet | None = None
        self._bodies: Bodies | None = None
        self._stopped = False
        self._forwarded = Forwarded()
        self._starting = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = self._forwarded.believed(scope, get_config().trusted_proxies)
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            raise ValueError(f"Hotclub serves http, websocket and lifespan, not {scope['type']!r}")

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        config, path = get_config(), _path(scope)
        if path == config.ready_address:
            await serve_ready(self._trouble, scope, send)
            return
        if self._bodies is None:
            self._bodies = Bodies(config.server)
        serve, most = self._django_app, config.server.body_bytes
        if name := api_name(path, config):
            serve, most = partial(self._api, name), None
        elif endpoint := endpoints(config).get(path):
            serve, most = partial(serve_http, self._admit, endpoint), None
        await self._bodies.serve(serve, scope, receive, send, most=most)

    async def _api(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        await self._started()
        await serve_api(name, scope, receive, send)

    async def _admit(self, address: str) -> Node:
        """Count a new connection and return the node, which the first call starts.

        Args:
            address: the address of the client, "" for a request that opens no connection.

        Raises:
            RefusedHandshake: 503 with the seconds to wait; there are too many new connections.
        """
        service = await self._started()
        if address and service.node.leaving:
            raise RefusedHandshake(HTTPStatus.SERVICE_UNAVAILABLE, _STOPPING, retry_after=1)
        if address:
            try:
                service.traffic.handshake(address)
            except TooMany as refused:
                reason = f"too many connections from {printable(address)} or from everywhere"
                raise RefusedHandshake(HTTPStatus.SERVICE_UNAVAILABLE, reason, retry_after=refused.wait) from None
        return service.node

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        config = get_config()
        serve = {
            config.websocket_path: serve_websocket,
            config.transport_path("uni_websocket"): serve_uni_websocket,
        }.get(_path(scope))
        if serve is not None:
            try:
                handshake = check_handshake(scope, config)
                node = await self._admit(handshake.address or "unix")
            except RefusedHandshake as refused:
                log_refusal(refused, scope)
                await _refuse(refused.status, scope, receive, send, refused.headers)
                return
            await serve(node, scope, receive, send, handshake)
        elif self._consumers is not None:
            await self._consumers(scope, receive, send)
        else:
            await _refuse(HTTPStatus.NOT_FOUND, scope, receive, send)

    async def _started(self) -> Service:
        if self._service is not None:
            return self._service
        async with self._starting:
            if self._service is None:
                service = Service()
                await service.start()
                self._service = service
                self._quiet = Quiet(service.config.log_period)
                self._quiet.install()
                self._lease = Lease(service.node.id, engine_kind(service.config), service.inner_pool)
                self._lease.start()
            return self._service

    @property
    def _trouble(self) -> str:
        """The reason why this process is not ready, "" when it is ready. Without lifespan a process is ready before
        the first connection, which starts it."""
        if self._stopped or (self._service is not None and self._service.node.leaving):
            return _STOPPING
        return "" if self._lease is None else self._lease.trouble

    async def _stop(self) -> None:
        self._stopped = True
        service, self._service = self._service, None
        lease, self._lease = self._lease, None
        if lease is not None:
            await finish(lease.stop, monotonic() + _LEASE_SECONDS)
        if service is not None:
            await service.stop()
        if self._quiet is not None:
            self._quiet.remove()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._stopped = False
                try:
                    await self._started()
                except Exception as error:  # noqa: BLE001 - any error fails the startup
                    logger.exception("Hotclub could not start")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _path(scope: Scope) -> str:
    """The path below the script prefix, as Django sees it."""
    path: str = scope["path"]
    return path.removeprefix(get_script_prefix(scope))


async def _refuse(
    status: HTTPStatus,
    scope: Scope,
    receive: Receive,
    send: Send,
    more: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Refuse a WebSocket handshake with this HTTP status. A server without the extension for that sends its own 403."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = status.phrase.encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "websocket.http.response.start", "status": status.value, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
