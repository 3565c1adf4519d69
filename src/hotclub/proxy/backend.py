"""The project's channels without any connection: what a hook needs to answer."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser

from hotclub.access.admission import find_user
from hotclub.access.handshake import SESSION_STATE
from hotclub.access.rates import Traffic
from hotclub.access.session import authenticate, login_id
from hotclub.channels.client import Client
from hotclub.channels.registry import Registry, get_registry
from hotclub.conf.config import get_config
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import ConnectGrant, Handshake, ResolvedChannel
from hotclub.hooks.application import compose
from hotclub.proxy.messages import Meta, Question
from hotclub.revocation.signals import SIGNED_OUT
from hotclub.revocation.watch import SessionWatch
from hotclub.runtime.pool import HookPool

Params = ParamSpec("Params")
Result = TypeVar("Result")


class _RequestThreads(HookPool):
    """Hooks run where Django runs the views of this request, and so in its database connections."""

    def __init__(self) -> None:
        """There is nothing to keep."""

    async def run(self, func: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        return await sync_to_async(func, thread_sensitive=True)(*args, **kwargs)


class _Passing(Traffic):
    """Rates, but no counts of open connections: those are the server's to know."""

    def connect(self, user_id: str, address: str) -> None:
        super().connect(user_id, address)
        super().disconnect(user_id, address)


class Backend:
    """The project's channels, for one request."""

    def __init__(self, shared: "Shared", handshake: Handshake, recheck: int = 0) -> None:
        """`recheck` is after how many seconds the server is to ask again about a subscription, 0 for never."""
        self.recheck = recheck
        self.application = shared.application
        self._registry = shared.registry
        self._handshake = handshake

    def resolve(self, channel: str) -> ResolvedChannel:
        """Raises Refused `UNKNOWN_CHANNEL`, no such channel."""
        return self._registry.route(channel)

    def arriving(self, question: Question) -> EngineClient:
        """A connection of which only the request is known that opened it."""
        return EngineClient(id=question.client, handshake=self._handshake)

    async def known(self, question: Question) -> EngineClient:
        """A connection that was let in before.

        Raises:
            Disconnect: `FORCE_DISCONNECT`, the user is not active any more.
        """
        user: Any = AnonymousUser()
        if question.user:
            user = await sync_to_async(find_user, thread_sensitive=True)(question.user)
            if not user.is_active:
                raise Disconnect(Close.FORCE_DISCONNECT, SIGNED_OUT)
        mine = Client(
            id=question.client,
            user=user,
            headers=self._handshake.headers,
            address=self._handshake.address,
            login_id=login_id(question.meta.session_key),
            meta=question.meta.token,
        )
        return EngineClient(
            id=question.client,
            handshake=self._handshake,
            user_id=question.user,
            login_id=mine.login_id,
            state=mine,
        )

    def meta_of(self, grant: ConnectGrant) -> Meta:
        """What the server is to keep, and to send with every other question."""
        mine = grant.state
        assert isinstance(mine, Client)
        return Meta(session_key=mine.session_key, auth_hash=mine.auth_hash, token=mine.meta)

    async def is_signed_in(self, question: Question) -> bool:
        """Whether somebody who connected may stay."""
        if not question.user:
            return True
        if question.meta.session_key:
            login = await sync_to_async(authenticate, thread_sensitive=True)(question.meta.session_key)
            return login is not None and str(login.user.pk) == question.user
        user = await sync_to_async(find_user, thread_sensitive=True)(question.user)
        return bool(user.is_active)


class Shared:
    """What the requests of one process have in common, made anew when the settings change."""

    def __init__(self, registry: Registry) -> None:
        config = get_config()
        self.registry = registry
        threads = _RequestThreads()
        self.application = compose(
            registry,
            config,
            hooks=threads,
            inner=threads,
            watch=SessionWatch(),
            traffic=_Passing(config.rates),
            keeps=False,
        )

    @classmethod
    def current(cls, before: "Shared | None") -> "Shared":
        """`before`, unless the project's channels are others by now."""
        registry = get_registry()
        return before if before is not None and before.registry is registry else cls(registry)


def handshake_of(headers: dict[str, str], address: str, session_key: str) -> Handshake:
    """What is known of a connection from the headers that the server passed on."""
    return Handshake(
        headers=headers,
        address=address,
        state={SESSION_STATE: session_key},
        principal=login_id(session_key),
    )
