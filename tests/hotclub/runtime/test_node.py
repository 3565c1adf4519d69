"""Reaching the node of this process from other threads and loops."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from django.core.exceptions import SynchronousOnlyOperation

import hotclub
from hotclub.engine.node import Node
from hotclub.runtime import node as running
from tests.support.app import TinyApplication


@pytest_asyncio.fixture
async def node() -> AsyncIterator[Node]:
    made = Node(TinyApplication().bundle)
    await made.start()
    yield made
    await made.stop()


async def where() -> int:
    return threading.get_ident()


def test_without_a_node_the_error_says_where_to_ask() -> None:
    assert running.current_node() is None
    with pytest.raises(hotclub.NoNode, match="in the process that serves the site"):
        running.require_node()


async def test_another_thread_asks_the_loop_of_the_node(node: Node) -> None:
    assert await asyncio.to_thread(lambda: running.ask_node(node, where())) == threading.get_ident()


async def test_an_error_of_the_answer_comes_back(node: Node) -> None:
    async def fail() -> None:
        raise hotclub.Refused(102, "unknown channel")

    with pytest.raises(hotclub.Refused):
        await asyncio.to_thread(lambda: running.ask_node(node, fail()))
    with pytest.raises(hotclub.Refused):
        await running.aask_node(node, fail())


async def test_a_stuck_loop_is_a_typed_error(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ANSWER_TIMEOUT", 0.01)

    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(hotclub.NoNode, match="no answer"):
        await asyncio.to_thread(lambda: running.ask_node(node, never()))


async def test_another_loop_asks_too(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def elsewhere() -> int:
        return await running.aask_node(node, where())

    assert await asyncio.to_thread(lambda: asyncio.run(elsewhere())) == threading.get_ident()

    monkeypatch.setattr(running, "ANSWER_TIMEOUT", 0.01)

    async def never() -> None:
        await asyncio.Event().wait()

    async def wait_elsewhere() -> None:
        await running.aask_node(node, never())

    with pytest.raises(hotclub.NoNode):
        await asyncio.to_thread(lambda: asyncio.run(wait_elsewhere()))


async def test_work_of_a_commit_that_fails_is_logged_and_counted(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise LookupError("the broker is gone")

    await asyncio.to_thread(running.begin_in_node, node, fail())
    await asyncio.sleep(0)
    await node.channels.settle()
    assert node.info().undone == 1
    assert "the broker is gone" in caplog.text


def test_work_of_a_commit_that_comes_after_the_end_of_the_loop_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def start() -> Node:
        made = Node(TinyApplication().bundle)
        await made.start()
        await made.stop()
        return made

    node = asyncio.run(start())
    running.begin_in_node(node, where())
    assert node.info().undone == 1
    assert "the event loop of the node has ended" in caplog.text


async def test_a_node_that_has_stopped_is_a_typed_error(node: Node) -> None:
    await node.stop()

    with pytest.raises(hotclub.NoNode, match="ended"):
        await asyncio.to_thread(lambda: running.ask_node(node, where()))
    with pytest.raises(hotclub.NoNode, match="ended"):
        await running.aask_node(node, where())
    assert running.tell_node(node, print) is False


async def test_what_the_node_is_told_comes_in_order(node: Node) -> None:
    told: list[Any] = []
    done = asyncio.Event()

    def tell() -> None:
        for number in range(100):
            assert running.tell_node(node, told.append, number)
        running.tell_node(node, done.set)

    await asyncio.to_thread(tell)
    await done.wait()

    assert told == list(range(100))


async def test_an_event_loop_is_not_stopped_by_a_synchronous_call() -> None:
    with pytest.raises(SynchronousOnlyOperation, match="await apublish"):
        running.refuse_event_loop("publish")
    await asyncio.to_thread(running.refuse_event_loop, "publish")
