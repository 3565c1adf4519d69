"""Calling the project's hooks: where each runs, what it sees of the command, and what its client is told of a failure.

The hooks of one command stand in a generator that yields a `HookCall` for each and is sent what the hook returned. So
plain hooks that follow one another share one call of the thread pool, and async ones may stand between them.
"""

import contextlib
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from msgspec import Raw, Struct

from hotclub.access.rates import Traffic, network_of
from hotclub.channels.base import Channel
from hotclub.channels.client import Client, CommandData, handling
from hotclub.channels.registry import Registry, Route
from hotclub.conf.config import Config
from hotclub.engine.codes import Code
from hotclub.engine.errors import HotclubError, Refused
from hotclub.engine.model import EMPTY
from hotclub.engine.observe import logger
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import ResolvedChannel
from hotclub.runtime.encoding import encode
from hotclub.runtime.pool import HookPool

VALIDATION_ERROR: Final = 400
"""The code of a hook's `ValidationError`, in the range that belongs to applications."""
_LONGEST: Final = 300
"""Characters of an exception's text that a client is told with DEBUG."""

Hook = Callable[..., Any]
Result = TypeVar("Result")


class HookCall(Struct, frozen=True):
    """A hook, or another function of the project's or of ours, with its arguments."""

    hook: Hook
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


Steps = Generator[HookCall, Any, Result]
"""The hooks of one command, in their order, and what comes of them."""


def ask(hook: Hook, *args: Any, **kwargs: Any) -> HookCall:
    """The call of a hook, for a generator to yield."""
    return HookCall(hook, args, kwargs)


class HookRunner:
    """Runs hooks: plain ones in the thread pool, async ones in the event loop."""

    def __init__(self, pool: HookPool) -> None:
        self._pool = pool

    async def run(self, client: Client, steps: Steps[Result], data: Raw = EMPTY) -> Result:
        """Run the hooks that `steps` yields. `data` is what came with the command: their `client.data`.

        When the caller is cancelled, a plain hook that has begun runs to its end, and no other is begun.

        Raises:
            Refused, Disconnect: a hook, or `steps`, refused; `INTERNAL_ERROR` when one failed.
        """
        sent = CommandData(data)
        try:
            call = next(steps)
            while True:
                if not iscoroutinefunction(call.hook):
                    chain = _Chain(client, steps, sent, call)
                    await self._run_plain(chain)
                    if chain.call is None:
                        return chain.result
                    call = chain.call
                    continue
                client.forget_permissions()
                with handling(client, sent), answering(call.hook):
                    answer = await call.hook(*call.args, **call.kwargs)
                call = steps.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _run_plain(self, chain: "_Chain[Any]") -> None:
        """Run the plain hooks up to the next async one."""
        while chain.is_plain:
            try:
                pending = await self._pool.run(chain.run_plain)
            except BaseException:
                chain.call = None
                raise
            if pending is not None:
                chain.go_on(await chain.wait_for(*pending))

    async def call(self, client: Client, hook: Hook, *args: Any, data: Raw = EMPTY, **kwargs: Any) -> Any:
        """Run one hook with the client and these arguments."""
        return await self.run(client, _one(ask(hook, client, *args, **kwargs)), data)

    async def in_pool(self, work: Callable[[], Result]) -> Result:
        """Run what calls its hooks by itself, with `plain`, in the thread pool."""
        return await self._pool.run(work)


class _Chain(Generic[Result]):
    """How far the plain hooks of one command have come."""

    def __init__(self, client: Client, steps: Steps[Result], data: CommandData, call: HookCall) -> None:
        self._client = client
        self._steps = steps
        self._data = data
        self.call: HookCall | None = call
        """The next hook; None when there are no more, or nobody waits for them."""
        self.result: Result

    @property
    def is_plain(self) -> bool:
        """Whether the next hook is a plain one."""
        return self.call is not None and not iscoroutinefunction(self.call.hook)

    def go_on(self, answer: Any) -> None:
        """Hand in what the last hook returned."""
        try:
            self.call = self._steps.send(answer)
        except StopIteration as end:
            self.call, self.result = None, end.value

    def run_plain(self) -> tuple[Hook, Awaitable[Any]] | None:
        """Call plain hooks one after the other, until there is something to await. For the thread pool."""
        while (call := self.call) is not None and not iscoroutinefunction(call.hook):
            answer = plain(self._client, call, self._data)
            # A function that returns a coroutine, such as a functools.partial of one, is as good as an async one.
            if inspect.isawaitable(answer):
                return call.hook, answer
            if self.call is call:
                self.go_on(answer)
        return None

    async def wait_for(self, hook: Hook, answer: Awaitable[Any]) -> Any:
        """Await what a plain hook has returned."""
        with handling(self._client, self._data), answering(hook):
            return await answer


