"""The project's channels in a process without connections, for the hooks of a stand-alone server."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser

from hotclub.access.admission import find_user
from hotclub.access.handshake import SESSION_STATE
from hotclub.access.rates import Traffic
from hotclub.access.sealing import seal, unseal
from hotclub.access.session import authenticate
from hotclub.channels.client import Client
from hotclub.channels.registry import Registry, get_registry
from hotclub.conf.config import get_config
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.names import fault
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import ConnectGrant, Handshake, ResolvedChannel
from hotclub.hooks.application import compose
from hotclub.proxy.messages import Meta, Question
from hotclub.revocation.signals import SIGNED_OUT
from hotclub.revocation.watch import SessionWatch
from hotclub.runtime.calls import Lane
from hotclub.runtime.pool import HookPool

Params = ParamSpec("Params")
Result = TypeVar("Result")


class _RequestThreads(HookPool):
    """Runs hooks in the thread of the request's synchronous code, and so with the request's database connections."""

    is_shared = False
    """Requests have event loops, and threads, of their own."""

    def __init__(self) -> None:
        """Do not make the threads of `HookPool`."""

    async def run(self, func: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        """See `HookPool.run`. A call that has begun runs to its end also here."""
        return await sync_to_async(func, thread_sensitive=True)(*args, **kwargs)

    async def call(self, lane: Lane, work: Callable[[], Result], *, patient: bool = False) -> Result:  # noqa: ARG002 - every lane has the same thread
        """See `HookPool.call`. The stand-alone server limits the time of its requests."""
        return await self.run(work)


class _RatesOnly(Traffic):
    """Limits rates, and does not count open connections: the stand-alone server holds them."""

    def connect(self, user_id: str, address: str) -> None:
        """See `Traffic.connect`."""
        super().connect(user_id, address)
        super().disconnect(user_id, address)


class Backend:
    """The project's channels, for one request."""

    def __init__(self, shared: "Shared", handshake: Handshake, recheck: int = 0) -> None:
        """The stand-alone server asks again about a subscription after `recheck` seconds, 0 for never."""
        self.recheck = recheck
        self.application = shared.application
        self._registry = shared.registry
        self._handshake = handshake

    def resolve(self, channel: str) -> ResolvedChannel:
        """The channel of a name that a client chose. Raises Refused `BAD_REQUEST` for text that is no name in normal
        form C, by which the server would route another channel, and `UNKNOWN_CHANNEL` for an unknown channel."""
        if reason := fault(channel):
            raise Refused(Code.BAD_REQUEST, f"channel name is not valid: {reason}")
        return self._registry.route(channel)

    def arriving(self, question: Question) -> EngineClient:
        """The client of a connect hook, with the handshake alone."""
        return EngineClient(id=question.client, handshake=self._handshake)

    async def known(self, question: Question) -> EngineClient:
        """The client of any other hook, from the fields that the server kept of the connection.

        The login is looked for at each question, so that a hook never acts for somebody who has signed out.

        Raises:
            Disconnect: `FORCE_DISCONNECT`, the user is no longer active; `FORCE_RECONNECT`, the login is over, and the
                client comes back with its present cookie.
        """
        user, name = await sync_to_async(_bearer, thread_sensitive=True)(question)
        mine = Client(
            id=question.client,
            user=user,
            headers=self._handshake.headers,
            address=self._handshake.address,
            login_id=name,
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
        """The `meta` that the server keeps of an accepted connection, and sends with every later question."""
        mine = grant.state
        assert isinstance(mine, Client)
        return Meta(login=seal(mine.session_key) if mine.session_key else "", token=mine.meta)

    async def is_signed_in(self, question: Question) -> bool:
        """Whether a connection may stay: it is anonymous, or its login or its user is still good."""
        try:
            await sync_to_async(_bearer, thread_sensitive=True)(question)
        except Disconnect:
            return False
        return True


class Shared:
    """The values that the requests of one process share."""

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
            traffic=_RatesOnly(config.rates),
            keeps=False,
        )

    @classmethod
    def current(cls, before: "Shared | None") -> "Shared":
        """`before` if it has the project's current registry, otherwise a new one."""
        registry = get_registry()
        return before if before is not None and before.registry is registry else cls(registry)


def _bearer(question: Question) -> tuple[Any, str]:
    """Return the user of a question, and the `Client.login_id`, "" without a login. Synchronous; asks the database.

    Without the `meta` of the connect hook, of a connection that a token has opened, the user alone is looked for.

    Raises:
        Disconnect: as `Backend.known`.
    """
    if not question.user:
        return AnonymousUser(), ""
    login = authenticate(unseal(question.meta.login) or "") if question.meta.login else None
    if login is not None and str(login.user.pk) == question.user:
        return login.user, login.id
    user: Any = find_user(question.user)
    if not user.is_active:
        raise Disconnect(Close.FORCE_DISCONNECT, SIGNED_OUT)
    if question.meta.login:
        raise Disconnect(Close.FORCE_RECONNECT)
    return user, ""


def handshake_of(headers: dict[str, str], address: str, session_key: str) -> Handshake:
    """The handshake of a connection.

    Args:
        headers: the lower-cased headers that the server passed on.
        address: the client's address.
        session_key: the key of the Django session, "" for none.
    """
    return Handshake(
        headers=headers,
        address=address,
        state={SESSION_STATE: session_key},
    )
