"""Keeps the node of this process, and lets code in other threads and loops call it."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation

from hotclub.engine.errors import HotclubError
from hotclub.engine.node import Node
from hotclub.engine.observe import logger
from hotclub.runtime.pool import HookPool

Result = TypeVar("Result")
Params = ParamSpec("Params")

ANSWER_TIMEOUT: Final = 5.0
"""Seconds for which another thread or loop waits for the node's event loop."""


class NoNode(HotclubError):
    """No node runs in this process, or its event loop gave no answer in time. Ask in a server process."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "No node runs in this process; ask in the process that serves the site.")


class _Running:
    node: "Node | None" = None
    pool: "HookPool | None" = None
    hooks: "HookPool | None" = None


def current_node() -> "Node | None":
    """Return the running node of this process, None without one."""
    return _Running.node


def set_current_node(node: "Node | None", pool: "HookPool | None" = None, *, hooks: "HookPool | None" = None) -> None:
    """Set the running node of this process, None when the node stops.

    Args:
        node: the node.
        pool: the threads for Hotclub's own queries.
        hooks: the threads for the project's code; None for `pool`.
    """
    _Running.node = node
    _Running.pool = pool
    _Running.hooks = hooks or pool


def require_node() -> "Node":
    """Return the running node of this process.

    Raises:
        NoNode: no node runs.
    """
    if _Running.node is None:
        raise NoNode
    return _Running.node


def refuse_event_loop(name: str) -> None:
    """Refuse a call of the synchronous function `name` in a thread with a running event loop, which it would stop.

    Raises:
        SynchronousOnlyOperation: the thread runs an event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SynchronousOnlyOperation(f"{name}() would stop the event loop; write `await a{name}()` in async code.")


def tell_node(node: "Node", callback: Callable[..., object], *args: object) -> bool:
    """Have the node's loop call a function soon, in the order of these calls. Returns False when the loop has ended."""
    try:
        node.loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return False
    return True


def begin_in_node(node: "Node", work: Coroutine[Any, Any, object]) -> None:
    """Have the node's loop run a coroutine soon, in the order of these calls. Log and count a failure.

    The call does not wait, so a busy loop does not delay a commit. A loop that has ended does not run the coroutine.
    """
    watched = _watched(node, work)
    if not tell_node(node, node.channels.spawn, watched):
        watched.close()
        work.close()
        _undone(node, "the event loop of the node has ended")


async def _watched(node: "Node", work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except asyncio.CancelledError:
        _undone(node, "the node has stopped")
        raise
    except Exception as error:  # noqa: BLE001 - no caller waits for the error
        _undone(node, "it failed", error)


def _undone(node: "Node", why: str, error: Exception | None = None) -> None:
    node.counters.undone += 1
    logger.error("What was to be done after a commit is not done: %s", why, exc_info=error)


def ask_node(node: "Node", question: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in the node's loop, and return its result. For threads without a loop.

    Raises:
        NoNode: the loop has ended, or did not answer within `ANSWER_TIMEOUT`; the coroutine is cancelled, but may have
            run.
        Exception: an error of the coroutine.
    """
    future = _submit(node, question)
    try:
        return future.result(ANSWER_TIMEOUT)
    except TimeoutError:
        future.cancel()
        raise NoNode(f"The node's event loop gave no answer within {ANSWER_TIMEOUT:g} s.") from None


async def aask_node(node: "Node", question: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in the node's loop, and return its result. For any loop, and without a timeout in the node's own.

    A cancelled call cancels the coroutine. Raises as `ask_node`.
    """
    if _lives_here(node):
        return await question
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await asyncio.wrap_future(_submit(node, question))
    except TimeoutError:
        raise NoNode(f"The node's event loop gave no answer within {ANSWER_TIMEOUT:g} s.") from None


async def in_thread(function: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
    """Run a synchronous function that uses the database, and return its result.

    In the loop of the node the function runs in the node's pool, elsewhere in the thread of `sync_to_async`. When the
    caller is cancelled, a function that has begun runs to its end.

    Raises:
        Refused: `INTERNAL_ERROR`, no thread took the call, or it takes longer than `HOOK_TIMEOUT`.
        Exception: an error of the function.
    """
    return await _in_pool(_Running.pool, function, *args, **kwargs)


async def in_hook_thread(function: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
    """Run a synchronous function of the project as `in_thread` does, but in the pool for hooks.

    Raises:
        Refused: `INTERNAL_ERROR`, no thread took the call, or it takes longer than `HOOK_TIMEOUT`.
        Exception: an error of the function.
    """
    return await _in_pool(_Running.hooks, function, *args, **kwargs)


async def _in_pool(
    pool: "HookPool | None", function: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs
) -> Result:
    node = _Running.node
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
