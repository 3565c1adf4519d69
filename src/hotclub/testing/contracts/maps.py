"""The contract of map brokers."""

import asyncio
from typing import Any

import pytest
from msgspec import Raw, structs

from hotclub.engine.broker.base import Retention
from hotclub.engine.broker.maps import MapMessage, MapOutcome, MapPage, Suppressed
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused, UnrecoverablePosition
from hotclub.engine.model import ClientInfo, Position
from hotclub.testing.contracts.map_bench import EPHEMERAL, PERSISTENT, MapBench, MapBrokerMaker
from hotclub.testing.contracts.map_conditions import (
    CompareAndSetTests,
    FullMapTests,
    IdempotencyTests,
    ModeTests,
    VersionTests,
)


class ChangeTests:
    """Positions, and what reaches the handler."""

    async def test_changes_count_from_one_and_reach_the_handler_in_order(self, kept: MapBench) -> None:
        outcomes = [await kept.set("a", 1), await kept.set("a", 2), await kept.remove("a")]
        assert [(outcome.position.offset, outcome.suppressed) for outcome in outcomes] == [
            (1, None),
            (2, None),
            (3, None),
        ]
        assert len({outcome.position.epoch for outcome in outcomes}) == 1
        seen = await kept.seen()
        assert [(name, item.key, item.removed, item.offset) for name, item, _ in seen] == [
            ("ch", "a", False, 1),
            ("ch", "a", False, 2),
            ("ch", "a", True, 3),
        ]
        assert {epoch for _, _, epoch in seen} == {outcomes[0].position.epoch}
        assert await kept.page() == MapPage((), outcomes[2].position)

    async def test_the_first_change_of_a_log_names_its_epoch(self, kept: MapBench) -> None:
        """And no other does, neither when it is handed over nor when it is read (protocol §2.9)."""
        top = (await kept.set("a")).position
        await kept.set("b")
        handed_over = [publication for _, publication, _ in await kept.seen()]
        for publications in (handed_over, (await kept.log()).publications):
            assert [publication.epoch for publication in publications] == [top.epoch, ""]

    async def test_an_ephemeral_map_has_no_positions(self, passing: MapBench) -> None:
        nowhere = Position("", 0)
        assert await passing.set("a", 1) == MapOutcome(position=nowhere)
        assert [(item.offset, item.epoch, epoch) for _, item, epoch in await passing.seen()] == [(0, "", "")]
        page = await passing.page()
        assert (page.top, [entry.offset for entry in page.entries]) == (nowhere, [0])
        assert await passing.set("a", mode="if_new") == MapOutcome(position=nowhere, suppressed=Suppressed.KEY_EXISTS)

    async def test_what_comes_with_a_change_is_handed_over_and_kept(self, kept: MapBench) -> None:
        await kept.set("first")
        info = ClientInfo("7", "c", conn_info=Raw(b'{"a": 1}'))
        message = MapMessage(key="a", data=Raw(b"\xff\x00"), info=info, tags={"lang": "zh"}, score=-7, binary=True)
        await kept.broker.change("ch", message, kept.retention)
        _, (_, delivered, _) = await kept.seen()
        assert [getattr(delivered, name) for name in ("key", "data", "info", "tags", "score", "binary", "offset")] == [
            *("a", Raw(b"\xff\x00"), info, {"lang": "zh"}, -7, True, 2)
        ]
        assert delivered.time > 0
        assert (await kept.page(key="a")).entries == (delivered,)
        assert (await kept.log()).publications[-1] == delivered

    async def test_a_removal_has_the_tags_of_the_entry_unless_it_has_its_own(self, kept: MapBench) -> None:
        for key in ("a", "b"):
            await kept.set(key, tags={"team": "x"})
        await kept.remove("a")
        await kept.remove("b", tags={"team": "y"})
        assert [item.tags for _, item, _ in (await kept.seen())[2:]] == [{"team": "x"}, {"team": "y"}]

    async def test_only_subscribed_channels_are_handed_over(self, kept: MapBench) -> None:
        await kept.set("a")
        await kept.set("b", channel="other")
        assert [(name, item.key) for name, item, _ in await kept.seen()] == [("ch", "a")]
        await kept.broker.unsubscribe("ch")
        await kept.broker.unsubscribe("ch")
        await kept.set("c")
        assert await kept.seen() == []
        assert await kept.keys() == ["a", "c"]

    async def test_a_channel_is_handed_over_once_however_often_it_is_subscribed(self, kept: MapBench) -> None:
        await kept.broker.subscribe("ch")
        await kept.set("a")
        assert len(await kept.seen()) == 1

    async def test_channels_have_maps_of_their_own(self, kept: MapBench) -> None:
        first, other = await kept.set("a", 1), await kept.set("a", 2, channel="other")
        assert (first.position.offset, other.position.offset) == (1, 1)
        assert first.position.epoch != other.position.epoch
        assert [entry.data for entry in (await kept.page()).entries] == [Raw(b"1")]

    async def test_changes_made_at_once_take_every_position_once(self, kept: MapBench) -> None:
        """The log and the handler have them in one order, and the last of them is the entry."""
        kept.retention = structs.replace(kept.retention, stream=Retention(size=100, ttl=60.0))
        outcomes = await asyncio.gather(*(kept.set("a", number) for number in range(10)))
        assert sorted(outcome.position.offset for outcome in outcomes) == list(range(1, 11))
        handed_over = [item for _, item, _ in await kept.seen()]
        assert [item.offset for item in handed_over] == list(range(1, 11))
        assert [(item.offset, item.data) for item in (await kept.log()).publications] == [
            (item.offset, item.data) for item in handed_over
        ]
        (entry,) = (await kept.page()).entries
        assert (entry.offset, entry.data) == (10, handed_over[-1].data)

    async def test_a_page_that_is_read_during_changes_belongs_to_its_top(self, kept: MapBench) -> None:
        pages: list[MapPage] = []

        async def read() -> None:
            pages.append(await kept.page())

        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(kept.set(f"k{number}"))
                group.create_task(read())
        for page in pages:
            assert sorted(entry.offset for entry in page.entries) == list(range(1, page.top.offset + 1))


