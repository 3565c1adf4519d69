"""The map broker of one process: entries, positions, what suppresses a change, and how keys expire."""

import json

import pytest
from msgspec import Raw, structs

from hotclub.engine.broker.base import HistoryQuery, Retention
from hotclub.engine.broker.maps import MapMessage, MapOutcome, MapQuery, MapRetention, Suppressed
from hotclub.engine.broker.memory_map import MemoryMapBroker
from hotclub.engine.errors import IdempotencyConflict, Refused, UnrecoverablePosition
from hotclub.engine.model import Position, Publication

PERSISTENT = MapRetention(stream=Retention(size=3, ttl=60))
EPHEMERAL = MapRetention(key_ttl=10)
CHANNEL = "map:a"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """A broker of one channel, with everything it told."""

    def __init__(self, retention: MapRetention) -> None:
        self.clock = Clock()
        self.told: list[tuple[Publication, str]] = []
        self.broker = MemoryMapBroker(
            lambda _, publication, epoch: self.told.append((publication, epoch)), clock=self.clock
        )
        self.retention = retention

    async def set(self, key: str, value: object = None, **options: object) -> MapOutcome:
        message = MapMessage(key=key, data=Raw(json.dumps(value).encode()), **options)  # type: ignore[arg-type]
        return await self.broker.change(CHANNEL, message, self.retention)

    async def remove(self, key: str, **options: object) -> MapOutcome:
        message = MapMessage(key=key, removed=True, **options)  # type: ignore[arg-type]
        return await self.broker.change(CHANNEL, message, self.retention)

    async def keys(self, **query: object) -> list[str]:
        page = await self.broker.read(CHANNEL, MapQuery(**query), self.retention)  # type: ignore[arg-type]
        return [entry.key for entry in page.entries]


@pytest.fixture
async def kept() -> Store:
    store = Store(PERSISTENT)
    await store.broker.subscribe(CHANNEL)
    return store


@pytest.fixture
async def passing() -> Store:
    store = Store(EPHEMERAL)
    await store.broker.subscribe(CHANNEL)
    return store


async def test_a_persistent_map_counts_its_changes(kept: Store) -> None:
    first, second = await kept.set("a", 1), await kept.set("a", 2)
    third = await kept.remove("a")
    assert [outcome.position.offset for outcome in (first, second, third)] == [1, 2, 3]
    assert [(item.key, item.removed, item.offset) for item, _ in kept.told] == [
        ("a", False, 1),
        ("a", False, 2),
        ("a", True, 3),
    ]
    assert {epoch for _, epoch in kept.told} == {first.position.epoch}
    assert await kept.keys() == []


async def test_a_full_map_takes_no_new_key_and_changes_those_it_has(passing: Store) -> None:
    passing.retention = structs.replace(passing.retention, keys=2)
    for key in ("a", "b", "a"):
        await passing.set(key)
    with pytest.raises(Refused) as refused:
        await passing.set("c")
    assert refused.value.code == 106
    assert (await passing.set("c", mode="if_exists")).suppressed is Suppressed.KEY_NOT_FOUND
    await passing.remove("a")
    await passing.set("c")
    assert await passing.keys() == ["b", "c"]


async def test_an_ephemeral_map_has_no_positions(passing: Store) -> None:
    outcome = await passing.set("a", 1)
    assert outcome == MapOutcome(position=Position("", 0))
    assert [(item.offset, epoch) for item, epoch in passing.told] == [(0, "")]
    page = await passing.broker.read(CHANNEL, MapQuery(), EPHEMERAL)
    assert (page.top, page.entries[0].offset) == (Position("", 0), 0)


async def test_the_log_keeps_the_newest_changes_for_their_time(kept: Store) -> None:
    for number in range(5):
        await kept.set("a", number)
    page = await kept.broker.history(CHANNEL, HistoryQuery(limit=-1), PERSISTENT.stream)
    assert [item.offset for item in page.publications] == [3, 4, 5]
    kept.clock.now += 60
    page = await kept.broker.history(CHANNEL, HistoryQuery(limit=-1), PERSISTENT.stream)
    assert (page.publications, page.top.offset) == ((), 5)
    with pytest.raises(UnrecoverablePosition):
        await kept.broker.history(CHANNEL, HistoryQuery(since=Position("other", 1)), PERSISTENT.stream)


async def test_pages_are_cut_by_number_and_by_size_and_stand_changes_between_them(kept: Store) -> None:
    for key in "ecadb":
        await kept.set(key, "x" * 10)
    page = await kept.broker.read(CHANNEL, MapQuery(limit=2), PERSISTENT)
    assert [entry.key for entry in page.entries] == ["a", "b"]
    await kept.remove("b")
    await kept.set("aa")
    assert await kept.keys(limit=2, cursor=page.cursor) == ["c", "d"]
    assert await kept.keys(size=15) == ["a", "aa"]
    assert await kept.keys(size=1) == ["a"]
    assert await kept.keys(key="c") == ["c"]
    assert await kept.keys(key="nobody") == []
    last = await kept.broker.read(CHANNEL, MapQuery(limit=5), PERSISTENT)
    assert last.cursor == ""


async def test_an_ordered_map_is_read_by_score_both_ways(kept: Store) -> None:
    for key, score in (("low", -5), ("high", 7), ("even", 7), ("mid", 0)):
        await kept.set(key, score=score)
    seen: list[str] = []
    cursor = ""
    while not seen or cursor:
        page = await kept.broker.read(CHANNEL, MapQuery(limit=1, ordered=True, cursor=cursor), PERSISTENT)
        seen += [entry.key for entry in page.entries]
        cursor = page.cursor
    assert seen == ["high", "even", "mid", "low"]
    assert await kept.keys(ordered=True, asc=True) == ["low", "mid", "even", "high"]
    await kept.set("low", score=9)
    assert await kept.keys(ordered=True, limit=1) == ["low"]


