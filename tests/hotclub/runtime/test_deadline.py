"""A coroutine of the project has an end, also one that does not end when it is cancelled."""

import asyncio
import gc
from typing import Any

import pytest

from hotclub.runtime import deadline
from hotclub.runtime.calls import Busy, NoAnswer
from hotclub.runtime.deadline import Deadline


async def answer() -> str:
    return "answer"


async def test_a_result_and_an_error_come_back() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    assert await Deadline(5).run(answer()) == "answer"
    with pytest.raises(ZeroDivisionError):
        await Deadline(5).run(fail())


async def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(NoAnswer):
        await Deadline(0.01).run(hang(), "holder")
    assert cancelled.is_set()


async def test_a_coroutine_that_does_not_end_holds_up_its_holder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_CLEAN_UP", 0.01)
    release, bounded = asyncio.Event(), Deadline(0.01)

    async def hang() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(NoAnswer):
        await bounded.run(hang(), "holder")
    with pytest.raises(Busy):
        await bounded.run(answer(), "holder")
    assert await bounded.run(answer(), "another") == "answer"
    assert await bounded.run(answer()) == "answer"

    release.set()
    await asyncio.sleep(0.01)
    assert await bounded.run(answer(), "holder") == "answer"


async def test_a_caller_that_is_cancelled_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_CLEAN_UP", 0.01)
    release, begun = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    caller = asyncio.create_task(Deadline(60).run(hang()))
    await begun.wait()
    caller.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await caller
    release.set()


async def test_a_caller_that_is_cancelled_twice_leaves_its_coroutine_counted() -> None:
    release, begun, cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()
    bounded = Deadline(60)

    async def hang() -> None:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                cancelled.set()

    caller = asyncio.create_task(bounded.run(hang(), "holder"))
    await begun.wait()
    caller.cancel()
    await cancelled.wait()
    caller.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            await caller
        with pytest.raises(Busy):
            await bounded.run(answer(), "holder")
    finally:
        release.set()


async def test_an_error_after_the_end_of_the_time_is_not_an_error_that_nobody_took() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    async def fail_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    with pytest.raises(NoAnswer):
        await Deadline(0.01).run(fail_late())
    gc.collect()
    assert told == []