class ReadingTests:
    """Pages of entries."""

    @pytest.fixture
    async def filled(self, kept: MapBench) -> MapBench:
        """A map of five keys, each with 12 bytes of data."""
        for key, score in (("e", 2), ("c", -5), ("a", 7), ("d", 7), ("b", 0)):
            await kept.set(key, "x" * 10, score=score)
        return kept

    async def test_a_page_has_the_entries_by_key_and_the_top(self, filled: MapBench) -> None:
        page = await filled.page()
        assert [(entry.key, entry.offset) for entry in page.entries] == [
            ("a", 3),
            ("b", 5),
            ("c", 2),
            ("d", 4),
            ("e", 1),
        ]
        assert (page.top.offset, page.cursor) == (5, "")

    @pytest.mark.parametrize(
        ("limit", "size", "pages"),
        [
            (2, 0, ["ab", "cd", "e"]),
            (5, 0, ["abcde"]),
            (-1, 1, ["a", "b", "c", "d", "e"]),
            (-1, 11, ["a", "b", "c", "d", "e"]),
            (-1, 12, ["ab", "cd", "e"]),
            (-1, 15, ["ab", "cd", "e"]),
            (-1, 59, ["abcde"]),
            (1, 15, ["a", "b", "c", "d", "e"]),
            (3, 15, ["ab", "cd", "e"]),
        ],
    )
    async def test_pages_are_cut_by_number_and_by_size(
        self, filled: MapBench, limit: int, size: int, pages: list[str]
    ) -> None:
        """The entry with which a page exceeds the size is its last one."""
        assert await filled.all_keys(limit=limit, size=size) == [list(page) for page in pages]

    async def test_a_page_of_no_entries_has_the_top(self, filled: MapBench) -> None:
        page = await filled.page(limit=0)
        assert (page.entries, page.top.offset) == ((), 5)

    async def test_a_key_is_read_alone(self, filled: MapBench) -> None:
        page = await filled.page(key="c")
        assert ([entry.key for entry in page.entries], page.top.offset, page.cursor) == (["c"], 5, "")
        page = await filled.page(key="nobody")
        assert (page.entries, page.top.offset, page.cursor) == ((), 5, "")

    @pytest.mark.parametrize(("asc", "order"), [(False, "daebc"), (True, "cbead")])
    async def test_an_ordered_map_is_read_by_score_both_ways(self, filled: MapBench, asc: bool, order: str) -> None:
        """Entries of one score are read by key, in the same direction."""
        assert await filled.keys(ordered=True, asc=asc) == list(order)
        for number in (1, 2):
            pages = await filled.all_keys(ordered=True, asc=asc, limit=number)
            assert [key for page in pages for key in page] == list(order)
            assert {len(page) for page in pages[:-1]} == {number}
        pages = await filled.all_keys(ordered=True, asc=asc, size=15)
        assert ["".join(page) for page in pages] == [order[:2], order[2:4], order[4:]]

    async def test_a_new_score_moves_an_entry(self, filled: MapBench) -> None:
        await filled.keys(ordered=True)
        await filled.set("c", score=9)
        assert await filled.keys(ordered=True) == list("cdaeb")
        assert await filled.keys() == list("abcde")

    async def test_a_cursor_stays_valid_when_the_map_changes(self, filled: MapBench) -> None:
        page = await filled.page(limit=2)
        await filled.remove("b")
        await filled.set("aa")
        await filled.set("ca")
        assert await filled.keys(cursor=page.cursor) == ["c", "ca", "d", "e"]

    @pytest.mark.parametrize(("asc", "rest"), [(False, ["e", "b", "f", "c"]), (True, ["f", "e", "a", "d"])])
    async def test_a_cursor_of_an_ordered_map_stays_valid(self, filled: MapBench, asc: bool, rest: list[str]) -> None:
        page = await filled.page(limit=2, ordered=True, asc=asc)
        await filled.set("f", score=1 if asc else -1)
        await filled.remove(page.entries[-1].key)
        assert await filled.keys(cursor=page.cursor, ordered=True, asc=asc) == rest

    @pytest.mark.parametrize("cursor", ["x", "\x00", "1e9\x00a", "9" * 5_000 + "\x00a", "é", "0"])
    @pytest.mark.parametrize("ordered", [False, True])
    async def test_a_cursor_that_no_page_had_is_refused_or_read(
        self, filled: MapBench, cursor: str, ordered: bool
    ) -> None:
        """Clients send cursors, so a malformed one raises `Refused` and nothing else."""
        (answer,) = await asyncio.gather(filled.page(cursor=cursor, ordered=ordered), return_exceptions=True)
        assert isinstance(answer, MapPage) or (isinstance(answer, Refused) and answer.code == Code.BAD_REQUEST)

    async def test_stats_count_the_keys(self, filled: MapBench) -> None:
        assert await filled.num_keys() == 5
        await filled.remove("a")
        await filled.set("b")
        assert await filled.num_keys() == 4
        assert (await filled.broker.stats("never used")).num_keys == 0


