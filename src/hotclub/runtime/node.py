"""The node of this process, and how code in other threads and loops reaches it."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction

from hotclub.conf.config import get_config
from hotclub.engine.errors import HotclubError
from hotclub.engine.node import Node
from hotclub.engine.observe import logger
from hotclub.runtime.pool import HookPool

Result = TypeVar("Result")
Params = ParamSpec("Params")

ANSWER_TIMEOUT: Final = 5.0
"""Seconds that another thread waits for the node's event loop."""


class NoNode(HotclubError):
    """This process serves no connections, or its event loop did not answer: only a server process can do this."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "No node runs in this process; ask in the process that serves the site.")


class _Running:
    node: "Node | None" = None
    pool: "HookPool | None" = None


def current_node() -> "Node | None":
    """The running node of this process, if it has one."""
    return _Running.node


def set_current_node(node: "Node | None", pool: "HookPool | None" = None) -> None:
    """Say which node serves this process, and the thread pool beside it."""
    _Running.node = node
    _Running.pool = pool


def require_node() -> "Node":
    """The running node of this process.

    Raises:
        NoNode: there is none.
    """
    if _Running.node is None:
        raise NoNode
    return _Running.node


def after_commit(callback: Callable[[], object], using: str = "") -> None:
    """Call back when the current transaction has committed, or now when there is none; an error is only logged.

    `using` is the alias of the transaction's database, "" for `HOTCLUB["DATABASE"]`. The callback is a function of its
    own and no `functools.partial`, whose name Django could not log.
    """
    transaction.on_commit(callback, using=using or get_config().database, robust=True)


def refuse_event_loop(name: str) -> None:
    """Raise when called in a thread that runs an event loop, which a synchronous call would stop.

    Raises:
        SynchronousOnlyOperation: use the async twin.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SynchronousOnlyOperation(f"{name}() would stop the event loop; write `await a{name}()` in async code.")


def tell_node(node: "Node", callback: Callable[..., object], *args: object) -> bool:
    """Have the node's loop call back soon, in the order of these calls. False when the loop has ended."""
    try:
        node.loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return False
    return True


def begin_in_node(node: "Node", work: Coroutine[Any, Any, object]) -> None:
    """Have the node's loop run a coroutine soon, in the order of these calls, and wait for nothing: a commit must not
    wait for a busy loop. A failure is logged."""
    watched = _logged(work)
    if not tell_node(node, node.channels.spawn, watched):
        watched.close()
        work.close()


async def _logged(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001 - nobody waits for it who could be told
        logger.exception("What was to be done after a commit failed")


def ask_node(node: "Node", question: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in the node's loop and wait for it, in a thread without a loop.

    Raises:
        NoNode: the loop has ended, or did not answer within `ANSWER_TIMEOUT`.
    """
    future = _submit(node, question)
    try:
        return future.result(ANSWER_TIMEOUT)
    except TimeoutError:
        future.cancel()
        raise NoNode(f"The node's event loop gave no answer within {ANSWER_TIMEOUT:g} s.") from None


async def aask_node(node: "Node", question: Coroutine[Any, Any, Result]) -> Result:
    """The async twin of `ask_node`, for any loop."""
    if _lives_here(node):
        return await question
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await asyncio.wrap_future(_submit(node, question))
    except TimeoutError:
        raise NoNode(f"The node's event loop gave no answer within {ANSWER_TIMEOUT:g} s.") from None


async def in_thread(function: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
    """Run database code from async code: in the node's pool, or where Django runs its own without a node."""
    pool, node = _Running.pool, _Running.node
    if pool is not None and node is not None and _lives_here(node):
        return await pool.run(function, *args, **kwargs)
    return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)


def _lives_here(node: "Node") -> bool:
    return node.started and node.loop is asyncio.get_running_loop()


def _submit(node: "Node", question: Coroutine[Any, Any, Result]) -> "Future[Result]":
    try:
        return asyncio.run_coroutine_threadsafe(question, node.loop)
    except RuntimeError:
        question.close()
        raise NoNode("The node's event loop has ended.") from None
