"""Calls the project's hooks, each in the thread pool or in the event loop, and turns their failures into refusals.

The hooks of one command are a generator: it yields a `HookCall` for each hook, and is sent the hook's result. So
consecutive plain hooks share one call of the thread pool, and async hooks may come between them.
"""

import asyncio
import contextlib
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from msgspec import Raw, Struct

from hotclub.access.rates import Traffic
from hotclub.channels.base import Channel
from hotclub.channels.client import Client, CommandData, handling
from hotclub.channels.registry import Registry, Route
from hotclub.conf.config import Config
from hotclub.engine.codes import Code
from hotclub.engine.errors import HotclubError, Refused
from hotclub.engine.model import EMPTY
from hotclub.engine.observe import logger
from hotclub.engine.places import network_of
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import ResolvedChannel
from hotclub.runtime.calls import Lane, NoAnswer
from hotclub.runtime.deadline import Deadline
from hotclub.runtime.encoding import encode
from hotclub.runtime.pool import HookPool, kind_of

VALIDATION_ERROR: Final = 400
"""The code of a hook's `ValidationError`, in the range that belongs to applications."""
_LONGEST: Final = 300
"""Characters of an exception's text that a client reads with DEBUG."""

Hook = Callable[..., Any]
Result = TypeVar("Result")


class HookCall(Struct, frozen=True):
    """A function of the project or of Hotclub, with its arguments."""

    hook: Hook
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def begin(self) -> Any:
        """Call the function."""
        return self.hook(*self.args, **self.kwargs)


Steps = Generator[HookCall, Any, Result]
"""The hooks of one command, in their order. The generator returns the decision on the command."""


def ask(hook: Hook, *args: Any, **kwargs: Any) -> HookCall:
    """The call of a hook, for a generator to yield."""
    return HookCall(hook, args, kwargs)


class HookRunner:
    """Runs hooks: plain ones in the thread pool, async ones in the event loop. Every hook has the same longest time."""

    def __init__(self, pool: HookPool, seconds: float) -> None:
        """`seconds` is the longest time of an async hook. `pool` bounds the plain ones."""
        self._pool = pool
        self._seconds = seconds
        self._deadline = Deadline(seconds)

    async def run(self, client: Client, steps: Steps[Result], data: Raw = EMPTY, *, about: str = "") -> Result:
        """Run the hooks that `steps` yields, and return what `steps` returns.

        When the caller is cancelled, a plain hook that has begun runs to its end, and no other hook begins.

        Args:
            client: the connection.
            steps: the hooks.
            data: the command's payload, which the hooks read as `client.data`.
            about: what the hooks are told, "" for a command. A hook that hangs holds up only what is named the same.

        Raises:
            Refused: a hook or `steps` refused; `INTERNAL_ERROR`, a hook failed or took too long, or an earlier hook of
                this connection hangs.
            Disconnect: a hook or `steps` ended the connection.
        """
        sent = CommandData(data)
        chain: _Chain[Result] = _Chain(client, steps, sent)
        chain.go_on(None)
        holder = (client.id, about)
        while (call := chain.call) is not None:
            if not iscoroutinefunction(call.hook):
                await self._run_plain(chain, Lane(kind_of(call.hook), bucket(client), holder))
                continue
            chain.go_on(await self._in_time(chain.wait_for(call.hook, call.begin), call.hook, holder))
        return chain.result

    async def _run_plain(self, chain: "_Chain[Any]", lane: Lane) -> None:
        """Run the plain hooks up to the next async one, or up to one that returns an awaitable."""
        try:
            pending = await self._pool.call(lane, chain.run_plain)
        except BaseException:
            chain.call = None
            raise
        if pending is not None:
            hook, answer = pending
            chain.go_on(await self._in_time(chain.wait_for(hook, lambda: answer), hook, lane.holder))

    async def _in_time(self, work: Coroutine[Any, Any, Any], hook: Hook, holder: object) -> Any:
        try:
            return await self._deadline.run(work, holder)
        except NoAnswer:
            logger.error("The hook %s has not ended within %g s, and is cancelled", hook_name(hook), self._seconds)
            raise

    async def call(
        self, client: Client, hook: Hook, *args: Any, data: Raw = EMPTY, about: str = "", **kwargs: Any
    ) -> Any:
        """Run one hook with the client and these arguments, as `run`."""
        return await self.run(client, _one(ask(hook, client, *args, **kwargs)), data, about=about)

    async def publish(self, client: Client, hook: Hook, work: Callable[[], Result]) -> Result:
        """Run a function that calls the hooks of a durable channel with `plain`, in the thread pool.

        Raises:
            Refused: as `run`, or as the function.
        """
        return await self._pool.call(Lane(kind_of(hook), bucket(client), (client.id, "")), work)

    async def ask(self, hook: Hook, *args: Any, **kwargs: Any) -> Any:
        """Call a hook of no connection, without a longest time, and return its result.

        A cancelled call returns when the hook has returned. A second cancellation ends the wait.
        """
        if iscoroutinefunction(hook):
            return await hook(*args, **kwargs)
        work = self._pool.call(Lane(kind_of(hook)), partial(hook, *args, **kwargs), patient=True)
        task = asyncio.ensure_future(work)
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait((task,))
            raise
        return await result if inspect.isawaitable(result) else result


