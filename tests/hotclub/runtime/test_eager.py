"""A coroutine that is started eagerly is a task like any other one, whose first step has been taken."""

import asyncio
import contextlib
import contextvars
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from hotclub.runtime.eager import start_eagerly

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="")


async def at_once() -> str:
    return "done"


async def fails() -> None:
    raise LookupError("no")


async def test_a_coroutine_that_never_waits_has_ended_when_the_call_returns() -> None:
    turned: list[bool] = []
    asyncio.get_running_loop().call_soon(turned.append, True)

    started = start_eagerly(at_once())

    assert started.done()
    assert started.result() == "done"
    assert turned == []


@pytest.mark.parametrize(("work", "error"), [(fails, LookupError), (asyncio.sleep, TypeError)])
async def test_an_error_of_the_first_step_is_the_outcome(work: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await start_eagerly(work())


class Odd(BaseException):
    """What an extension that is not written in Python may raise."""


@pytest.mark.parametrize(("error", "at_once"), [(Odd, False), (GeneratorExit, False), (SystemExit, True)])
async def test_an_odd_error_of_the_first_step_leaves_nothing_behind(error: type[BaseException], at_once: bool) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    mine = asyncio.current_task()

    async def fails() -> None:
        raise error

    with pytest.raises(error) if at_once else contextlib.nullcontext():
        started = start_eagerly(fails())
    if not at_once:
        assert isinstance(started.exception(), error)
    assert asyncio.current_task() is mine

    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {mine}
    gc.collect()
    assert [context for context in told if not isinstance(context["exception"], error)] == []


async def test_every_step_is_taken_in_one_task_and_one_context() -> None:
    tasks: list[Any] = []

    async def steps() -> str:
        NAME.set("its own")
        for _ in range(3):
            tasks.append(asyncio.current_task())
            await asyncio.sleep(0)
        return NAME.get()

    mine = asyncio.current_task()
    started = start_eagerly(steps())

    assert asyncio.current_task() is mine
    assert NAME.get() == ""
    assert await started == "its own"
    assert set(tasks) == {started}


async def test_a_timeout_that_begins_in_the_first_step_cuts_off_a_later_one() -> None:
    async def waits() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "cut off"
        return "not cut off"

    assert await start_eagerly(waits()) == "cut off"


async def test_a_cancellation_reaches_the_place_where_the_first_step_waits() -> None:
    reached: list[str] = []

    async def waits(again: bool) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reached.append("cancelled")
            if not again:
                raise
            await asyncio.sleep(0)
        return "went on"

    ends, goes_on = start_eagerly(waits(again=False)), start_eagerly(waits(again=True))
    for started in (ends, goes_on):
        started.cancel()

    with pytest.raises(asyncio.CancelledError):
        await ends
    assert await goes_on == "went on"
    assert reached == ["cancelled", "cancelled"]


async def test_a_future_that_fails_is_raised_where_it_is_awaited() -> None:
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits() -> str:
        try:
            await failing
        except LookupError:
            return "seen"
        return "not seen"

    started = start_eagerly(waits())
    failing.set_exception(LookupError())
    assert await started == "seen"


async def test_many_run_beside_one_another() -> None:
    async def counts(number: int) -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return number

    works: list[Coroutine[Any, Any, int]] = [counts(number) for number in range(100)]
    assert await asyncio.gather(*map(start_eagerly, works)) == list(range(100))
