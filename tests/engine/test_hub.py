"""Fan-out: encoded once, one reader's trouble is its own."""

from collections.abc import AsyncIterator

import pytest
from msgspec import Raw

from hotclub.engine.bus import Target
from hotclub.engine.errors import disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import Position, Publication
from tests.engine.support import Club, MemoryClient


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club(Limits(outbox_bytes=10_000, ephemeral_bytes=5_000))
    await club.node.start()
    yield club
    await club.node.stop()


async def member(club: Club, channel: str, user: str = "") -> MemoryClient:
    client = await club.connect(user)
    assert "subscribe" in await client.call(subscribe={"channel": channel})
    return client


async def flushed(client: MemoryClient) -> None:
    """Everything pushed so far has been written."""
    await client.call(rpc={"method": "echo"})


async def test_a_publication_is_encoded_once_for_all(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [await member(club, "log:a") for _ in range(3)]
    codec = club.node.encoders.json_messages.codec
    encoded: list[int] = []
    original = codec.encode_publication

    def counting(channel: str, publication: Publication, number: int = 0) -> bytes:
        encoded.append(publication.offset)
        return original(channel, publication, number)

    monkeypatch.setattr(codec, "encode_publication", counting)
    await club.publish("log:a")
    for client in clients:
        await flushed(client)
        assert client.offsets("log:a") == [1]
    assert encoded == [1]


async def test_a_gap_tells_the_subscriber_to_recover_and_nobody_else(club: Club) -> None:
    behind, fine = await member(club, "log:a"), await member(club, "log:a")
    await club.publish("log:a")
    behind.session.subscribers["log:a"].offset = 0
    await club.publish("log:a")
    push = await behind.until(
        lambda received: next(
            (message["push"] for message in received if "unsubscribe" in message.get("push", {})), None
        )
    )
    assert push["unsubscribe"]["code"] == 2500
    await flushed(fine)
    assert fine.offsets("log:a") == [1, 2]
    assert behind.offsets("log:a") == [1]
    assert "log:a" not in behind.session.subscribers


async def test_a_publication_of_another_epoch_is_a_gap_and_an_old_one_is_skipped(club: Club) -> None:
    client = await member(club, "log:a")
    await club.publish("log:a")
    epoch = client.session.subscribers["log:a"].epoch
    club.node.hub.deliver("log:a", Publication(data=Raw(b"1"), offset=1), epoch)
    await flushed(client)
    assert client.offsets("log:a") == [1]
    club.node.hub.deliver("log:a", Publication(data=Raw(b"1"), offset=2), "other")
    await client.until(
        lambda received: next((message for message in received if "unsubscribe" in message.get("push", {})), None)
    )


async def test_a_server_side_subscription_with_a_gap_ends_the_connection(club: Club) -> None:
    client = MemoryClient(club.node)
    await client.call(connect={"data": {"user": "7", "channels": ["log:a"]}})
    club.node.hub.deliver("log:a", Publication(data=Raw(b"1"), offset=9), "other")
    assert (await client.ended()).code == 3010


async def test_an_idle_subscriber_that_has_missed_something_is_found(club: Club) -> None:
    client = await member(club, "log:a")
    epoch = client.session.subscribers["log:a"].epoch
    club.node.hub.check_top("log:a", Position(epoch, 0))
    assert "log:a" in client.session.subscribers
    await club.broker.unsubscribe("log:a")
    await club.publish("log:a")
    await club.node.exchange.check_positions()
    assert "log:a" not in client.session.subscribers


async def test_a_slow_reader_is_closed_and_the_others_are_served(club: Club) -> None:
    slow, fine = await member(club, "log:a"), await member(club, "log:a")
    slow.line.unread = 9_000
    await club.publish("log:a", "x" * 2_000)
    assert (await slow.ended()).code == 3008
    await flushed(fine)
    assert fine.offsets("log:a") == [1]
    assert club.node.hub.num_subscribers("log:a") == 1


async def test_without_history_a_slow_reader_misses_and_it_is_counted(club: Club) -> None:
    slow, fine = await member(club, "plain:a"), await member(club, "plain:a")
    slow.line.unread = 6_000
    await club.publish("plain:a", 1)
    await flushed(slow)
    await club.publish("plain:a", 2)
    await flushed(fine)
    got = [message["push"]["pub"]["data"] for message in fine.line.received if "push" in message]
    assert got == [1, 2]
    assert club.node.counters.dropped == 1
    assert not slow.session.closed


async def test_targets_name_connections_by_every_condition_given(club: Club) -> None:
    first, second, other = await club.connect("7"), await club.connect("7"), await club.connect("8")
    hub = club.node.hub
    assert {peer.id for peer in hub.find(Target(user_id="7"))} == {first.session.id, second.session.id}
    assert hub.find(Target(user_id="7", client_id=other.session.id)) == []
    assert hub.find(Target(user_id="")) == []
    assert len(hub.find(Target())) == 3
    assert (hub.num_clients, hub.num_users) == (3, 2)
    assert club.node.disconnect(Target(client_id=first.session.id), disconnect(3503)) == 1
    assert (hub.num_clients, hub.num_users) == (2, 2)
