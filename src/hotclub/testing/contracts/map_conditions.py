"""What the contract of map brokers says of changes that are made on a condition, or not at all."""

import asyncio

import pytest
from msgspec import Raw, structs

from hotclub.engine.broker.maps import MapOutcome, Suppressed
from hotclub.engine.codes import Code
from hotclub.engine.errors import IdempotencyConflict, Refused
from hotclub.engine.model import Position
from hotclub.testing.contracts.map_bench import MapBench


class ModeTests:
    """`if_new` and `if_exists`, removals, and what a suppressed change leaves alone."""

    async def test_modes_decide_by_whether_the_key_is_there(self, kept: MapBench) -> None:
        assert (await kept.set("a", 1, mode="if_exists")).suppressed is Suppressed.KEY_NOT_FOUND
        assert (await kept.set("a", 2, mode="if_new")).suppressed is None
        assert (await kept.set("a", 3, mode="if_new")).suppressed is Suppressed.KEY_EXISTS
        assert (await kept.set("a", 4, mode="if_exists")).suppressed is None
        await kept.remove("a")
        assert (await kept.set("a", 5, mode="if_exists")).suppressed is Suppressed.KEY_NOT_FOUND
        assert (await kept.set("a", 6, mode="if_new")).suppressed is None

    async def test_a_key_that_is_not_there_is_not_removed(self, kept: MapBench) -> None:
        assert (await kept.remove("a")).suppressed is Suppressed.KEY_NOT_FOUND
        await kept.set("a")
        assert (await kept.remove("a")).suppressed is None
        assert (await kept.remove("a")).suppressed is Suppressed.KEY_NOT_FOUND

    async def test_a_suppressed_change_leaves_everything_as_it_is(self, kept: MapBench) -> None:
        first = await kept.set("a", 1, version=1)
        before = await kept.page()
        for options in ({"mode": "if_new"}, {"version": 1}, {"expected": Position(first.position.epoch, 9)}):
            outcome = await kept.set("a", 2, **options)
            assert outcome.suppressed is not None
            assert outcome.position == first.position
        await kept.remove("b")
        assert await kept.page() == before
        assert [item.offset for item in (await kept.log()).publications] == [1]
        assert [item.offset for _, item, _ in await kept.seen()] == [1]

    async def test_of_many_who_set_a_new_key_at_once_one_does(self, kept: MapBench) -> None:
        outcomes = await asyncio.gather(*(kept.set("a", number, mode="if_new") for number in range(10)))
        assert [outcome.suppressed for outcome in outcomes].count(None) == 1
        assert len(await kept.seen()) == 1


class VersionTests:
    """Versions of keys."""

    async def test_a_version_must_grow_within_its_epoch(self, kept: MapBench) -> None:
        published = [("", 5), ("", 5), ("", 4), ("", 6), ("e", 1), ("e", 1), ("e", 2), ("f", 1)]
        outcomes = [await kept.set("a", version=version, version_epoch=epoch) for epoch, version in published]
        old = Suppressed.VERSION
        assert [outcome.suppressed for outcome in outcomes] == [None, old, old, None, None, old, None, None]
        assert [item.offset for _, item, _ in await kept.seen()] == [1, 2, 3, 4, 5]

    async def test_a_version_belongs_to_its_key(self, kept: MapBench) -> None:
        await kept.set("a", version=5)
        assert (await kept.set("b", version=1)).suppressed is None

    async def test_a_change_without_a_version_is_made(self, kept: MapBench) -> None:
        await kept.set("a", version=5)
        assert (await kept.set("a")).suppressed is None

    async def test_an_old_version_removes_nothing(self, kept: MapBench) -> None:
        await kept.set("a", version=5)
        assert (await kept.remove("a", version=5)).suppressed is Suppressed.VERSION
        assert await kept.keys() == ["a"]
        assert (await kept.remove("a", version=6)).suppressed is None
        assert await kept.keys() == []


class CompareAndSetTests:
    """Compare and set, in persistent maps."""

    async def test_compare_and_set_shows_what_stands_there(self, kept: MapBench) -> None:
        first = await kept.set("a", 1)
        assert (await kept.set("a", 2, expected=first.position)).suppressed is None
        lost = await kept.set("a", 3, expected=first.position)
        assert lost.suppressed is Suppressed.POSITION_MISMATCH
        assert lost.current is not None
        assert (lost.current.data, lost.current.offset) == (Raw(b"2"), 2)
        retried = Position(lost.position.epoch, lost.current.offset)
        assert (await kept.set("a", 3, expected=retried)).suppressed is None

    async def test_the_position_is_that_of_the_key_and_not_of_the_map(self, kept: MapBench) -> None:
        first = await kept.set("a")
        other = await kept.set("b")
        assert (await kept.set("a", expected=other.position)).suppressed is Suppressed.POSITION_MISMATCH
        assert (await kept.set("a", expected=first.position)).suppressed is None

    async def test_a_position_of_another_epoch_does_not_fit(self, kept: MapBench) -> None:
        await kept.set("a")
        assert (await kept.set("a", expected=Position("other", 1))).suppressed is Suppressed.POSITION_MISMATCH

    async def test_a_key_that_is_not_there_has_no_position(self, kept: MapBench) -> None:
        top = (await kept.set("a")).position
        outcome = await kept.set("b", expected=top)
        assert outcome == MapOutcome(position=top, suppressed=Suppressed.POSITION_MISMATCH)

    async def test_a_removal_compares_too(self, kept: MapBench) -> None:
        first = await kept.set("a")
        second = await kept.set("a")
        assert (await kept.remove("a", expected=first.position)).suppressed is Suppressed.POSITION_MISMATCH
        assert (await kept.remove("a", expected=second.position)).suppressed is None

    async def test_of_many_who_expect_one_position_one_changes_the_key(self, kept: MapBench) -> None:
        first = await kept.set("a")
        outcomes = await asyncio.gather(*(kept.set("a", number, expected=first.position) for number in range(10)))
        assert [outcome.suppressed for outcome in outcomes].count(None) == 1
        assert [item.offset for _, item, _ in await kept.seen()] == [1, 2]