@pytest.mark.parametrize("cursor", ["x", "\x00", "1e9\x00a", "9" * 5_000 + "\x00a"])
async def test_a_foreign_cursor_is_refused(kept: Store, cursor: str) -> None:
    with pytest.raises(Refused) as refused:
        await kept.keys(cursor=cursor)
    assert refused.value.code == 107


async def test_modes_decide_by_whether_the_key_is_there(kept: Store) -> None:
    assert (await kept.set("a", mode="if_exists")).suppressed is Suppressed.KEY_NOT_FOUND
    assert (await kept.set("a", mode="if_new")).suppressed is None
    assert (await kept.set("a", mode="if_new")).suppressed is Suppressed.KEY_EXISTS
    assert (await kept.set("a", mode="if_exists")).suppressed is None
    assert (await kept.remove("b")).suppressed is Suppressed.KEY_NOT_FOUND
    assert len(kept.told) == 2


async def test_a_version_must_grow_within_its_epoch(kept: Store) -> None:
    assert (await kept.set("a", version=5)).suppressed is None
    assert (await kept.set("a", version=5)).suppressed is Suppressed.VERSION
    assert (await kept.set("a", version=4)).suppressed is Suppressed.VERSION
    assert (await kept.set("b", version=1)).suppressed is None
    assert (await kept.set("a", version=1, version_epoch="later")).suppressed is None
    assert (await kept.set("a", version=6, version_epoch="later")).suppressed is None


async def test_compare_and_set_shows_what_stands_there(kept: Store) -> None:
    first = await kept.set("a", 1)
    assert (await kept.set("a", 2, expected=first.position)).suppressed is None
    lost = await kept.set("a", 3, expected=first.position)
    assert lost.suppressed is Suppressed.POSITION_MISMATCH
    assert lost.current is not None
    assert (lost.current.data, lost.current.offset) == (Raw(b"2"), 2)
    retried = Position(lost.position.epoch, lost.current.offset)
    assert (await kept.remove("a", expected=retried)).suppressed is None
    assert (await kept.set("a", expected=retried)).suppressed is Suppressed.POSITION_MISMATCH
    assert (await kept.set("b", expected=Position("other", 0))).suppressed is Suppressed.POSITION_MISMATCH


async def test_an_idempotency_key_changes_once(kept: Store) -> None:
    first = await kept.set("a", 1, idempotency_key="k")
    again = await kept.set("a", 1, idempotency_key="k")
    assert again == MapOutcome(position=first.position, suppressed=Suppressed.IDEMPOTENCY)
    with pytest.raises(IdempotencyConflict):
        await kept.set("a", 2, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await kept.remove("a", idempotency_key="k")
    kept.clock.now += 301
    assert (await kept.set("a", 2, idempotency_key="k")).suppressed is None


async def test_a_key_lives_from_the_last_time_it_was_set(passing: Store) -> None:
    await passing.set("a", tags={"team": "x"})
    await passing.set("b")
    passing.clock.now += 9.9
    await passing.set("b")
    passing.clock.now += 0.1
    passing.broker.sweep()
    assert [(item.key, item.removed, item.tags) for item, _ in passing.told[3:]] == [("a", True, {"team": "x"})]
    assert await passing.keys() == ["b"]


async def test_renewing_keeps_a_key_alive_and_says_nothing(passing: Store) -> None:
    await passing.set("a", mode="if_new", renew=True)
    passing.clock.now += 6
    assert (await passing.set("a", mode="if_new", renew=True)).suppressed is Suppressed.KEY_EXISTS
    passing.clock.now += 6
    assert (await passing.set("a", mode="if_new")).suppressed is Suppressed.KEY_EXISTS
    assert await passing.keys() == ["a"]
    assert len(passing.told) == 1
    passing.clock.now += 6
    assert await passing.keys() == []
    assert passing.told[-1][0].removed


async def test_a_removal_carries_the_tags_of_what_it_removes(kept: Store) -> None:
    await kept.set("a", tags={"team": "x"})
    await kept.remove("a")
    assert kept.told[-1][0].tags == {"team": "x"}


async def test_clearing_begins_another_epoch_or_removes_key_by_key(kept: Store, passing: Store) -> None:
    before = await kept.set("a")
    await kept.broker.clear(CHANNEL)
    page = await kept.broker.history(CHANNEL, HistoryQuery(), PERSISTENT.stream)
    assert (page.top.offset, page.top.epoch != before.position.epoch) == (0, True)
    await passing.set("a")
    await passing.broker.clear(CHANNEL)
    assert passing.told[-1][0].removed
    assert (await passing.broker.stats(CHANNEL)).num_keys == 0
    await passing.broker.clear("map:unknown")


async def test_only_subscribed_channels_are_told_of(kept: Store) -> None:
    await kept.broker.unsubscribe(CHANNEL)
    await kept.set("a")
    assert kept.told == []
    assert (await kept.broker.stats(CHANNEL)).num_keys == 1
    assert (await kept.broker.stats("map:unknown")).num_keys == 0


async def test_sweeping_gives_back_what_nobody_uses(passing: Store, kept: Store) -> None:
    await passing.broker.unsubscribe(CHANNEL)
    await passing.set("a")
    passing.broker.sweep()
    assert passing.broker._maps
    passing.clock.now += 10
    passing.broker.sweep()
    assert not passing.broker._maps
    await kept.broker.unsubscribe(CHANNEL)
    await kept.set("a")
    await kept.remove("a")
    kept.clock.now += 3_600
    kept.broker.sweep()
    assert kept.broker._maps, "the position outlives the entries"
