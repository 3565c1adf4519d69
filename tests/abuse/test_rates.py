"""reliability.md §4 A13 and A16: who connects too often, and who says that somebody else does."""

import asyncio
import itertools

import pytest

from tests.abuse.conftest import STRICT, Room
from tests.support.emulated import CLIENTS
from tests.support.matrix import mostly, smoke
from tests.support.processes import Server
from tests.support.requests import ENDPOINTS, OPENINGS, Answer, answer, request
from tests.support.unidirectional import WAYS, Listening
from tests.support.wire import WireClient

_addresses = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(1, 99), range(1, 99), range(1, 99)))
"""Nobody has connected from these yet."""


async def knock(server: Server, times: int, endpoint: str, *more: bytes, source: str) -> list[Answer]:
    """How so many connections one after the other are answered."""
    sent = request(server.port, endpoint, *more)
    return [await answer(server.port, sent, source=source) for _ in range(times)]


def statuses(answers: list[Answer]) -> list[bool]:
    """Who was let in. Whoever was not is told when to come back."""
    for found in answers:
        if found.status == 503:
            assert 1 <= int(found.headers["retry-after"]) <= STRICT[1]
        else:
            assert found.status in (101, 200)
    return [found.status != 503 for found in answers]


@pytest.mark.parametrize("endpoint", OPENINGS)
async def test_a13_an_address_that_connects_too_often_is_told_when_to_return(strict: Server, endpoint: str) -> None:
    source = next(_addresses)
    allowed = STRICT[0]
    assert statuses(await knock(strict, allowed + 2, endpoint, source=source)) == [True] * allowed + [False] * 2
    for other in OPENINGS:
        assert statuses(await knock(strict, 1, other, source=source)) == [False], "the limit is of all transports"
    assert statuses(await knock(strict, 1, endpoint, source=next(_addresses))) == [True]


async def test_a13_commands_of_open_connections_are_not_connects(strict: Server) -> None:
    source = next(_addresses)
    found = await knock(strict, STRICT[0] * 3, "emulation", source=source)
    assert {item.status for item in found} == {404}
    assert statuses(await knock(strict, 1, "sse", source=source)) == [True]


async def test_a13_a_flood_from_one_address_leaves_room_for_others(strict: Server) -> None:
    source, sent = next(_addresses), [request(strict.port, endpoint) for endpoint in OPENINGS]
    flood = [asyncio.create_task(_flood(strict, sent, source)) for _ in range(20)]
    async with await WireClient.connected(strict.port) as other:
        taken = []
        while not all(part.done() for part in flood):
            started = strict.work
            await other.settled()
            taken.append(strict.work - started)
    let_in = sum(itertools.chain.from_iterable([part.result() for part in flood]))
    assert let_in == STRICT[0]
    assert sorted(taken)[len(taken) // 2] < 0.5
    assert statuses(await knock(strict, 1, "uni_sse", source=next(_addresses))) == [True]


async def _flood(server: Server, sent: list[bytes], source: str) -> list[bool]:
    return statuses([await answer(server.port, sent[number % len(sent)], source=source) for number in range(50)])


@pytest.mark.parametrize("endpoint", OPENINGS)
async def test_a16_an_address_cannot_be_claimed(strict: Server, endpoint: str) -> None:
    source, allowed = next(_addresses), STRICT[0]
    claims = [
        b"X-Forwarded-For: 9.9.9.%d",
        b"X-Real-IP: 9.9.9.%d",
        b"Forwarded: for=9.9.9.%d",
        b"X-Client-IP: 9.9.9.%d",
    ]
    answers = []
    for number in range(allowed + 2):
        lines = [claim % number for claim in claims]
        answers += await knock(strict, 1, endpoint, *lines, source=source)
    assert statuses(answers) == [True] * allowed + [False] * 2


@pytest.mark.parametrize("endpoint", mostly(["websocket", "http_stream"], ENDPOINTS))
@pytest.mark.parametrize(
    "lines",
    [
        smoke((b"Origin: https://127.0.0.1:{port}", b"X-Forwarded-Proto: https"), "proto"),
        (
            b"Origin: https://127.0.0.1:{port}",
            b"X-Forwarded-Proto: wss",
            b"X-Forwarded-Ssl: on",
            b"Front-End-Https: on",
        ),
        smoke((b"Origin: http://evil.com", b"X-Forwarded-Host: evil.com"), "host"),
        (b"Origin: http://evil.com", b"Forwarded: host=evil.com;proto=http"),
        (b"Origin: http://127.0.0.1:1", b"X-Forwarded-Port: 1"),
    ],
)
async def test_a16_an_origin_cannot_be_claimed(server: Server, endpoint: str, lines: tuple[bytes, ...]) -> None:
    more = [line.replace(b"{port}", str(server.port).encode()) for line in lines]
    assert (await answer(server.port, request(server.port, endpoint, *more))).status == 403


@pytest.mark.parametrize("name", ["X-User-ID", "X-Forwarded-User", "Remote-User", "REMOTE_USER", "X-Remote-User"])
async def test_a16_a_user_cannot_be_claimed(room: Room, name: str) -> None:
    """Who is not signed in is not let in to this site, whoever they say they are."""
    headers = {name: room.site.people["Alice"].id}
    for kind in CLIENTS.values():
        async with await kind.open(room.port, headers=headers) as client:
            await client.start("connect")
            assert (await client.ended()).code == 3501
    for way in WAYS:
        async with Listening.open(room.port, way, b"{}", headers=headers) as listening:
            assert await listening.ended() == 3501


async def test_a13_many_addresses_are_limited_together(strict: Server) -> None:
    """The last test of its server, since nobody is let in for a while."""
    sources = [next(_addresses) for _ in range(200)]
    groups = [
        asyncio.create_task(knock(strict, 4, endpoint, source=source))
        for source, endpoint in zip(sources, itertools.cycle(OPENINGS), strict=False)
    ]
    let_in = [item for answers in await asyncio.gather(*groups) for item in statuses(answers)]
    assert 0 < sum(let_in) < len(let_in)
    refused = [item for answers in await asyncio.gather(*groups) for item in answers if item.status == 503]
    assert {int(item.headers["retry-after"]) for item in refused} == {1}
