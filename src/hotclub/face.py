"""The engine's `Application`, implemented for Django: resolves channels, runs hooks, converts errors and data."""

# ruff: noqa: ARG002 - the port gives every application the same arguments

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.module_loading import import_string
from msgspec import Raw

from hotclub.auth import SESSION_STATE, authenticate, session_id
from hotclub.channels import Channel
from hotclub.client import Client
from hotclub.conf import Config
from hotclub.encoding import decode, encode
from hotclub.engine.application import (
    ChannelSpec,
    ConnectGrant,
    ConnectRequest,
    PublishGrant,
    RefreshGrant,
    SubscribeGrant,
    SubscribeRequest,
)
from hotclub.engine.application import Client as EngineClient
from hotclub.engine.broker.base import Message
from hotclub.engine.errors import CommandError, HotclubError, command_error, disconnect
from hotclub.engine.model import EMPTY, ClientInfo, Position
from hotclub.engine.observe import logger
from hotclub.pool import HookPool
from hotclub.publishing import append_durably
from hotclub.registry import Registry, Route
from hotclub.revocation import SessionWatch

VALIDATION_ERROR = 400
"""The code of a hook's `ValidationError`, in the range that belongs to applications."""


class Face:
    """What one node asks of the project."""

    def __init__(
        self, registry: Registry, config: Config, *, hooks: HookPool, inner: HookPool, watch: SessionWatch
    ) -> None:
        """`hooks` is the pool for the project's own code, `inner` the one for signing in."""
        self._registry = registry
        self._config = config
        self._hooks = hooks
        self._inner = inner
        self._watch = watch
        self._on_connect = import_string(config.on_connect) if config.on_connect else None
        self._on_disconnect = import_string(config.on_disconnect) if config.on_disconnect else None

    def channel(self, name: str) -> ChannelSpec | None:
        route = self._registry.resolve(name)
        return None if route is None else route.spec

    async def connect(self, client: EngineClient, request: ConnectRequest) -> ConnectGrant:
        with _answers("the connect hook"):
            mine = await self._authenticated(client)
            if mine.is_anonymous and not self._config.allow_anonymous:
                raise disconnect(3501)
            data = await self._call(self._on_connect, mine) if self._on_connect is not None else None
            personal = (f"#{mine.user_id}",) if self._config.personal_channel and not mine.is_anonymous else ()
            grant = ConnectGrant(
                user_id=mine.user_id,
                session_id=mine.session_id,
                info=_payload(mine.info),
                data=_payload(data),
                channels={name: SubscribeGrant() for name in personal if self._registry.resolve(name) is not None},
                state=mine,
            )
        if not mine.is_anonymous:
            self._watch.add(mine)
        return grant

    async def subscribe(self, client: EngineClient, channel: str, request: SubscribeRequest) -> SubscribeGrant:
        route = self._registry.route(channel)
        mine = _client(client)
        with _answers(route.pattern):
            await self._authorize(mine, route)
            info = await self._optional("channel_info", route, mine)
            data = await self._optional("on_subscribe", route, mine)
            if info is not None:
                mine.channel_infos[channel] = _payload(info)
            return SubscribeGrant(info=_payload(info), data=_payload(data))

    async def publish(self, client: EngineClient, channel: str, data: Raw) -> PublishGrant:
        route = self._registry.route(channel)
        mine = _client(client)
        with _answers(route.pattern):
            if route.spec.durable:
                info = ClientInfo(
                    user=client.user_id,
                    client=client.id,
                    conn_info=client.info,
                    chan_info=mine.channel_infos.get(channel, EMPTY),
                )
                call = _DurablePublish(route, channel, mine, info, self._config.database)
                return await self._hooks.run(call, decode(data))
            if not await self._call(route.channel.can_publish, mine, **route.kwargs):
                raise command_error(103)
            if not _overridden(route.channel, "on_publish"):
                return PublishGrant(data=data)
            result = await self._call(route.channel.on_publish, mine, decode(data), **route.kwargs)
            return (
                PublishGrant(position=result) if isinstance(result, Position) else PublishGrant(data=_payload(result))
            )

    async def refresh(self, client: EngineClient, token: str) -> RefreshGrant:
        raise disconnect(3501)

    async def refresh_subscription(self, client: EngineClient, channel: str, token: str) -> RefreshGrant:
        raise command_error(108)

    async def authorize_presence(self, client: EngineClient, channel: str) -> None:
        await self._reauthorize(client, channel)

    async def authorize_history(self, client: EngineClient, channel: str) -> None:
        await self._reauthorize(client, channel)

    async def rpc(self, client: EngineClient, method: str, data: Raw) -> Raw:
        if not self._registry.procedures:
            raise command_error(108)
        procedure = self._registry.procedures.get(method)
        if procedure is None:
            raise command_error(104)
        with _answers(f"rpc {procedure.name}"):
            arguments = procedure.convert(decode(data))
            return encode(await self._call(procedure.function, _client(client), **arguments))

    async def send(self, client: EngineClient, data: Raw) -> None:
        raise disconnect(3508)

    async def unsubscribed(self, client: EngineClient, channel: str) -> None:
        if isinstance(client.state, Client):
            client.state.channel_infos.pop(channel, None)
        await self._notify("on_unsubscribe", channel, client)

    async def disconnected(self, client: EngineClient, code: int, reason: str) -> None:
        mine = client.state
        if not isinstance(mine, Client):
            return
        self._watch.remove(mine)
        if self._on_disconnect is not None:
            with _logged("the disconnect hook"):
                await self._call(self._on_disconnect, mine)

    async def presence_changed(self, channel: str, client: EngineClient, joined: bool) -> None:
        await self._notify("on_presence_change", channel, client, joined)

    async def _authenticated(self, client: EngineClient) -> Client:
        handshake = client.handshake
        session_key = handshake.state.get(SESSION_STATE)
        login = (
            await self._inner.run(authenticate, session_key) if isinstance(session_key, str) and session_key else None
        )
        return Client(
            id=client.id,
            user=AnonymousUser() if login is None else login.user,
            headers=handshake.headers,
            address=handshake.address,
            session_id="" if login is None else session_id(login.session_key),
            session_key="" if login is None else login.session_key,
            auth_hash="" if login is None else login.auth_hash,
        )

    async def _authorize(self, client: Client, route: Route) -> None:
        if not await self._call(route.channel.can_subscribe, client, **route.kwargs):
            raise command_error(103)

    async def _reauthorize(self, client: EngineClient, channel: str) -> None:
        route = self._registry.route(channel)
        with _answers(route.pattern):
            await self._authorize(_client(client), route)

    async def _optional(self, hook: str, route: Route, client: Client, *args: Any) -> Any:
        """Run a hook that does nothing unless it is overridden."""
        if not _overridden(route.channel, hook):
            return None
        return await self._call(getattr(route.channel, hook), client, *args, **route.kwargs)

    async def _notify(self, hook: str, channel: str, client: EngineClient, *args: Any) -> None:
        route = self._registry.resolve(channel)
        if route is not None and isinstance(client.state, Client):
            with _logged(route.pattern):
                await self._optional(hook, route, client.state, *args)

    async def _call(self, function: Callable[..., Any], client: Client, *args: Any, **kwargs: Any) -> Any:
        client.forget_permissions()
        if iscoroutinefunction(function):
            return await function(client, *args, **kwargs)
        result = await self._hooks.run(function, client, *args, **kwargs)
        # A function that returns a coroutine, such as a functools.partial of one, is as good as an async one.
        return await result if inspect.isawaitable(result) else result


