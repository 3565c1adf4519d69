"""Fan-out: encoded once, one reader's trouble is its own."""

import json
from collections.abc import AsyncIterator

import pytest
from msgspec import Raw

from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.model import Position, Publication
from hotclub.engine.port import ChannelSpec, ResolvedChannel
from hotclub.engine.protocol.fossil import apply_delta
from hotclub.engine.target import Target
from tests.engine.support import Club, MemoryClient


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club(Limits(outbox_bytes=10_000, ephemeral_bytes=5_000))
    await club.node.start()
    yield club
    await club.node.stop()


async def member(club: Club, channel: str, user: str = "", **request: object) -> MemoryClient:
    client = await club.connect(user)
    assert "subscribe" in await client.call(subscribe={"channel": channel, **request})
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
    await club.node.upkeep.positions.run()
    await club.node.upkeep.positions.run()
    assert "log:a" not in client.session.subscribers


async def test_what_is_still_on_its_way_is_nothing_missed(club: Club) -> None:
    """A publication stands in the log before it is delivered to every node, and on a busy channel one always does."""
    client = await member(club, "log:a")
    epoch = client.session.subscribers["log:a"].epoch
    await club.broker.unsubscribe("log:a")
    for offset in (1, 2, 3):
        await club.publish("log:a")
        await club.node.upkeep.positions.run()
        club.node.hub.deliver("log:a", Publication(data=Raw(b"null"), offset=offset), epoch)
    await club.node.upkeep.positions.run()
    await flushed(client)
    assert client.offsets("log:a") == [1, 2, 3]
    assert "log:a" in client.session.subscribers


async def test_a_log_that_began_anew_takes_nobody_by_surprise_who_has_come_since(club: Club) -> None:
    stale = await member(club, "log:a")
    await club.broker.unsubscribe("log:a")
    await club.publish("log:a")
    await club.node.upkeep.positions.run()
    club.broker._logs.clear()
    club.broker._epochs.change()
    fresh = await member(club, "log:a")
    await club.node.upkeep.positions.run()
    assert "log:a" in fresh.session.subscribers
    await club.node.upkeep.positions.run()
    assert "log:a" not in stale.session.subscribers
    assert "log:a" in fresh.session.subscribers


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
    assert {peer.id for peer in hub.peers.find(Target(user_id="7"))} == {first.session.id, second.session.id}
    assert hub.peers.find(Target(user_id="7", client_id=other.session.id)) == []
    assert hub.peers.find(Target(user_id="")) == []
    assert len(hub.peers.find(Target())) == 3
    assert (hub.num_clients, hub.peers.num_users) == (3, 2)
    assert club.node.disconnect(Target(client_id=first.session.id), Disconnect(3503)) == 1
    assert (hub.num_clients, hub.peers.num_users) == (2, 2)


async def test_subscribers_of_one_form_share_the_frame_and_others_do_not(club: Club) -> None:
    plain = [await member(club, "compact:a") for _ in range(2)]
    delta = [await member(club, "compact:a", delta="fossil") for _ in range(2)]
    short = await member(club, "compact:a", flag=1)
    binary = await club.connect(encoder=club.node.encoders.protobuf_messages)
    binary.session.enter(plain[0].session.subscribers["compact:a"].resolved).buffer = None
    forms = {id(client.session.subscribers["compact:a"].form) for client in (*plain, *delta, short, binary)}
    assert len(forms) == 4
    await club.publish("compact:a", 1)
    await flushed(short)
    assert plain[0].line.frames[-1] is plain[1].line.frames[-1]
    assert delta[0].line.frames[-1] is delta[1].line.frames[-1]
    assert len({plain[0].line.frames[-1], delta[0].line.frames[-1], short.line.frames[-2]}) == 3


async def test_a_channel_has_one_number_as_long_as_somebody_uses_it(club: Club) -> None:
    first = await club.connect()
    number = (await first.call(subscribe={"channel": "compact:a", "flag": 1}))["subscribe"]["id"]
    second = await club.connect()
    assert (await second.call(subscribe={"channel": "compact:a", "flag": 1, "delta": "fossil"}))["subscribe"][
        "id"
    ] == number
    other = (await second.call(subscribe={"channel": "compact-plain:b", "flag": 3}))["subscribe"]["id"]
    assert other not in (0, number)
    await club.publish("compact:a", 1)
    await club.publish("compact-plain:b", 2)
    await flushed(second)
    pushes = [message["push"] for message in second.line.received if "push" in message]
    assert [(push["id"], push["pub"]["data"]) for push in pushes] == [(number, "1"), (other, 2)]
    assert not any("channel" in push for push in pushes)
    await first.call(unsubscribe={"channel": "compact:a"})
    await second.call(unsubscribe={"channel": "compact:a"})
    again = (await first.call(subscribe={"channel": "compact:a", "flag": 1}))["subscribe"]["id"]
    assert again not in (number, other)


async def test_a_number_is_given_only_to_those_who_ask_in_channels_that_have_them(club: Club) -> None:
    client = await club.connect()
    assert "id" not in (await client.call(subscribe={"channel": "compact:a", "flag": 2}))["subscribe"]
    assert "id" not in (await client.call(subscribe={"channel": "log:a", "flag": 1}))["subscribe"]


