"""Limits per address, user and channel class: what they refuse, what they tell, and that they forget."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db.backends.utils import CursorWrapper

import hotclub
from hotclub.access.handshake import client_address
from hotclub.access.rates import Buckets, TooMany, Traffic
from hotclub.conf.problems import proxy_problems, rate_problems
from hotclub.conf.values import Rate, RateLimits
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.places import network_of
from hotclub.runtime.node import require_node
from tests.hotclub.conftest import Person, Site, amake_person
from tests.support.clock import Clock
from tests.support.processes import poll_until
from tests.support.requests import OPENINGS, answer, answered, request
from tests.support.wire import Closed, ErrorReply, WireClient

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]


def test_a_bucket_empties_and_fills() -> None:
    clock = Clock()
    buckets, rate = Buckets(clock=clock), Rate(2, per=4)
    buckets.take("a", rate)
    buckets.take("a", rate)
    buckets.take("b", rate)

    with pytest.raises(TooMany) as refused:
        buckets.take("a", rate)
    assert refused.value.wait == 2
    assert refused.value.as_error().message.endswith("retry after 2 s")
    assert refused.value.as_disconnect().code == 3013

    clock.now = 2.0
    buckets.take("a", rate)


def test_memory_is_bounded_and_the_busy_are_remembered() -> None:
    buckets, rate = Buckets(most=10, clock=Clock()), Rate(1)
    buckets.take("busy", rate)
    for number in range(100):
        buckets.take(number, rate)
        with pytest.raises(TooMany):
            buckets.take("busy", rate)
    assert len(buckets) == 10


def test_one_address_does_not_use_up_what_is_for_all() -> None:
    traffic = Traffic(RateLimits(connects=Rate(3), connects_per_address=Rate(2)), clock=Clock())
    traffic.handshake("1.1.1.1")
    traffic.handshake("1.1.1.1")
    for _ in range(5):
        with pytest.raises(TooMany):
            traffic.handshake("1.1.1.1")
    traffic.handshake("2.2.2.2")
    with pytest.raises(TooMany):
        traffic.handshake("3.3.3.3")


def test_connections_at_one_time_are_counted() -> None:
    traffic = Traffic(RateLimits(connections_per_user=1, connections_per_address=2), clock=Clock())
    traffic.connect("7", "1.1.1.1")
    with pytest.raises(Disconnect) as refused:
        traffic.connect("7", "2.2.2.2")
    assert refused.value.code == 3504
    traffic.connect("", "1.1.1.1")
    with pytest.raises(Disconnect):
        traffic.connect("8", "1.1.1.1")

    traffic.disconnect("7", "1.1.1.1")
    traffic.connect("7", "1.1.1.1")


def test_a_user_who_connects_too_often_is_told_when_to_return() -> None:
    traffic = Traffic(RateLimits(connects_per_user=Rate(1, 10)), clock=Clock())
    traffic.connect("7", "")
    with pytest.raises(Disconnect) as refused:
        traffic.connect("7", "")
    assert (refused.value.code, refused.value.reason) == (3013, "too many requests, retry after 10 s")


def test_a_class_has_its_own_rate() -> None:
    traffic = Traffic(RateLimits(publishes_per_user=Rate(1)), clock=Clock())
    own = Rate(2)
    for _ in range(2):
        traffic.publish("7", "own", own)
    traffic.publish("7", "other", None)
    traffic.publish("8", "other", None)
    for pattern, rate in (("own", own), ("other", None)):
        with pytest.raises(Refused) as refused:
            traffic.publish("7", pattern, rate)
        assert (refused.value.code, refused.value.temporary) == (111, True)


def test_none_is_no_limit() -> None:
    nothing: dict[str, Any] = dict.fromkeys(RateLimits.__dataclass_fields__)
    traffic = Traffic(RateLimits(**nothing), clock=Clock())
    for _ in range(10_000):
        traffic.handshake("1.1.1.1")
        traffic.connect("7", "1.1.1.1")
        traffic.subscribe("7")


def test_an_ipv6_network_is_one_address() -> None:
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1") != network_of("2001:db8:1:3::")
    assert network_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert network_of("unix") == "unix"


@pytest.mark.parametrize(
    "raw", [[], {"NOTHING": 1}, {"CONNECTS": 5}, {"CONNECTS": (0, 1)}, {"CONNECTIONS_PER_USER": True}]
)
def test_mistakes_in_the_setting_are_found(raw: Any) -> None:
    assert list(rate_problems(raw))


TRUSTED = ("10.0.0.0/8", "unix")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
        ("", "1.2.3.4", "1.2.3.4"),
        ("::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4"),
    ],
)
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, {"x-forwarded-for": forwarded}, TRUSTED) == address


def test_nobody_is_trusted_unless_named() -> None:
    assert client_address("127.0.0.1", {"x-forwarded-for": "1.2.3.4"}, ()) == "127.0.0.1"
    assert list(proxy_problems("10.0.0.0/8"))
    assert list(proxy_problems(["somewhere"]))
    assert not list(proxy_problems(["10.0.0.0/8", "::1", "unix"]))


class Chat(hotclub.Channel):
    pattern = "chat"
    rate = hotclub.Rate(2, per=60)

    async def can_subscribe(self, client: hotclub.Client) -> bool:
        return True

    async def can_publish(self, client: hotclub.Client) -> bool:
        return True


async def opened(site: Site, person: Person) -> WireClient:
    return await WireClient.connected(site.port, headers=site.headers(person))


@pytest.mark.django_db(transaction=True)
async def test_publishes_beyond_the_rate_are_refused_over_all_connections_of_a_user(
    serve: Serve, declare: Declare
) -> None:
    declare(Chat)
    site = await serve()
    person = await amake_person()
    first, second = await opened(site, person), await opened(site, person)
    for client in (first, second):
        await client.subscribe("chat")
        await client.publish("chat", 1)

    with pytest.raises(ErrorReply) as refused:
        await second.publish("chat", 1)
    assert refused.value.code == 111
    assert refused.value.temporary
    assert "retry after" in refused.value.message
    first.abort()
    second.abort()


every_opening = pytest.mark.parametrize("endpoint", OPENINGS)


@every_opening
@pytest.mark.django_db(transaction=True)
async def test_connects_beyond_the_rate_are_told_when_to_return(
    serve: Serve, hotclub_settings: Configure, endpoint: str
) -> None:
    hotclub_settings(RATES={"CONNECTS_PER_ADDRESS": (1, 60)}, TRUSTED_PROXIES=["127.0.0.1"], ALLOW_ANONYMOUS=True)
    port = (await serve()).port
    first, other = b"X-Forwarded-For: 9.9.9.8", b"X-Forwarded-For: 9.9.9.9"
    assert (await answer(port, request(port, endpoint, first))).status in (101, 200)
    refused = await answer(port, request(port, endpoint, first))
    assert refused.status == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await answer(port, request(port, endpoint, other))).status in (101, 200)


@every_opening
@pytest.mark.django_db(transaction=True)
async def test_nobody_is_looked_up_before_the_limit(
    serve: Serve, hotclub_settings: Configure, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    hotclub_settings(
        RATES={"CONNECTS_PER_ADDRESS": (1, 60)},
        TRUSTED_PROXIES=["127.0.0.1"],
        ALLOW_ANONYMOUS=True,
        RELAY_INTERVAL=3_600,
    )
    site, person = await serve(), await amake_person()
    port = site.port
    origin, cookie = f"Origin: {site.url}".encode(), f"Cookie: {person.cookie}".encode()
    queries = _recorded(monkeypatch)
    if "websocket" not in endpoint:
        sent = request(port, endpoint, origin, cookie, b"X-Forwarded-For: 9.9.9.8")
        async with answered(port, sent) as (_, reader), asyncio.timeout(5):
            await reader.readuntil(hotclub.__version__.encode())
        assert any("django_session" in sql for sql in queries)
        await poll_until(lambda: require_node().hub.num_clients == 0, "nobody is looked at any more")
    assert (await answer(port, request(port, endpoint, origin))).status in (101, 200)
    queries.clear()
    for _ in range(5):
        assert (await answer(port, request(port, endpoint, origin, cookie))).status == 503
    assert queries == []


def _recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the database is asked from now on, without the lease that a node renews at its own times."""
    queries: list[str] = []
    execute = CursorWrapper.execute

    def record(cursor: Any, sql: str, params: Any = None) -> Any:
        if "hotclub_nodelease" not in sql:
            queries.append(sql)
        return execute(cursor, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", record)
    return queries


@pytest.mark.django_db(transaction=True)
async def test_a_connection_too_many_is_refused_and_room_comes_back(serve: Serve, hotclub_settings: Configure) -> None:
    hotclub_settings(RATES={"CONNECTIONS_PER_USER": 1})
    site = await serve()
    person = await amake_person()
    first = await opened(site, person)

    with pytest.raises(Closed) as refused:
        await opened(site, person)
    assert refused.value.code == 3504
    await hotclub.adisconnect(person.user, code=4500, reason="go")
    await first.ended()
    again = await opened(site, person)
    again.abort()