@dataclass(frozen=True, slots=True)
class _DurablePublish:
    """Ask, let the hook write its rows, and append: one transaction, in a pool thread."""

    route: Route
    channel: str
    client: Client
    info: ClientInfo
    database: str

    def __call__(self, data: Any) -> PublishGrant:
        hooks, kwargs = self.route.channel, self.route.kwargs
        self.client.forget_permissions()
        with transaction.atomic(using=self.database):
            if not _finished(hooks.can_publish(self.client, **kwargs)):
                raise command_error(103)
            result = _finished(hooks.on_publish(self.client, data, **kwargs))
            if isinstance(result, Position):
                return PublishGrant(position=result)
            if result is None:
                return PublishGrant()
            message = Message(data=encode(result), info=self.info)
            return PublishGrant(position=append_durably(self.route, self.channel, message))


def _finished(result: Any) -> Any:
    """The result of a hook that takes part in a transaction, which an async one cannot."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("can_publish() and on_publish() of a durable channel must be plain functions")
    return result


def _client(client: EngineClient) -> Client:
    assert isinstance(client.state, Client)
    return client.state


def _overridden(channel: Channel, hook: str) -> bool:
    return getattr(type(channel), hook) is not getattr(Channel, hook)


def _payload(value: Any) -> Raw:
    return EMPTY if value is None else encode(value)


@contextlib.contextmanager
def _answers(where: str) -> Iterator[None]:
    """Turn what a hook raises into what its client is told. The payload is kept out of the log."""
    try:
        yield
    except HotclubError:
        raise
    except PermissionDenied:
        raise command_error(103) from None
    except ValidationError as error:
        raise CommandError(VALIDATION_ERROR, "; ".join(error.messages) or "invalid") from None
    except Exception:  # noqa: BLE001 - a hook is foreign code
        logger.exception("A hook of %s failed", where)
        raise command_error(100) from None


@contextlib.contextmanager
def _logged(where: str) -> Iterator[None]:
    """For hooks that nobody waits for: they cannot refuse anything."""
    try:
        yield
    except Exception:  # noqa: BLE001 - a hook is foreign code
        logger.exception("A hook of %s failed", where)
