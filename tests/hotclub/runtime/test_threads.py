"""Calls that are slow or hang harm their own lane: other calls get threads, and everything is bounded."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.runtime import threads
from hotclub.runtime.calls import Busy, Lane, NoAnswer
from hotclub.runtime.pool import HookPool

MOST = 64


class Hangs:
    """A function that returns when the test says so."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.count = 0
        self.released = threading.Event()

    def __call__(self) -> str:
        self.count += 1
        self.begun.release()
        assert self.released.wait(20)
        return "late"

    async def begin(self, times: int = 1) -> None:
        """Wait until so many more calls have begun."""
        async with asyncio.timeout(15):
            for _ in range(times):
                await asyncio.to_thread(self.begun.acquire)


@pytest_asyncio.fixture
async def hangs() -> AsyncIterator[Hangs]:
    made = Hangs()
    yield made
    made.released.set()


@pytest_asyncio.fixture
async def make(hangs: Hangs) -> AsyncIterator[Callable[..., HookPool]]:
    made: list[HookPool] = []

    def pool(size: int = 8, most: int = MOST, timeout: float | None = None) -> HookPool:
        made.append(HookPool(size, most=most, timeout=timeout))
        return made[-1]

    yield pool
    hangs.released.set()
    for item in made:
        await item.close()


async def gather_cancelled(tasks: list["asyncio.Task[str]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_calls_that_hang_leave_threads_for_calls_of_another_kind(
    make: Callable[..., HookPool], hangs: Hangs
) -> None:
    pool = make()
    tasks = [asyncio.ensure_future(pool.call(Lane("rpc", "address", number), hangs)) for number in range(100)]
    await hangs.begin(6)

    async with asyncio.timeout(5):
        for number in range(50):
            assert await pool.call(Lane("subscribe", "address", ("other", number)), lambda: "done") == "done"

    await gather_cancelled(tasks)


async def test_calls_that_hang_leave_threads_for_calls_of_their_own_kind(
    make: Callable[..., HookPool], hangs: Hangs
) -> None:
    pool = make()
    tasks = [asyncio.ensure_future(pool.call(Lane("rpc", "them", number), hangs)) for number in range(20)]
    await hangs.begin(20)

    async with asyncio.timeout(5):
        assert await pool.call(Lane("rpc", "you"), lambda: "done") == "done"

    await gather_cancelled(tasks)


async def test_no_kind_and_no_owner_has_more_than_half_of_the_threads(
    make: Callable[..., HookPool], hangs: Hangs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_LONGEST_PATIENCE", 0.1)
    pool = make(most=16)
    tasks = [asyncio.ensure_future(pool.call(Lane("rpc", str(number)), hangs)) for number in range(20)]
    await hangs.begin(8)
    tasks += [asyncio.ensure_future(pool.call(Lane(number, "owner"), hangs)) for number in range(20)]
    await hangs.begin(8)

    assert hangs.count == 16
    assert pool._threads._load.kinds["rpc"] == pool._threads._load.owners["owner"] == 8

    await gather_cancelled(tasks)


async def test_a_call_that_is_given_up_is_a_temporary_error_and_its_holder_waits_for_it(
    make: Callable[..., HookPool], hangs: Hangs, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make(size=1, most=4, timeout=0.05)

    with pytest.raises(NoAnswer) as refusal:
        await pool.call(Lane("rpc", "you", "connection"), hangs)
    assert (refusal.value.code, refusal.value.temporary) == (Code.INTERNAL_ERROR, True)
    assert "rpc has not returned within 0.05 s" in caplog.text
    assert pool.lost == 1

    with pytest.raises(Busy) as busy:
        await pool.call(Lane("another", "you", "connection"), hangs)
    assert (busy.value.code, busy.value.temporary) == (Code.INTERNAL_ERROR, True)
    assert await pool.call(Lane("another", "you", "another connection"), lambda: "done") == "done"

    hangs.released.set()
    async with asyncio.timeout(5):
        while pool.lost:
            await pool.run(int)
    assert await pool.call(Lane("rpc", "you", "connection"), lambda: "done") == "done"
    assert hangs.count == 1


async def test_a_call_that_no_thread_takes_in_time_never_begins(make: Callable[..., HookPool], hangs: Hangs) -> None:
    pool = make(size=1, most=1, timeout=0.05)
    began: list[str] = []

    outcomes = await asyncio.gather(pool.run(hangs), pool.run(began.append, "no"), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [NoAnswer, Busy]
    hangs.released.set()
    await pool.close()
    assert began == []


async def test_too_many_waiting_calls_are_refused_at_once(
    make: Callable[..., HookPool], hangs: Hangs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "QUEUE", 10)
    pool = make(size=1, most=1)
    tasks = [asyncio.ensure_future(pool.call(Lane("rpc", "them"), hangs)) for _ in range(6)]
    await asyncio.sleep(0)

    with pytest.raises(Refused):
        await pool.call(Lane("rpc", "them"), hangs)

    others = [asyncio.ensure_future(pool.call(Lane("publish", "you"), hangs)) for _ in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in [*tasks, *others])
    with pytest.raises(Refused):
        await pool.call(Lane("history", "others"), hangs)
    await gather_cancelled([*tasks, *others])


async def test_owners_take_turns(make: Callable[..., HookPool], hangs: Hangs) -> None:
    pool = make(size=1, most=1)
    order: list[str] = []
    first = asyncio.ensure_future(pool.run(hangs))
    await hangs.begin()
    waiting = [pool.call(Lane("rpc", owner), lambda owner=owner: order.append(owner)) for owner in "aaabab"]  # type: ignore[misc]
    tasks = [asyncio.ensure_future(call) for call in waiting]
    await asyncio.sleep(0)

    hangs.released.set()
    await asyncio.gather(first, *tasks)

    assert "".join(order) == "ababaa"


async def test_threads_in_the_place_of_slow_calls_end_when_those_return(
    make: Callable[..., HookPool], hangs: Hangs
) -> None:
    pool = make(size=4)
    tasks = [asyncio.ensure_future(pool.run(hangs)) for _ in range(10)]
    await hangs.begin(10)
    assert pool._threads._alive >= 10

    hangs.released.set()
    await asyncio.gather(*tasks)
    async with asyncio.timeout(5):
        while pool._threads._alive > 4:
            await pool.run(int)


async def test_closing_leaves_a_call_that_hangs_behind(make: Callable[..., HookPool], hangs: Hangs) -> None:
    pool = make(size=2)
    call = asyncio.ensure_future(pool.run(hangs))
    await hangs.begin()

    async with asyncio.timeout(5):
        await pool.close(0.05)

    assert not call.done()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == threads.THREAD_NAME)
    hangs.released.set()
    assert await call == "late"


async def test_a_system_without_more_threads_uses_those_that_it_has(
    make: Callable[..., HookPool], hangs: Hangs, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make(size=4)
    task = asyncio.ensure_future(pool.run(hangs))
    await hangs.begin()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        waiting = asyncio.ensure_future(pool.run(lambda: "done"))
        await asyncio.sleep(0)
        assert not waiting.done()
    hangs.released.set()
    assert await waiting == "done"
    await task