class _Chain(Generic[Result]):
    """The state of one command's hooks."""

    def __init__(self, client: Client, steps: Steps[Result], data: CommandData) -> None:
        self._client = client
        self._steps = steps
        self._data = data
        self.call: HookCall | None = None
        """The next hook; None before the first one, after the last one, or when the caller was cancelled."""
        self.result: Result

    def go_on(self, answer: Any) -> None:
        """Send the last hook's result to the generator, and take the next hook. None starts the generator."""
        try:
            self.call = self._steps.send(answer)
        except StopIteration as end:
            self.call, self.result = None, end.value

    def run_plain(self) -> tuple[Hook, Awaitable[Any]] | None:
        """Call plain hooks one after the other, up to one that returns an awaitable. For the thread pool.

        Returns that hook and its awaitable; None when no plain hook is left.
        """
        while (call := self.call) is not None and not iscoroutinefunction(call.hook):
            answer = plain(self._client, call, self._data)
            # `iscoroutinefunction` does not know every function that returns a coroutine, such as a lambda.
            if inspect.isawaitable(answer):
                return call.hook, answer
            if self.call is call:
                self.go_on(answer)
        return None

    async def wait_for(self, hook: Hook, begin: Callable[[], Awaitable[Any]]) -> Any:
        """Call an async hook, or take what a plain hook returned, and await it. For the event loop."""
        with handling(self._client, self._data), answering(hook):
            return await begin()


def plain(client: Client, call: HookCall, data: CommandData) -> Any:
    """Call a plain hook in this thread, in a copy of the context.

    Raises:
        Refused: as `answering`.
        Disconnect: the hook ended the connection.
    """
    return contextvars.copy_context().run(_plain, client, call, data)


def _plain(client: Client, call: HookCall, data: CommandData) -> Any:
    with handling(client, data), answering(call.hook):
        return call.begin()


def _one(call: HookCall) -> Steps[Any]:
    return (yield call)


# ------------------------------------------------------------------------------------------------------------- failures


class answering:  # noqa: N801 - reads as a statement: with answering(hook)
    """Turn an exception of a hook in this block into the refusal of its command.

    `PermissionDenied` becomes 103, `ValidationError` 400 with its messages. Hotclub's own errors pass. Any other
    exception is logged without the payload, and becomes 100.
    """

    __slots__ = ("_where",)

    def __init__(self, where: Hook | str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Do nothing, so that blocks can be nested."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        # A class is three times as fast as a generator, and every command passes here.
        if error is not None and not isinstance(error, HotclubError) and not _ends_the_command(error):
            raise _refusal(self._where, error) from None


def _ends_the_command(error: BaseException) -> bool:
    """Return whether the error comes from outside the hook: an interrupt, or the cancellation of the command's task."""
    if isinstance(error, asyncio.CancelledError):
        try:
            task = asyncio.current_task()
        except RuntimeError:  # a thread of the pool
            return False
        return task is not None and task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt)


