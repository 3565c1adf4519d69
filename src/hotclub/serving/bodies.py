"""Bounds the bodies of requests before an application reads them: their size, their time, and how many there are.

The bounds of the `SERVER` setting hold on every ASGI server that hands a body on as it comes. The application of a
refused body is told that the client has left, which every application handles.
"""

import asyncio
from collections import Counter
from http import HTTPStatus
from time import monotonic
from typing import Final

from hotclub.conf.values import ServerLimits
from hotclub.engine.observe import report
from hotclub.engine.places import network_of
from hotclub.engine.transports.base import ASGIApplication, Event, Receive, Scope, Send
from hotclub.engine.transports.stream import respond

_GONE: Final = {"type": "http.disconnect"}
_DIGITS: Final = 20
"""A declared length with this many digits counts as unknown."""
_RETRY: Final = ((b"retry-after", b"5"),)
"""With 503: the time to come back. Bodies that are on their way have gone by then, or have met their deadline."""


class Bodies:
    """The bodies that one process holds, shared among the addresses that they come from."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._coming: dict[str, dict[Body, None]] = {}
        """By address, the bodies that are on their way."""
        self._bytes: Counter[str] = Counter()
        """By address, the bytes that the process holds."""
        self._total = 0

    async def serve(
        self, app: ASGIApplication, scope: Scope, receive: Receive, send: Send, *, most: int | None
    ) -> None:
        """Have an application answer a request, whose body is refused where it breaks a bound.

        Cancellation passes through, and the body is forgotten.

        Args:
            app: the application.
            scope: the request's ASGI scope, whose `client` is the client and no proxy.
            receive: the request's ASGI `receive`.
            send: the request's ASGI `send`.
            most: the most bytes of the body; None for an application with a bound of its own.
        """
        declared = _declared(scope)
        if declared is None:
            await app(scope, receive, send)
            return
        body = Body(self, self._limits, _group(scope), receive, send, most)
        try:
            if most is not None and declared > most:
                await body.refuse(scope, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            elif not self._enter(body):
                await body.refuse(scope, HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                await self._run(app, scope, body)
        finally:
            self._leave(body)

    async def _run(self, app: ASGIApplication, scope: Scope, body: "Body") -> None:
        async def receive() -> Event:
            return await body.receive(scope)

        try:
            await app(scope, receive, body.send)
        except Exception:
            # An application may fail because its client seems to have left. The client has its answer.
            if body.refused is None:
                raise

    def _enter(self, body: "Body") -> bool:
        coming, most = self._coming.setdefault(body.group, {}), self._limits.bodies_per_address
        if most is not None and len(coming) >= most:
            return False
        coming[body] = None
        return True

    def arrived(self, body: "Body") -> None:
        """Note that a body is whole, or comes no further. Idempotent."""
        coming = self._coming.get(body.group)
        if coming is not None:
            coming.pop(body, None)
            if not coming:
                del self._coming[body.group]

    def _leave(self, body: "Body") -> None:
        self.arrived(body)
        self._total -= body.received
        self._bytes[body.group] -= body.received
        if self._bytes[body.group] <= 0:
            del self._bytes[body.group]

    def hold(self, body: "Body", size: int) -> bool:
        """Count further bytes of a body that is on its way. Return False if there is no room for them.

        The address with the most bytes then loses the largest body that it has on its way, unless it is the same one.
        """
        while self._total + size > self._limits.bodies_bytes:
            group = max(self._coming, key=lambda name: self._bytes[name])
            if self._bytes[group] < self._bytes[body.group] + size:
                return False
            other = max(self._coming[group], key=lambda coming: coming.received)
            other.give_up()
            self._forget(other)
        self._total += size
        self._bytes[body.group] += size
        body.received += size
        return True

    def _forget(self, body: "Body") -> None:
        self.arrived(body)
        self._total -= body.received
        self._bytes[body.group] -= body.received
        body.received = 0


class Body:
    """The body of one request, on its way from the server to the application."""

    def __init__(
        self, bodies: Bodies, limits: ServerLimits, group: str, receive: Receive, send: Send, most: int | None
    ) -> None:
        self.group = group
        self.received = 0
        self.refused: HTTPStatus | None = None
        self._bodies = bodies
        self._limits = limits
        self._receive = receive
        self._send = send
        self._most = most
        self._size = 0
        self._waited = 0.0
        self._whole = False
        self._started = False
        self._losing = False
        self._waiting: asyncio.Timeout | None = None

    async def receive(self, scope: Scope) -> Event:
        """Return the next event of the request. The end of a refused body looks as if the client had left."""
        if self._whole:
            return await self._receive()
        if self.refused is not None:
            return _GONE
        try:
            event = await self._next()
        except TimeoutError:
            lost = self._losing
            return await self.refuse(scope, HTTPStatus.SERVICE_UNAVAILABLE if lost else HTTPStatus.REQUEST_TIMEOUT)
        size = len(event.get("body", b""))
        self._size += size
        if self._most is not None and self._size > self._most:
            return await self.refuse(scope, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not self._bodies.hold(self, size):
            return await self.refuse(scope, HTTPStatus.SERVICE_UNAVAILABLE)
        if event["type"] != "http.request" or not event.get("more_body", False):
            self._whole = True
            self._bodies.arrived(self)
        return event

    async def _next(self) -> Event:
        """Wait for the next event, and count the time. Only the waiting counts: the application may take its time.

        Raises:
            TimeoutError: the body is too slow, or another address needs its place.
        """
        limits, began = self._limits, monotonic()
        left = limits.body_timeout + self._size / limits.min_rate - self._waited
        try:
            async with asyncio.timeout(0 if self._losing else left) as self._waiting:
                return await self._receive()
        finally:
            self._waited += monotonic() - began
            self._waiting = None

    def give_up(self) -> None:
        """Have the next `receive`, or the present one, refuse this body in favour of another address."""
        self._losing = True
        if self._waiting is not None:
            self._waiting.reschedule(0)

    async def refuse(self, scope: Scope, status: HTTPStatus) -> Event:
        """Answer the request with this status, unless its answer has begun. Return the end that an application is
        told."""
        self.refused, self._whole = status, False
        self._bodies.arrived(self)
        address = scope["client"][0] if scope.get("client") else ""
        report("Refused a request", status=int(status), path=scope["path"], address=address, why=_WHY[status])
        if not self._started:
            headers = ((b"content-type", b"text/plain"), *(_RETRY if status == HTTPStatus.SERVICE_UNAVAILABLE else ()))
            await respond(self._send, status, headers, status.phrase.encode())
        return _GONE

    async def send(self, event: Event) -> None:
        """Send an event of the application. An answer to a refused body that has not begun is dropped."""
        if self.refused is None or self._started:
            self._started = True
            await self._send(event)


_WHY: Final = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body exceeds HOTCLUB['SERVER']['BODY_BYTES']",
    HTTPStatus.REQUEST_TIMEOUT: "the body is slower than HOTCLUB['SERVER'] allows",
    HTTPStatus.SERVICE_UNAVAILABLE: "too many bodies are on their way, from this address or from everywhere",
}


def _declared(scope: Scope) -> int | None:
    """Return the length that a request declares of its body, 0 for an unknown one, None for a request without a
    body."""
    declared = None if scope.get("http_version", "1.1") in ("1.0", "1.1") else 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < _DIGITS else 0
        if name == b"transfer-encoding":
            declared = 0
    return declared


def _group(scope: Scope) -> str:
    return network_of(str(scope["client"][0] or "") if scope.get("client") else "")