async def test_an_unsubscribe_names_its_channel_whatever_number_it_has(club: Club) -> None:
    client = await member(club, "compact:a", flag=1)
    club.node.unsubscribe(Target(), "compact:a", Unsubscribed(2000))
    await flushed(client)
    (push,) = [message["push"] for message in client.line.received if "push" in message]
    assert (push["channel"], "id" in push) == ("compact:a", False)


async def test_filtered_publications_advance_the_position(club: Club) -> None:
    choosy = await member(club, "tagged:a", tf={"key": "lang", "cmp": "eq", "val": "fr"})
    for lang in ("fr", "en", "en", "fr"):
        await club.publish("tagged:a", lang, lang=lang)
    await flushed(choosy)
    assert choosy.offsets("tagged:a") == [1, 4]
    assert choosy.session.subscribers["tagged:a"].offset == 4


async def test_differences_are_made_against_what_each_subscriber_got(club: Club) -> None:
    texts = ["a" * 300, "a" * 300 + "b", "a" * 300 + "bc"]
    early = await member(club, "delta:a", delta="fossil")
    await club.publish("delta:a", texts[0])
    late = await member(club, "delta:a", delta="fossil")
    for text in texts[1:]:
        await club.publish("delta:a", text)
    await flushed(early)
    await flushed(late)
    assert [pub.get("delta", False) for pub in early.pushes("pub")] == [False, True, True]
    assert [pub.get("delta", False) for pub in late.pushes("pub")] == [False, True]
    assert undone(early) == texts
    assert undone(late) == texts[1:]


def undone(client: MemoryClient) -> list[object]:
    """The values that a client with differences ends up with."""
    values, base = [], b""
    for pub in client.pushes("pub"):
        assert isinstance(pub["data"], str)
        data = pub["data"].encode()
        base = apply_delta(base, data) if pub.get("delta") else data
        values.append(json.loads(base))
    return values


async def test_differences_and_filters_exclude_each_other(club: Club) -> None:
    client = await club.connect()
    asked = {"channel": "choosy-delta:a", "delta": "fossil", "tf": {"key": "lang", "cmp": "eq", "val": "fr"}}
    assert "delta" not in (await client.call(subscribe=asked))["subscribe"]
    for lang in ("fr", "en", "fr"):
        await club.publish("choosy-delta:a", {"lang": lang}, lang=lang)
    await flushed(client)
    assert [pub["data"] for pub in client.pushes("pub")] == [{"lang": "fr"}] * 2


async def test_what_a_slow_reader_was_not_sent_is_no_base(club: Club) -> None:
    channel = ResolvedChannel(name="plain:a", spec=ChannelSpec(delta=True))
    slow = await club.connect()
    subscriber = slow.session.enter(channel, delta=True)
    subscriber.buffer = None
    await club.node.channels.link(channel)
    slow.line.unread = 6_000
    await club.publish("plain:a", "a" * 300)
    await flushed(slow)
    await club.publish("plain:a", "b" * 300)
    slow.line.unread = 0
    await club.publish("plain:a", "b" * 300 + "c")
    await flushed(slow)
    assert club.node.counters.dropped == 1
    assert undone(slow) == ["a" * 300, "b" * 300 + "c"]
    assert not slow.pushes("pub")[1].get("delta")


async def test_bytes_end_the_json_subscribers_and_reach_the_others(club: Club) -> None:
    channels = ("log:a", "plain:a")
    text = {channel: await member(club, channel) for channel in channels}
    binary = await club.connect(encoder=club.node.encoders.protobuf_messages)
    for channel in channels:
        subscriber = binary.session.enter(text[channel].session.subscribers[channel].resolved)
        subscriber.buffer = None
        await club.publish_bytes(channel, b"\x00\xff")
        assert (await text[channel].ended()).code == 3506
        assert text[channel].pushes("pub") == []
    binary.session.outbox.flush()
    assert sum(b"\x00\xff" in frame for frame in binary.line.frames) == 2
    assert not binary.session.closed


async def test_bytes_that_a_filter_leaves_out_end_nobody(club: Club) -> None:
    choosy = await member(club, "tagged:a", tf={"key": "kind", "cmp": "eq", "val": "text"})
    await club.publish_bytes("tagged:a", b"\xff", kind="bytes")
    await club.publish("tagged:a", 2, kind="text")
    await flushed(choosy)
    assert choosy.offsets("tagged:a") == [2]
    returning = await member(club, "tagged:a", tf={"key": "kind", "cmp": "eq", "val": "text"}, recover=True)
    assert not returning.session.closed


async def test_a_position_never_counts_what_could_not_be_sent(club: Club) -> None:
    client = await member(club, "log:a")
    await club.publish("log:a")
    await club.publish_bytes("log:a", b"\xff")
    assert (await client.ended()).code == 3506
    assert client.session.subscribers["log:a"].offset == 1


async def test_recovering_bytes_ends_a_json_subscriber(club: Club) -> None:
    await club.publish_bytes("log:a", b"\xff")
    client = await club.connect()
    client.send(subscribe={"channel": "log:a", "recover": True})
    assert (await client.ended()).code == 3506
    assert club.node.hub.num_channels == 0