def _refusal(where: Hook | str, error: BaseException) -> Refused:
    if isinstance(error, PermissionDenied):
        return Refused(Code.PERMISSION_DENIED)
    if isinstance(error, ValidationError):
        return Refused(VALIDATION_ERROR, "; ".join(error.messages) or "invalid")
    name = hook_name(where)
    logger.error("The hook %s failed", name, exc_info=error)
    return Refused(Code.INTERNAL_ERROR, _explained(name, error) if settings.DEBUG else "")


@contextlib.contextmanager
def logging_failure(where: str) -> Iterator[None]:
    """Log what a hook raises in this block, for hooks that cannot refuse anything.

    An `INTERNAL_ERROR` is left out, because `answering` has logged it.
    """
    try:
        yield
    except HotclubError as error:
        if not isinstance(error, Refused) or error.code != Code.INTERNAL_ERROR:
            logger.exception("A hook of %s refused, where nothing can be refused", where)
    except Exception:  # noqa: BLE001 - a hook is foreign code
        logger.exception("A hook of %s failed", where)


def hook_name(where: Hook | str) -> str:
    """The name of a hook for the log: `module.Class.hook` of a method, `module.function` of a function, a text as it
    is."""
    if isinstance(where, str):
        return where
    owner = getattr(where, "__self__", None)
    if owner is not None:
        return f"{type(owner).__module__}.{type(owner).__qualname__}.{getattr(where, '__name__', where)}"
    name = getattr(where, "__qualname__", None)
    return f"{where.__module__}.{name}" if name else repr(where)


def _explained(name: str, error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the `__str__` of the exception is foreign code
        text = ""
    shown = "".join(character if character.isprintable() else " " for character in text[:_LONGEST])
    return f"{name} failed: {type(error).__name__}: {shown}"


def encoded(hook: Hook | str, value: Any) -> Raw:
    """The payload of a hook's result, empty for None.

    Raises:
        Refused: `INTERNAL_ERROR`, JSON cannot hold the result.
    """
    with answering(hook):
        return EMPTY if value is None else encode(value)


# -------------------------------------------------------------------------------------------------------- shared by all


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The values that the hooks of one node share. See `compose` for `keeps`."""

    registry: Registry
    config: Config
    hooks: HookRunner
    traffic: Traffic
    keeps: bool = True


def client_of(client: EngineClient) -> Client:
    """The `Client` that hooks get, of a connection that `ConnectHooks.connect` accepted."""
    assert isinstance(client.state, Client)
    return client.state


def route_of(channel: ResolvedChannel) -> Route:
    """The channel as the registry resolved it."""
    assert isinstance(channel, Route)
    return channel


def overridden(channel: Channel, hook: str, base: type[Channel] = Channel) -> bool:
    """Whether the project's class defines this hook of `base`."""
    return getattr(type(channel), hook) is not getattr(base, hook)


def optional(route: Route, hook: str, client: Client, *args: Any) -> Steps[Any]:
    """Ask a hook if the project's class defines it. Returns the hook's result, otherwise None."""
    if not overridden(route.channel, hook):
        return None
    return (yield ask(getattr(route.channel, hook), client, *args, **route.kwargs))


def is_open(config: Config, channel: Channel, hook: str) -> bool:
    """Whether a permission hook need not be asked: the class does not define it, and a token or the settings allow
    everybody."""
    signed = channel.token and hook == "can_subscribe"
    return (config.insecure or signed) and not overridden(channel, hook)


def bucket(client: Client) -> str:
    """The name of the client's token bucket: its user, or its network for an anonymous client."""
    # Ids are of any text: the first character keeps them apart from addresses.
    return f"#{client.user_id}" if client.user_id else f"address {network_of(client.address)}"
