"""Who asks the same at the same time shares a read, and gets no answer older than the question."""

import asyncio

import pytest

from hotclub.durable.shared_reads import SharedReads


class Store:
    """Answers when it is told to, with the number of the read."""

    def __init__(self) -> None:
        self.reads: list[asyncio.Future[None]] = []
        self.begun = asyncio.Event()

    async def read(self) -> int:
        future = asyncio.get_running_loop().create_future()
        self.reads.append(future)
        self.begun.set()
        number = len(self.reads)
        await future
        return number

    async def answer(self, error: Exception | None = None) -> None:
        async with asyncio.timeout(5):
            await self.begun.wait()
        self.begun.clear()
        if error is None:
            self.reads[-1].set_result(None)
        else:
            self.reads[-1].set_exception(error)


async def test_a_crowd_costs_one_read_and_whoever_comes_during_it_another() -> None:
    store, shared = Store(), SharedReads[int]()
    first = [asyncio.create_task(shared.read("k", store.read)) for _ in range(100)]
    async with asyncio.timeout(5):
        await store.begun.wait()
    late = [asyncio.create_task(shared.read("k", store.read)) for _ in range(100)]
    await store.answer()
    assert set(await asyncio.gather(*first)) == {1}
    await store.answer()
    assert set(await asyncio.gather(*late)) == {2}
    assert len(store.reads) == 2


async def test_another_question_does_not_wait() -> None:
    store, shared = Store(), SharedReads[int]()
    one = asyncio.create_task(shared.read("one", store.read))
    async with asyncio.timeout(5):
        await store.begun.wait()
    two = asyncio.create_task(shared.read("two", store.read))
    store.begun.clear()
    await store.answer()
    assert await two == 2
    store.reads[0].set_result(None)
    assert await one == 1


async def test_an_error_is_everybodys_and_not_the_next_ones() -> None:
    store, shared = Store(), SharedReads[int]()
    asked = [asyncio.create_task(shared.read("k", store.read)) for _ in range(3)]
    await store.answer(OSError("gone"))
    assert [type(result) for result in await asyncio.gather(*asked, return_exceptions=True)] == [OSError] * 3
    again = asyncio.create_task(shared.read("k", store.read))
    await store.answer()
    assert await again == 2


async def test_a_caller_that_is_cancelled_takes_nobody_along() -> None:
    store, shared = Store(), SharedReads[int]()
    impatient, patient = (asyncio.create_task(shared.read("k", store.read)) for _ in range(2))
    async with asyncio.timeout(5):
        await store.begun.wait()
    impatient.cancel()
    await store.answer()
    assert await patient == 1
    with pytest.raises(asyncio.CancelledError):
        await impatient