class LogTests:
    """The log of changes, and what clears it."""

    async def test_a_map_that_nobody_used_gets_a_log(self, kept: MapBench) -> None:
        page = await kept.log(limit=0)
        assert (page.publications, page.top.offset) == ((), 0)
        assert page.top.epoch
        assert (await kept.set("a")).position == Position(page.top.epoch, 1)

    @pytest.mark.parametrize(
        ("query", "offsets"),
        [
            ({"limit": 0}, []),
            ({"limit": 2}, [1, 2]),
            ({"reverse": True}, [3, 2, 1]),
            ({"limit": 2, "reverse": True}, [3, 2]),
            ({"since": Position("", 1)}, [2, 3]),
            ({"limit": 1, "since": Position("", 1)}, [2]),
            ({"since": Position("", 3), "reverse": True}, [2, 1]),
            ({"since": Position("", 9)}, []),
        ],
    )
    async def test_the_log_reads_what_is_asked(self, kept: MapBench, query: dict[str, Any], offsets: list[int]) -> None:
        await kept.set("a")
        await kept.set("b")
        await kept.remove("a")
        page = await kept.log(**query)
        assert ([item.offset for item in page.publications], page.top.offset) == (offsets, 3)

    async def test_size_trims_the_log_and_the_position_stays(self, kept: MapBench) -> None:
        for number in range(5):
            await kept.set("a", number)
        page = await kept.log()
        assert ([item.offset for item in page.publications], page.top.offset) == ([3, 4, 5], 5)

    async def test_ttl_trims_the_log_and_the_entries_stay(self, kept: MapBench) -> None:
        first = await kept.set("a")
        await kept.pass_time(59)
        await kept.set("b")
        await kept.pass_time(2)
        assert [item.offset for item in (await kept.log()).publications] == [2]
        await kept.pass_time(100)
        page = await kept.log()
        assert (page.publications, page.top) == ((), Position(first.position.epoch, 2))
        assert await kept.keys() == ["a", "b"]
        assert (await kept.set("c")).position == Position(first.position.epoch, 3)

    async def test_another_epoch_is_refused(self, kept: MapBench) -> None:
        top = (await kept.set("a")).position
        with pytest.raises(UnrecoverablePosition) as error:
            await kept.log(since=Position("other", 1))
        assert (error.value.epoch, error.value.current) == ("other", top.epoch)

    async def test_clearing_a_persistent_map_begins_another_epoch(self, kept: MapBench) -> None:
        before = (await kept.set("a", version=5)).position
        await kept.broker.clear("ch")
        page = await kept.log()
        assert (page.publications, page.top.offset, page.top.epoch != before.epoch) == ((), 0, True)
        assert (await kept.keys(), await kept.num_keys()) == ([], 0)
        assert await kept.set("a", version=1) == MapOutcome(position=Position(page.top.epoch, 1))

    async def test_clearing_an_ephemeral_map_removes_key_by_key(self, passing: MapBench) -> None:
        await passing.set("a", tags={"team": "x"})
        await passing.set("b")
        await passing.broker.clear("ch")
        assert (await passing.keys(), await passing.num_keys()) == ([], 0)
        removals = [(item.key, item.removed, item.tags) for _, item, _ in (await passing.seen())[2:]]
        assert sorted(removals) == [("a", True, {"team": "x"}), ("b", True, {})]

    async def test_a_map_that_nobody_used_may_be_cleared(self, kept: MapBench) -> None:
        await kept.set("a")
        await kept.broker.clear("never used")
        assert await kept.keys() == ["a"]


