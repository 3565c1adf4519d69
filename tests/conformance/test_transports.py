"""Whatever the transport and the form of the protocol: the same publications, in the same order, byte for byte."""

import asyncio
import json
import random
from contextlib import AsyncExitStack

import pytest

from tests.conformance.conftest import Conformance
from tests.support.listener import TRANSPORTS, Listener, Since

TEXTS = [
    '{"n": 1.50, "big": 12345678901234567890}',
    '"你好 \\u00e9 \U0001f600"',
    "[ 1,\t2 ]",
    "null",
    "0",
    '""',
    '{"b":1,"a":{"b":2}}',
]
"""Payloads whose bytes any re-serialisation would change."""


async def publish_text(conformance: Conformance, channel: str, text: str) -> None:
    body = b'{"channel": %b, "data": %b}' % (json.dumps(channel).encode(), text.encode())
    await conformance.api_raw("publish", body)


@pytest.mark.parametrize("kind", ["recovery:", "plain"])
async def test_every_transport_delivers_the_same_bytes(conformance: Conformance, name: str, kind: str) -> None:
    channel = f"{kind}{name}"
    async with AsyncExitStack() as stack:
        listeners = {
            transport: await stack.enter_async_context(Listener.open(conformance.port, transport, channel))
            for transport in TRANSPORTS
        }
        for text in TEXTS * 10:
            await publish_text(conformance, channel, text)
        for listener in listeners.values():
            await listener.until_seen(len(TEXTS) * 10)
    expected = [(offset, text.encode()) for offset, text in enumerate(TEXTS * 10, start=1)]
    for transport, listener in listeners.items():
        assert listener.seen == expected, transport


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_replay_is_the_same_bytes_as_what_was_live(conformance: Conformance, name: str, transport: str) -> None:
    channel = f"recovery:{name}"
    async with Listener.open(conformance.port, "websocket-json", channel) as live:
        for text in TEXTS:
            await publish_text(conformance, channel, text)
        await live.until_seen(len(TEXTS))
        async with Listener.open(conformance.port, transport, channel, since=(live.epoch, 2)) as late:
            assert late.recovered
            await late.until_seen(len(TEXTS) - 2)
            assert late.seen == live.seen[2:]


async def test_a_client_that_changes_its_transport_loses_and_doubles_nothing(
    conformance: Conformance, name: str
) -> None:
    """Forced from each to each, in the middle of a stream that never pauses."""
    channel, chance = f"recovery:{name}", random.Random(20)
    order = [*TRANSPORTS, *chance.sample(TRANSPORTS, len(TRANSPORTS)), TRANSPORTS[0]]
    stopped = asyncio.Event()

    async def publish() -> int:
        number = 0
        while not stopped.is_set():
            number += 1
            await conformance.publish(channel, {"number": number, "text": "消息"})
        return number

    got: list[tuple[int, bytes]] = []
    since: Since | None = None
    async with Listener.open(conformance.port, "websocket-json", channel) as first:
        since = (first.epoch, first.offset)
    publishing = asyncio.create_task(publish())
    try:
        for transport in order:
            async with Listener.open(conformance.port, transport, channel, since=since) as listener:
                assert listener.recovered, transport
                await listener.until_seen(chance.randrange(1, 15))
            got += listener.seen
            since = (listener.epoch, listener.offset)
    finally:
        stopped.set()
    count = await publishing
    async with Listener.open(conformance.port, "websocket-protobuf", channel, since=since) as last:
        await last.until(lambda: last.offset >= count)
    got += last.seen
    assert [offset for offset, _ in got] == list(range(1, count + 1))
    assert [json.loads(data)["number"] for _, data in got] == list(range(1, count + 1))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("published", "asked", "recovered"),
    [(3, 2, True), (3, 1, True), (3, 0, False), (3, 3, True), (3, 4, False), (2, 0, True), (0, 0, True), (0, 1, False)],
)
async def test_the_edge_of_what_is_kept_is_exact(
    conformance: Conformance, name: str, transport: str, published: int, asked: int, recovered: bool
) -> None:
    """Two publications are kept."""
    channel = f"smallhistory:{name}"
    async with Listener.open(conformance.port, "websocket-json", channel) as first:
        await conformance.publish_all(channel, list(range(published)))
        await first.until_seen(published)
    async with Listener.open(conformance.port, transport, channel, since=(first.epoch, asked)) as late:
        await conformance.publish(channel, "live")
        await late.until(lambda: bool(late.seen) and late.seen[-1][1] == b'"live"')
    assert late.recovered is recovered
    missed = list(range(asked + 1, published + 1)) if recovered else []
    assert [offset for offset, _ in late.seen] == [*missed, published + 1]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_epoch_of_another_channel_recovers_nothing(
    conformance: Conformance, name: str, transport: str
) -> None:
    async with Listener.open(conformance.port, "websocket-json", f"recovery:{name}-other") as other:
        await conformance.publish_all(f"recovery:{name}", [1, 2])
    async with Listener.open(conformance.port, transport, f"recovery:{name}", since=(other.epoch, 1)) as late:
        assert not late.recovered
        assert late.seen == []