def plain(client: Client, call: HookCall, data: CommandData) -> Any:
    """Call a plain hook in this thread, in a context of its own."""
    return contextvars.copy_context().run(_plain, client, call, data)


def _plain(client: Client, call: HookCall, data: CommandData) -> Any:
    client.forget_permissions()
    with handling(client, data), answering(call.hook):
        return call.hook(*call.args, **call.kwargs)


def _one(call: HookCall) -> Steps[Any]:
    return (yield call)


# --------------------------------------------------------------------------------------------- what becomes of failures


class answering:  # noqa: N801 - reads as a statement: with answering(hook)
    """Turn what a hook raises in this block into what its client is told. The payload is kept out of the log."""

    __slots__ = ("_where",)

    def __init__(self, where: Hook | str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Nothing is kept: blocks may stand in each other."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        # A class, for every command of every client passes here, and a generator takes three times as long.
        if error is not None and isinstance(error, Exception) and not isinstance(error, HotclubError):
            raise _refusal(self._where, error) from None


def _refusal(where: Hook | str, error: Exception) -> Refused:
    if isinstance(error, PermissionDenied):
        return Refused(Code.PERMISSION_DENIED)
    if isinstance(error, ValidationError):
        return Refused(VALIDATION_ERROR, "; ".join(error.messages) or "invalid")
    name = hook_name(where)
    logger.error("The hook %s failed", name, exc_info=error)
    return Refused(Code.INTERNAL_ERROR, _explained(name, error) if settings.DEBUG else "")


@contextlib.contextmanager
def logging_failure(where: str) -> Iterator[None]:
    """For hooks that nobody waits for: they cannot refuse anything, and `answering` has logged what they raised."""
    try:
        yield
    except HotclubError as error:
        if not isinstance(error, Refused) or error.code != Code.INTERNAL_ERROR:
            logger.exception("A hook of %s refused, where nothing can be refused", where)
    except Exception:  # noqa: BLE001 - a hook is foreign code
        logger.exception("A hook of %s failed", where)


def hook_name(where: Hook | str) -> str:
    """`module.Class.hook` of a method, `module.function` of a function; a text as it is."""
    if isinstance(where, str):
        return where
    owner = getattr(where, "__self__", None)
    if owner is not None:
        return f"{type(owner).__module__}.{type(owner).__qualname__}.{getattr(where, '__name__', where)}"
    name = getattr(where, "__qualname__", None)
    return f"{where.__module__}.{name}" if name else repr(where)


def _explained(name: str, error: Exception) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the exception is foreign, too
        text = ""
    shown = "".join(character if character.isprintable() else " " for character in text[:_LONGEST])
    return f"{name} failed: {type(error).__name__}: {shown}"


def encoded(hook: Hook | str, value: Any) -> Raw:
    """The payload of what a hook returned; none for None. A value that JSON cannot hold is the hook's failure."""
    with answering(hook):
        return EMPTY if value is None else encode(value)


# ------------------------------------------------------------------------------------------------ what all hooks share


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What the hooks of one node have in common. Unless it `keeps` them, the logs of durable channels are somebody
    else's."""

    registry: Registry
    config: Config
    hooks: HookRunner
    traffic: Traffic
    keeps: bool = True


def client_of(client: EngineClient) -> Client:
    """The client as hooks see it, of a connection that was let in."""
    assert isinstance(client.state, Client)
    return client.state


def route_of(channel: ResolvedChannel) -> Route:
    """The channel as the registry has resolved it."""
    assert isinstance(channel, Route)
    return channel


def overridden(channel: Channel, hook: str) -> bool:
    """Whether the project has written this hook."""
    return getattr(type(channel), hook) is not getattr(Channel, hook)


def optional(route: Route, hook: str, client: Client, *args: Any) -> Steps[Any]:
    """Ask a hook that does nothing unless it is overridden; its answer is None then."""
    if not overridden(route.channel, hook):
        return None
    return (yield ask(getattr(route.channel, hook), client, *args, **route.kwargs))


def is_open(config: Config, channel: Channel, hook: str) -> bool:
    """Whether a permission needs no asking: nobody has written the hook, and a token or the settings stand for it."""
    signed = channel.token and hook == "can_subscribe"
    return (config.insecure or signed) and not overridden(channel, hook)


def bucket(client: Client) -> str:
    """Whose bucket a command is taken from."""
    return client.user_id or f"address {network_of(client.address)}"
