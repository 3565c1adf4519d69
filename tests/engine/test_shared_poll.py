"""Shared polls: who asks for what how often, what is told to whom, and what ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Raw

from hotclub.engine.errors import Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.port import PollAnswer, PolledItem
from hotclub.engine.subscriber import PollSubscriber
from hotclub.engine.target import Target
from tests.engine.support import Club, MemoryClient
from tests.support.app import raw

CHANNEL = "poll:a"
PLAIN = "poll-plain:a"


class PollClub(Club):
    def answer(self, key: str, value: object = None, version: int = 1, *, removed: bool = False) -> None:
        self.application.values[key] = PolledItem(key=key, data=raw(value), version=version, removed=removed)

    async def asked(self, times: int) -> None:
        """Wait until that many questions were asked."""
        await self.application.until(lambda: len(self.application.polls) >= times)

    async def refresh(self, channel: str = CHANNEL) -> None:
        await self.node.channels.polls.refresh(channel)

    async def follower(self, channel: str = CHANNEL, user: str = "") -> MemoryClient:
        client = await self.connect(user)
        await client.call(subscribe={"channel": channel, "type": 4})
        return client


@pytest.fixture
async def club() -> AsyncIterator[PollClub]:
    club = PollClub()
    await club.node.start()
    yield club
    await club.node.stop()


async def track(
    client: MemoryClient, *keys: str | tuple[str, int], ttl: int = 60, channel: str = CHANNEL, **more: Any
) -> Any:
    items = [{"key": key} if isinstance(key, str) else {"key": key[0], "version": key[1]} for key in keys]
    batches = [{"signature": str(ttl), "items": items}]
    reply = await client.call(sub_refresh={"channel": channel, "type": 1, "track": batches, **more})
    return reply["sub_refresh"] if "sub_refresh" in reply else reply["error"]


def shown(client: MemoryClient, channel: str = CHANNEL) -> list[tuple[str, Any, int]]:
    pushes = (message.get("push", {}) for message in client.line.received)
    pubs = [push["pub"] for push in pushes if push.get("channel") == channel and "pub" in push]
    return [(pub["key"], "removed" if pub.get("removed") else pub["data"], pub.get("version", 0)) for pub in pubs]


async def settled(client: MemoryClient) -> None:
    await client.call(rpc={"method": "echo", "data": 1})


async def test_subscribing_alone_asks_for_nothing(club: PollClub) -> None:
    client = await club.connect()
    reply = await client.call(subscribe={"channel": CHANNEL, "type": 4})
    assert reply["subscribe"] == {"type": 4}
    await club.refresh()
    assert club.application.polls == []


async def test_a_key_that_nobody_followed_is_asked_for_at_once(club: PollClub) -> None:
    club.answer("k", "v", 3)
    client = await club.follower()
    assert await track(client, "k") == {"expires": True, "ttl": 60}
    await club.asked(1)
    await settled(client)
    assert shown(client) == [("k", "v", 3)]
    assert [(item.key, item.version) for item in club.application.polls[0]] == [("k", 0)]


async def test_the_second_follower_is_answered_from_what_is_known(club: PollClub) -> None:
    club.answer("k", "v", 3)
    first, second, third = [await club.follower() for _ in range(3)]
    await track(first, "k")
    await club.asked(1)
    await settled(first)
    assert (await track(second, "k"))["items"] == [{"data": "v", "key": "k", "version": 3}]
    assert "items" not in await track(third, ("k", 3))
    await settled(second)
    assert (shown(second), len(club.application.polls)) == ([], 1)


async def test_one_question_serves_everybody_and_only_news_are_told(club: PollClub) -> None:
    club.answer("k", "old", 1)
    clients = [await club.follower() for _ in range(5)]
    for client in clients:
        await track(client, ("k", 1))
    await club.asked(1)
    await club.refresh()
    club.answer("k", "new", 2)
    await club.refresh()
    club.answer("k", "older", 1)
    await club.refresh()
    assert len(club.application.polls) == 4
    assert [item.version for (item,) in club.application.polls] == [0, 1, 1, 2]
    for client in clients:
        await settled(client)
        assert shown(client) == [("k", "new", 2)]


async def test_the_interval_asks_again() -> None:
    club = PollClub()
    await club.node.start()
    client = await club.follower("poll-quick:a")
    await track(client, "k", channel="poll-quick:a")
    await club.asked(4)
    await client.call(unsubscribe={"channel": "poll-quick:a"})
    task = club.node.channels.polls._channels["poll-quick:a"].task
    assert task is not None
    await asyncio.wait_for(task, 5)
    await club.node.stop()


async def test_keys_are_asked_for_in_batches(club: PollClub) -> None:
    client = await club.follower()
    await track(client, "c", "a", "b")
    await club.asked(2)
    assert sorted(tuple(item.key for item in items) for items in club.application.polls) == [("a", "b"), ("c",)]


async def test_values_without_versions_are_told_apart_by_their_data(club: PollClub) -> None:
    club.answer("k", "v", 0)
    client = await club.follower(PLAIN)
    epoch = (await (await club.connect()).call(subscribe={"channel": PLAIN, "type": 4}))["subscribe"]["epoch"]
    assert len(epoch) == 8
    await track(client, "k", channel=PLAIN)
    await club.asked(1)
    await club.refresh(PLAIN)
    club.answer("k", "w", 0)
    await club.refresh(PLAIN)
    await settled(client)
    (_, first, low), (_, second, high) = shown(client, PLAIN)
    assert (first, second, 0 < low < high) == ("v", "w", True)
    assert [item.version for items in club.application.polls for item in items] == [0, 0, 0]


async def test_versions_made_here_never_go_back(club: PollClub) -> None:
    club.answer("k", "v", 0)
    seen = []
    for _ in range(2):
        client = await club.follower(PLAIN)
        await track(client, "k", channel=PLAIN)
        await client.until(lambda _, client=client: shown(client, PLAIN) or None)
        seen.append(shown(client, PLAIN)[0][2])
        await client.leave()
    assert seen[0] < seen[1]


async def test_a_removed_key_is_followed_by_nobody_any_more(club: PollClub) -> None:
    club.answer("k", "v", 1)
    client = await club.follower()
    await track(client, "k")
    await club.asked(1)
    club.answer("k", removed=True)
    await club.refresh()
    await club.refresh()
    await settled(client)
    assert shown(client) == [("k", "v", 1), ("k", "removed", 0)]
    assert len(club.application.polls) == 2
    club.answer("k", "again", 1)
    await track(client, "k")
    await club.asked(3)
    await settled(client)
    assert shown(client)[-1] == ("k", "again", 1)


async def test_what_is_not_followed_any_more_is_neither_asked_for_nor_told(club: PollClub) -> None:
    club.answer("a", 1)
    club.answer("b", 1)
    client = await club.follower()
    await track(client, "a", "b")
    await club.asked(1)
    assert (await client.call(sub_refresh={"channel": CHANNEL, "type": 2, "untrack": ["a", "z"]}))["sub_refresh"] == {}
    club.answer("a", 2, 2)
    club.answer("b", 2, 2)
    await club.refresh()
    await settled(client)
    assert shown(client)[2:] == [("b", 2, 2)]
    await client.call(unsubscribe={"channel": CHANNEL})
    await club.refresh()
    assert len(club.application.polls) == 2


async def test_keys_can_be_dropped_where_others_are_added(club: PollClub) -> None:
    client = await club.follower()
    await track(client, "a", "b", "c")
    assert (await track(client, "d"))["code"] == 106
    assert "code" not in await track(client, "d", "e", untrack=["b", "e"])
    subscriber = client.session.subscribers[CHANNEL]
    assert isinstance(subscriber, PollSubscriber)
    assert sorted(subscriber.tracked) == ["a", "c", "d"]


async def test_every_batch_needs_its_signature_and_the_shortest_life_is_told(club: PollClub) -> None:
    client = await club.follower()
    batches = [{"signature": str(ttl), "items": [{"key": f"k{ttl}"}]} for ttl in (50, 20, 0)]
    reply = await client.call(sub_refresh={"channel": CHANNEL, "type": 1, "track": batches})
    assert reply["sub_refresh"] == {"expires": True, "ttl": 20}
    assert "expires" not in await track(client, "k0", ttl=0)
    bad = [*batches, {"signature": "forged", "items": [{"key": "x"}]}]
    reply = await client.call(sub_refresh={"channel": CHANNEL, "type": 1, "track": bad})
    assert reply["error"]["code"] == 103


async def test_a_signature_that_is_over_ends_the_following_silently(club: PollClub) -> None:
    club.answer("k", 1)
    club.answer("long", 1)
    client = await club.follower()
    await track(client, "k", ttl=10)
    await track(client, "long", ttl=100)
    await club.asked(1)
    channel = club.node.channels.polls._channels[CHANNEL]
    now = client.session.clock()
    await channel.expire(now + 14.9)
    assert set(channel.followers) == {"k", "long"}
    await channel.expire(now + 15.1)
    assert set(channel.followers) == {"long"}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"type": 1}, 107),
        ({"type": 1, "track": [{"signature": "60"}]}, 107),
        ({"type": 1, "track": [{"signature": "60", "items": [{"key": ""}]}]}, 107),
        ({"type": 1, "track": [{"signature": "60", "items": [{"key": "a\x00b"}]}]}, 107),
        ({"type": 2}, 107),
        ({"type": 3}, 107),
    ],
)
async def test_what_cannot_be_followed_is_refused(club: PollClub, request_: dict[str, Any], code: int) -> None:
    client = await club.follower()
    assert (await client.call(sub_refresh={"channel": CHANNEL, **request_}))["error"]["code"] == code


async def test_only_subscribers_of_shared_polls_follow_keys(club: PollClub) -> None:
    client = await club.connect()
    assert (await track(client, "k"))["code"] == 103
    await client.call(subscribe={"channel": "plain:a"})
    assert (await track(client, "k", channel="plain:a"))["code"] == 107
    assert (await client.call(subscribe={"channel": CHANNEL}))["error"]["code"] == 107
    await client.call(subscribe={"channel": CHANNEL, "type": 4})
    assert (await client.call(subscribe={"channel": CHANNEL, "type": 4}))["error"]["code"] == 105


async def test_another_epoch_makes_every_follower_begin_anew(club: PollClub) -> None:
    club.answer("k", "v", 5)
    club.application.epoch = "one"
    client = await club.follower(user="7")
    await track(client, "k")
    told = await client.until(lambda received: next((m for m in received if "unsubscribe" in m.get("push", {})), None))
    assert told["push"]["unsubscribe"]["code"] == 2500
    reply = await client.call(subscribe={"channel": CHANNEL, "type": 4})
    assert reply["subscribe"]["epoch"] == "one"
    await track(client, "k")
    await client.until(lambda _: shown(client) or None)
    club.application.epoch = "two"
    club.answer("k", "w", 1)
    await club.refresh()
    assert CHANNEL not in client.session.subscribers
    reply = await client.call(subscribe={"channel": CHANNEL, "type": 4})
    assert reply["subscribe"]["epoch"] == "two"
    await track(client, "k")
    await client.until(lambda _: ("k", "w", 1) in shown(client) or None)


async def test_a_failed_question_is_asked_again(club: PollClub, caplog: pytest.LogCaptureFixture) -> None:
    client = await club.follower()
    working = club.application.poll

    async def broken(*_: object) -> Any:
        raise RuntimeError("no back end")

    club.application.poll = broken  # type: ignore[method-assign, assignment]
    await track(client, "k")
    await club.refresh()
    assert "tried again" in caplog.text
    club.application.poll = working  # type: ignore[method-assign]
    club.answer("k", "v", 1)
    await club.refresh()
    await settled(client)
    assert shown(client) == [("k", "v", 1)]


async def test_what_the_server_publishes_need_not_be_asked_for(club: PollClub) -> None:
    client = await club.follower()
    await track(client, "k")
    await club.asked(1)
    polls = club.node.channels.polls
    polls.publish(CHANNEL, PolledItem(key="k", data=raw("pushed"), version=4))
    polls.publish(CHANNEL, PolledItem(key="other", data=raw("nobody"), version=4))
    polls.publish("poll:unknown", PolledItem(key="k", data=raw("nobody"), version=4))
    await settled(client)
    assert shown(client) == [("k", "pushed", 4)]


async def test_differences_are_made_per_key(club: PollClub) -> None:
    text = "x" * 300
    club.answer("k", {"n": 1, "text": text}, 1)
    first, second = await club.connect(), await club.connect()
    for client in (first, second):
        reply = await client.call(subscribe={"channel": CHANNEL, "type": 4, "delta": "fossil"})
        assert reply["subscribe"]["delta"]
    await track(first, "k")
    await club.asked(1)
    await settled(first)
    (item,) = (await track(second, "k"))["items"]
    assert isinstance(item["data"], str)
    club.answer("k", {"n": 2, "text": text}, 2)
    await club.refresh()
    for client in (first, second):
        await settled(client)
        last = client.line.received[-2]["push"]["pub"]
        assert last["delta"]
        assert len(last["data"]) < 100


async def test_a_key_that_is_followed_again_begins_with_a_whole_value(club: PollClub) -> None:
    text = "x" * 300
    club.answer("k", {"n": 1, "text": text}, 1)
    client = await club.connect()
    await client.call(subscribe={"channel": CHANNEL, "type": 4, "delta": "fossil"})
    await track(client, "k", "other")
    await club.asked(1)
    await client.call(sub_refresh={"channel": CHANNEL, "type": 2, "untrack": ["k"]})
    await track(client, ("k", 1))
    club.answer("k", {"n": 2, "text": text}, 2)
    await club.refresh()
    await settled(client)
    last = client.line.received[-2]["push"]["pub"]
    assert ("delta" in last, last["version"]) == (False, 2)


async def test_a_slow_follower_gets_the_newest_value_of_each_key() -> None:
    club = PollClub(Limits(ephemeral_bytes=1_000, outbox_bytes=4_000))
    await club.node.start()
    club.answer("k", 1, 1)
    client = await club.follower()
    await track(client, "k")
    await club.asked(1)
    await settled(client)
    client.line.unread = 1_001
    assert not client.session.outbox.has_room(-1)
    for version in (2, 3, 4):
        club.answer("k", version, version)
        await club.refresh()
    await track(client, ("k", 1))
    client.line.unread = 0
    await club.node.hub.release_held()
    await settled(client)
    assert shown(client) == [("k", 1, 1)], "it was told with the reply, and not a second time"
    await club.node.stop()


async def test_whoever_is_expelled_hears_nothing_more(club: PollClub) -> None:
    club.answer("k", 1, 1)
    client = await club.follower(user="7")
    await track(client, "k")
    await club.asked(1)
    await settled(client)
    club.node.unsubscribe(Target(user_id="7"), CHANNEL, Unsubscribed(2000))
    club.node.channels.polls.publish(CHANNEL, PolledItem(key="k", data=Raw(b"2"), version=2))
    await settled(client)
    assert shown(client) == [("k", 1, 1)]


async def test_channels_are_forgotten_some_time_after_their_last_follower(club: PollClub) -> None:
    polls = club.node.channels.polls
    client = await club.follower()
    await track(client, "k")
    polls.sweep()
    await client.leave()
    polls.sweep()
    assert CHANNEL in polls._channels, "who comes back at once is to find the epoch"
    polls.sweep()
    assert CHANNEL not in polls._channels


async def test_a_key_whose_question_hangs_is_not_asked_for_again_before_it_ends(
    club: PollClub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most four questions of a channel hang. Another channel is asked as ever."""
    release = asyncio.Event()
    asked: list[str] = []
    enough = asyncio.Event()
    answer = club.application.poll

    async def poll(channel: Any, items: Any) -> PollAnswer:
        if release.is_set():
            return await answer(channel, items)
        asked.extend(item.key for item in items)
        if len(asked) == 4:
            enough.set()
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()
                break
        return PollAnswer(items=())

    monkeypatch.setattr(club.application, "poll", poll)
    client = await club.follower("poll-brief:a")
    await track(client, *"abcdef", channel="poll-brief:a")
    async with asyncio.timeout(5):
        await enough.wait()
        for _ in range(20):
            await club.refresh("poll-brief:a")
    assert sorted(asked) == ["a", "b", "c", "d"]

    release.set()
    await club.asked(6)
    assert {item.key for items in club.application.polls for item in items} >= {*"abcd"}


