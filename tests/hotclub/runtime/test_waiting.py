"""The light queue and event of a connection."""

import asyncio

import pytest

from hotclub.runtime.waiting import Gate, Mailbox


async def test_items_come_in_order_with_and_without_a_waiting_reader() -> None:
    box: Mailbox[int] = Mailbox()
    reader = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.put_nowait(1)
    box.put_nowait(2)
    assert await reader == 1
    assert (box.qsize(), box.empty()) == (1, False)
    assert await box.get() == 2
    assert (box.qsize(), box.empty()) == (0, True)


async def test_a_cancelled_reader_takes_nothing() -> None:
    box: Mailbox[int] = Mailbox()
    reader = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.put_nowait(1)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await box.get() == 1


async def test_a_gate_lets_everybody_through_once_it_opens() -> None:
    gate = Gate()
    assert await gate.wait()
    gate.clear()
    gate.clear()
    waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
    done, _ = await asyncio.wait(waiting, timeout=0)
    assert not done
    assert not gate.is_set()
    gate.set()
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert gate.is_set()


async def test_a_gate_that_closes_again_at_once_holds_who_has_not_passed() -> None:
    gate = Gate()
    gate.clear()
    waiting = asyncio.create_task(gate.wait())
    await asyncio.sleep(0)
    gate.set()
    gate.clear()
    done, _ = await asyncio.wait({waiting}, timeout=0)
    assert not done
    gate.set()
    assert await waiting
