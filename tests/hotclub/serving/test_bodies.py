"""Bodies on any ASGI server: what the application sees of them, and what the client is answered."""

import asyncio
from typing import Any

from hotclub.conf.values import ServerLimits
from hotclub.serving.bodies import Bodies


class Call:
    """One request to an application behind `Bodies`."""

    def __init__(self, bodies: Bodies, app: Any, address: str = "10.0.0.1", **head: bytes) -> None:
        headers = [(name.replace("_", "-").encode(), value) for name, value in head.items()]
        self.scope: dict[str, Any] = {"type": "http", "path": "/", "headers": headers, "client": (address, 1)}
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        serving = bodies.serve(app, self.scope, self.inbox.get, self._send, most=10)
        self.task = asyncio.ensure_future(serving)

    async def _send(self, event: Any) -> None:
        self.sent.append(event)

    def put(self, body: bytes, *, more: bool = True) -> None:
        self.inbox.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def status(self) -> int:
        async with asyncio.timeout(5):
            await self.task
        status: int = self.sent[0]["status"]
        return status


async def length(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, as Django does, and leaves when its client does."""
    body, more = b"", True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionError("gone")
        body, more = body + event["body"], event["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(body)})


async def test_a_body_within_its_bounds_passes() -> None:
    call = Call(Bodies(ServerLimits()), length, content_length=b"10")
    call.put(b"12345")
    call.put(b"67890", more=False)
    assert await call.status() == 200
    assert call.sent[1]["body"] == b"10"


async def test_a_body_that_exceeds_its_size_ends_for_the_application_as_if_the_client_had_left() -> None:
    declared = Call(Bodies(ServerLimits()), length, content_length=b"11")
    assert await declared.status() == 413
    chunked = Call(Bodies(ServerLimits()), length, transfer_encoding=b"chunked")
    chunked.put(b"123456")
    chunked.put(b"789012")
    assert await chunked.status() == 413
    assert [event["type"] for event in chunked.sent] == ["http.response.start", "http.response.body"]


async def test_a_body_without_a_declared_length_is_counted_on_later_versions_of_http() -> None:
    call = Call(Bodies(ServerLimits()), length)
    call.scope["http_version"] = "2"
    call.put(b"x" * 11, more=False)
    assert await call.status() == 413


async def test_only_the_time_in_which_the_application_waits_counts() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.sleep(0.2)
        await length(scope, receive, send)

    bodies = Bodies(ServerLimits(body_timeout=0.1, min_rate=1_000_000))
    call = Call(bodies, slow, content_length=b"4")
    call.put(b"12")
    call.put(b"34", more=False)
    assert await call.status() == 200
    silent = Call(bodies, length, content_length=b"4")
    silent.put(b"12")
    assert await silent.status() == 408


async def test_an_answer_that_has_begun_is_not_answered_twice() -> None:
    async def early(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"half"})

    call = Call(Bodies(ServerLimits()), early, transfer_encoding=b"chunked")
    call.put(b"x" * 11)
    assert await call.status() == 200
    assert [event["type"] for event in call.sent] == ["http.response.start", "http.response.body"]


async def test_the_address_that_holds_the_most_makes_room_for_others() -> None:
    bodies = Bodies(ServerLimits(bodies_bytes=20))
    greedy = [Call(bodies, length, content_length=b"10") for _ in range(2)]
    for call in greedy:
        call.put(b"x" * 9)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    modest = Call(bodies, length, "10.0.0.2", content_length=b"8")
    modest.put(b"x" * 8, more=False)
    assert await modest.status() == 200
    done, waiting = await asyncio.wait([call.task for call in greedy], return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert (len(done), len(waiting)) == (1, 1)
    (lost,) = (call for call in greedy if call.task in done)
    assert (lost.sent[0]["status"], dict(lost.sent[0]["headers"])[b"retry-after"]) == (503, b"5")
    again = Call(bodies, length, content_length=b"10")
    again.put(b"x" * 10)
    (kept,) = (call for call in greedy if call is not lost)
    kept.put(b"x", more=False)
    assert await kept.status() == 200
    again.put(b"", more=False)
    assert await again.status() == 200


async def test_bodies_of_one_address_are_few_at_a_time_and_forgotten_at_their_end() -> None:
    bodies = Bodies(ServerLimits(bodies_per_address=1))
    first = Call(bodies, length, content_length=b"4")
    await asyncio.sleep(0)
    assert await Call(bodies, length, content_length=b"4").status() == 503
    other = Call(bodies, length, "10.0.0.2", content_length=b"1")
    other.put(b"x", more=False)
    assert await other.status() == 200
    first.task.cancel()
    await asyncio.wait([first.task])
    last = Call(bodies, length, content_length=b"1")
    last.put(b"x", more=False)
    assert await last.status() == 200