async def test_stopping_does_not_wait_for_a_question_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotclub.engine.shared_poll._LAST_WAITS", (0.01, 0.01))
    club, release, begun = PollClub(), asyncio.Event(), asyncio.Event()
    await club.node.start()

    async def poll(_channel: Any, _items: Any) -> PollAnswer:
        begun.set()
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()
                break
        return PollAnswer(items=())

    monkeypatch.setattr(club.application, "poll", poll)
    await track(await club.follower(), "k")
    await begun.wait()
    async with asyncio.timeout(5):
        await club.node.stop()
    release.set()


async def test_followers_of_a_key_are_told_in_turns_and_newer_values_win(
    club: PollClub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal and two values arrive while the first followers are told: everybody ends with the last value."""
    monkeypatch.setattr("hotclub.engine.polled._SOME", 1)
    monkeypatch.setattr("hotclub.engine.background._AT_LEAST", 1)
    monkeypatch.setattr("hotclub.engine.turns.LENGTH", -1.0)
    club.answer("k", 1)
    clients = [await club.follower() for _ in range(6)]
    for client in clients:
        await track(client, "k")
    polls = club.node.channels.polls
    polls.publish(CHANNEL, PolledItem(key="k", removed=True))
    for version in (5, 7, 6):
        polls.publish(CHANNEL, PolledItem(key="k", data=raw(version), version=version))
    await club.node.channels.settle()
    for client in clients:
        await settled(client)
        told = [value for _, value, _ in shown(client) if value != 1]
        assert told[-1] in (7, "removed")
        assert 6 not in told
    following = [7 in [value for _, value, _ in shown(client)] for client in clients]
    assert following == sorted(following)
    assert following.count(True) >= 4