class IdempotencyTests:
    """Idempotency keys."""

    async def test_a_repeated_key_changes_nothing_and_names_the_first_position(self, kept: MapBench) -> None:
        first = await kept.set("a", 1, idempotency_key="k")
        await kept.set("a", 2)
        again = await kept.set("a", 1, idempotency_key="k")
        assert again == MapOutcome(position=first.position, suppressed=Suppressed.IDEMPOTENCY)
        assert (await kept.page()).entries[0].data == Raw(b"2")
        assert [item.offset for _, item, _ in await kept.seen()] == [1, 2]

    async def test_a_key_for_another_change_is_a_conflict(self, kept: MapBench) -> None:
        await kept.set("a", 1, idempotency_key="k")
        with pytest.raises(IdempotencyConflict):
            await kept.set("a", 2, idempotency_key="k")
        with pytest.raises(IdempotencyConflict):
            await kept.set("b", 1, idempotency_key="k")
        with pytest.raises(IdempotencyConflict):
            await kept.remove("a", data=Raw(b"1"), idempotency_key="k")
        assert [item.offset for _, item, _ in await kept.seen()] == [1]

    async def test_a_repeated_removal_is_a_repetition(self, kept: MapBench) -> None:
        await kept.set("a")
        await kept.remove("a", idempotency_key="k")
        assert (await kept.remove("a", idempotency_key="k")).suppressed is Suppressed.IDEMPOTENCY

    async def test_a_repeated_key_counts_before_every_condition(self, kept: MapBench) -> None:
        await kept.set("a", mode="if_new", version=5, idempotency_key="k")
        again = await kept.set("a", mode="if_new", version=5, idempotency_key="k")
        assert again.suppressed is Suppressed.IDEMPOTENCY

    async def test_the_key_of_a_change_that_was_not_made_may_be_used_again(self, kept: MapBench) -> None:
        await kept.set("a", mode="if_exists", idempotency_key="k")
        await kept.set("a")
        assert (await kept.set("a", mode="if_exists", idempotency_key="k")).suppressed is None

    async def test_a_key_belongs_to_its_channel(self, kept: MapBench) -> None:
        await kept.set("a", 1, idempotency_key="k")
        assert (await kept.set("a", 2, idempotency_key="k", channel="other")).suppressed is None

    async def test_a_change_that_is_repeated_at_once_is_made_once(self, kept: MapBench) -> None:
        outcomes = await asyncio.gather(*(kept.set("a", 1, idempotency_key="k") for _ in range(10)))
        assert [outcome.suppressed for outcome in outcomes].count(None) == 1
        assert {outcome.position.offset for outcome in outcomes} == {1}
        assert len(await kept.seen()) == 1


class FullMapTests:
    """Maps with as many keys as they may hold."""

    async def test_a_full_map_takes_no_new_key_and_changes_those_it_has(self, passing: MapBench) -> None:
        passing.retention = structs.replace(passing.retention, keys=2)
        for key in ("a", "b", "a"):
            await passing.set(key)
        with pytest.raises(Refused) as refused:
            await passing.set("c")
        assert refused.value.code == Code.LIMIT_EXCEEDED
        assert (await passing.set("c", mode="if_exists")).suppressed is Suppressed.KEY_NOT_FOUND
        assert await passing.keys() == ["a", "b"]
        assert [item.key for _, item, _ in await passing.seen()] == ["a", "b", "a"]

    async def test_a_key_that_is_gone_makes_room(self, passing: MapBench) -> None:
        passing.retention = structs.replace(passing.retention, keys=1)
        await passing.set("a")
        await passing.remove("a")
        await passing.set("b")
        await passing.pass_time(11)
        await passing.set("c")
        assert await passing.keys() == ["c"]

    async def test_of_many_new_keys_at_once_as_many_are_set_as_there_is_room(self, passing: MapBench) -> None:
        passing.retention = structs.replace(passing.retention, keys=3)
        outcomes = await asyncio.gather(*(passing.set(f"k{number}") for number in range(10)), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert {error.code for error in refused} == {Code.LIMIT_EXCEEDED}
        assert (len(refused), await passing.num_keys()) == (7, 3)