class TimeTests:
    """Keys that live for a time."""

    async def test_a_key_lives_from_the_last_time_it_was_set(self, passing: MapBench) -> None:
        await passing.set("a", tags={"team": "x"})
        await passing.set("b")
        await passing.pass_time(9)
        await passing.set("b")
        assert await passing.keys() == ["a", "b"]
        await passing.pass_time(2)
        assert (await passing.keys(), await passing.num_keys()) == (["b"], 1)
        await passing.pass_time(9)
        assert await passing.keys() == []

    async def test_a_key_whose_time_is_over_is_removed_by_a_change(self, kept: MapBench) -> None:
        """Whether somebody reads the map or not."""
        kept.retention = structs.replace(kept.retention, key_ttl=10.0)
        first = await kept.set("a", tags={"team": "x"})
        await kept.next()
        await kept.pass_time(11)
        _, removal, epoch = await kept.next()
        assert (removal.key, removal.removed, removal.tags, removal.offset) == ("a", True, {"team": "x"}, 2)
        page = await kept.log()
        assert (epoch, page.top) == (first.position.epoch, Position(first.position.epoch, 2))
        assert page.publications[-1] == removal

    async def test_a_key_that_was_removed_does_not_expire_as_well(self, passing: MapBench) -> None:
        await passing.set("a")
        await passing.remove("a")
        await passing.pass_time(11)
        assert [item.removed for _, item, _ in await passing.seen()] == [False, True]

    async def test_a_key_whose_time_is_over_is_not_there(self, passing: MapBench) -> None:
        await passing.set("a", version=5)
        await passing.pass_time(11)
        assert (await passing.set("a", mode="if_exists")).suppressed is Suppressed.KEY_NOT_FOUND
        assert (await passing.set("a", mode="if_new", version=1)).suppressed is None

    async def test_renewing_keeps_a_key_alive_and_says_nothing(self, passing: MapBench) -> None:
        await passing.set("a", 1, mode="if_new", renew=True)
        await passing.pass_time(6)
        assert (await passing.set("a", 2, mode="if_new", renew=True)).suppressed is Suppressed.KEY_EXISTS
        await passing.pass_time(6)
        assert [entry.data for entry in (await passing.page()).entries] == [Raw(b"1")]
        assert len(await passing.seen()) == 1

    async def test_a_suppressed_change_renews_nothing_unless_it_asks_to(self, passing: MapBench) -> None:
        await passing.set("a", mode="if_new")
        await passing.pass_time(6)
        assert (await passing.set("a", mode="if_new")).suppressed is Suppressed.KEY_EXISTS
        await passing.pass_time(6)
        assert await passing.keys() == []

    async def test_without_a_time_a_key_lives_until_it_is_removed(self, kept: MapBench) -> None:
        await kept.set("a")
        await kept.pass_time(24 * 3600)
        assert await kept.keys() == ["a"]


class MapBrokerContract(
    ChangeTests,
    ModeTests,
    VersionTests,
    CompareAndSetTests,
    IdempotencyTests,
    FullMapTests,
    ReadingTests,
    LogTests,
    TimeTests,
):
    """The promises of `MapBroker`, one test each. Subclasses give the fixture `maker`."""

    @pytest.fixture
    async def kept(self, maker: MapBrokerMaker) -> MapBench:
        """The broker under test, subscribed to the persistent map `ch`."""
        made = MapBench(maker, PERSISTENT)
        made.broker = await maker.make(made.take)
        await made.broker.subscribe("ch")
        return made

    @pytest.fixture
    async def passing(self, maker: MapBrokerMaker) -> MapBench:
        """The broker under test, subscribed to the ephemeral map `ch`."""
        made = MapBench(maker, EPHEMERAL)
        made.broker = await maker.make(made.take)
        await made.broker.subscribe("ch")
        return made
