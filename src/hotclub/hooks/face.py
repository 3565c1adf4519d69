"""The engine's `Application`, implemented for Django: resolves channels, runs hooks, converts errors and data."""

# ruff: noqa: ARG002 - the port gives every application the same arguments

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils.module_loading import import_string
from msgspec import Raw

from hotclub.access.admission import Admission, Admitted
from hotclub.access.rates import Traffic, network_of
from hotclub.access.tokens import channel_of as signed_channel
from hotclub.channels.base import Channel
from hotclub.channels.client import Client
from hotclub.channels.registry import Registry, Route
from hotclub.channels.welcome import Welcome
from hotclub.conf.config import Config
from hotclub.durable.client_publish import DurablePublish, raise_nothing
from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, HotclubError, Refused
from hotclub.engine.model import EMPTY, ClientInfo, Position
from hotclub.engine.observe import logger
from hotclub.engine.port import (
    ChannelSpec,
    ConnectGrant,
    ConnectRequest,
    KeyChange,
    PollAnswer,
    PollItem,
    Predicate,
    PublishGrant,
    RefreshGrant,
    SubscribeGrant,
    SubscribeRequest,
)
from hotclub.engine.port import Client as EngineClient
from hotclub.hooks.keyed import KeyedHooks
from hotclub.hooks.state import METHOD as STATE_METHOD
from hotclub.hooks.state import answer, channel_of, position_of
from hotclub.revocation.watch import SessionWatch
from hotclub.runtime.encoding import decode, encode
from hotclub.runtime.pool import HookPool

VALIDATION_ERROR = 400
"""The code of a hook's `ValidationError`, in the range that belongs to applications."""


class Face:
    """What one node asks of the project."""

    def __init__(
        self,
        registry: Registry,
        config: Config,
        *,
        hooks: HookPool,
        inner: HookPool,
        watch: SessionWatch,
        traffic: Traffic | None = None,
        keeps: bool = True,
    ) -> None:
        """`hooks` is the pool for the project's own code, `inner` the one for signing in. Unless it `keeps` them, the
        logs of durable channels are somebody else's."""
        self._keeps = keeps
        self._registry = registry
        self._config = config
        self._hooks = hooks
        self._inner = inner
        self._watch = watch
        self._keyed = KeyedHooks(config, hooks, self._call)
        self._admission = Admission(config, inner)
        self._traffic = traffic or Traffic(config.rates)
        self._on_connect = import_string(config.on_connect) if config.on_connect else None
        self._on_disconnect = import_string(config.on_disconnect) if config.on_disconnect else None

    def channel(self, name: str) -> ChannelSpec | None:
        route = self._registry.resolve(name)
        return None if route is None else route.spec

    async def connect(self, client: EngineClient, request: ConnectRequest) -> ConnectGrant:
        with _answers("the connect hook"):
            entry = await self._admission.enter(client, request.token)
            mine = entry.client
            mine.data = _decoded(request.data) if request.data else None
            mine.claimed_headers = {name.lower(): value for name, value in request.headers.items()}
            if not self._is_welcome(mine):
                raise Disconnect(Close.BAD_REQUEST)
            self._traffic.connect(mine.user_id, mine.address)
            try:
                grant = await self._granted(entry)
            except BaseException:
                self._traffic.disconnect(mine.user_id, mine.address)
                raise
        if not mine.is_anonymous:
            self._watch.add(mine)
        return grant

    def _is_welcome(self, mine: Client) -> bool:
        """Whether somebody who is not signed in may connect: with a token, or by the settings."""
        open_to_all = self._config.allow_anonymous or self._config.insecure
        return open_to_all or not mine.is_anonymous or mine.token_channels is not None

    async def _granted(self, entry: Admitted) -> ConnectGrant:
        mine = entry.client
        before = mine.info
        welcome = await self._call(self._on_connect, mine) if self._on_connect is not None else None
        if not isinstance(welcome, Welcome):
            welcome = Welcome(data=welcome)
        channels = dict(entry.channels)
        if self._config.personal_channel and not mine.is_anonymous:
            personal = f"#{mine.user_id}"
            if self._registry.resolve(personal) is not None:
                channels.setdefault(personal, SubscribeGrant())
        for name, data in welcome.subscriptions().items():
            channels[name] = SubscribeGrant(data=_payload(data))
        mine.granted.update(channels)
        mine.channel_infos.update({name: grant.info for name, grant in channels.items() if grant.info})
        return ConnectGrant(
            user_id=mine.user_id,
            session_id=mine.login_id,
            info=entry.info if mine.info is before else _payload(mine.info),
            data=_payload(welcome.data),
            channels=channels,
            ttl=entry.ttl,
            state=mine,
        )

    async def subscribe(self, client: EngineClient, channel: str, request: SubscribeRequest) -> SubscribeGrant:
        route = self._registry.route(channel)
        mine = _client(client)
        self._traffic.subscribe(_bucket(mine))
        with _answers(route.pattern):
            signed = await self._signed(mine, channel, route, request.token)
            await self._authorize(mine, route, request.data)
            info = await self._optional("channel_info", route, mine)
            data = await self._welcomed(mine, route, request.data)
            grant = SubscribeGrant(
                admits=await self._optional("tags_filter", route, mine),
                info=signed.info if info is None else encode(info),
                data=signed.data if data is None else encode(data),
                ttl=signed.ttl,
                overrides=signed.overrides,
            )
            if grant.info:
                mine.channel_infos[channel] = grant.info
            mine.granted.add(channel)
            return grant

    async def _signed(self, mine: Client, channel: str, route: Route, token: str) -> SubscribeGrant:
        """What the subscription's token grants; one that was sent has to be good, whether or not it is needed."""
        if token:
            return await self._admission.subscribe(mine, channel, token)
        if route.channel.token and not self._config.insecure:
            raise Refused(Code.PERMISSION_DENIED)
        return SubscribeGrant()

    async def publish(self, client: EngineClient, channel: str, data: Raw) -> PublishGrant:
        route = self._registry.route(channel)
        mine = _client(client)
        self._traffic.publish(_bucket(mine), route.pattern, route.channel.rate)
        with _answers(route.pattern):
            if route.spec.durable:
                info = ClientInfo(
                    user=client.user_id,
                    client=client.id,
                    conn_info=client.info,
                    chan_info=mine.channel_infos.get(channel, EMPTY),
                )
                is_open = _is_open(self._config, route.channel, "can_publish")
                call = DurablePublish(
                    route, channel, mine, info, self._config.database, is_open=is_open, keeps=self._keeps
                )
                return await self._hooks.run(call, _decoded(data))
            if not _is_open(self._config, route.channel, "can_publish") and not await self._call(
                route.channel.can_publish, mine, **route.kwargs
            ):
                raise Refused(Code.PERMISSION_DENIED)
            if not _overridden(route.channel, "on_publish"):
                return PublishGrant(data=data)
            result = await self._call(route.channel.on_publish, mine, _decoded(data), **route.kwargs)
            if not self._keeps and (result is None or isinstance(result, Position)):
                raise_nothing()
            if isinstance(result, Position):
                return PublishGrant(position=result)
            return PublishGrant(data=_payload(result))

    async def change_key(self, client: EngineClient, channel: str, change: KeyChange) -> MapMessage | None:
        route = self._registry.route(channel)
        mine = _client(client)
        self._traffic.publish(_bucket(mine), route.pattern, route.channel.rate)
        with _answers(route.pattern):
            return await self._keyed.change(mine, route, change)

    async def track(self, client: EngineClient, channel: str, batch: Sequence[str], signature: str) -> int:
        return self._keyed.allowed(_client(client), channel, batch, signature)

    async def poll(self, channel: str, items: Sequence[PollItem]) -> PollAnswer:
        return await self._keyed.poll(self._registry.route(channel), items)

    async def refresh(self, client: EngineClient, token: str) -> RefreshGrant:
        return await self._admission.refresh(_client(client), token)

    async def refresh_subscription(self, client: EngineClient, channel: str, token: str) -> RefreshGrant:
        return await self._admission.refresh_subscription(_client(client), channel, token)

    def token_channel(self, token: str) -> str:
        return signed_channel(token) if token else ""

    async def authorize_presence(self, client: EngineClient, channel: str) -> None:
        await self._reauthorize(client, channel)

    async def authorize_history(self, client: EngineClient, channel: str) -> None:
        await self._reauthorize(client, channel)

    async def admits(self, client: EngineClient, channel: str) -> Predicate | None:
        route = self._registry.route(channel)
        with _answers(route.pattern):
            admits: Predicate | None = await self._optional("tags_filter", route, _client(client))
            return admits

    async def rpc(self, client: EngineClient, method: str, data: Raw) -> Raw:
        if method == STATE_METHOD:
            return await self._state(_client(client), channel_of(_decoded(data)))
        if not self._registry.procedures:
            raise Refused(Code.NOT_AVAILABLE)
        procedure = self._registry.procedures.get(method)
        if procedure is None:
            raise Refused(Code.METHOD_NOT_FOUND)
        with _answers(f"rpc {procedure.name}"):
            arguments = procedure.convert(decode(data))
            return encode(await self._call(procedure.function, _client(client), **arguments))

    async def _state(self, client: Client, channel: str) -> Raw:
        route = self._registry.route(channel)
        with _answers(route.pattern):
            await self._authorize(client, route)
            if not _overridden(route.channel, "get_state"):
                raise Refused(Code.NOT_AVAILABLE)
            if route.spec.positioned and not self._keeps:
                raise Refused(
                    Code.NOT_AVAILABLE, "where the channel stands is known to the server that keeps its log alone"
                )
            position = await position_of(route, channel)
            return encode(answer(await self._call(route.channel.get_state, client, **route.kwargs), position))

    async def send(self, client: EngineClient, data: Raw) -> None:
        raise Disconnect(Close.NOT_AVAILABLE)

    async def unsubscribed(self, client: EngineClient, channel: str) -> None:
        if isinstance(client.state, Client):
            client.state.channel_infos.pop(channel, None)
            client.state.granted.discard(channel)
        await self._notify("on_unsubscribe", channel, client)

    async def disconnected(self, client: EngineClient, code: int, reason: str) -> None:
        mine = client.state
        if not isinstance(mine, Client):
            return
        self._watch.remove(mine)
        self._traffic.disconnect(mine.user_id, mine.address)
        if self._on_disconnect is not None:
            with _logged("the disconnect hook"):
                await self._call(self._on_disconnect, mine)

    async def presence_changed(self, channel: str, client: EngineClient, joined: bool) -> None:
        await self._notify("on_presence_change", channel, client, joined)

    async def _authorize(self, client: Client, route: Route, data: Raw = EMPTY) -> None:
        """`data` is what came with the subscribe command."""
        hook = route.channel.can_subscribe
        if _is_open(self._config, route.channel, "can_subscribe"):
            return
        if not await self._call(hook, client, **_values(hook, route, data)):
            raise Refused(Code.PERMISSION_DENIED)

    async def _welcomed(self, client: Client, route: Route, data: Raw) -> Any:
        if not _overridden(route.channel, "on_subscribe"):
            return None
        hook = route.channel.on_subscribe
        return await self._call(hook, client, **_values(hook, route, data))

    async def _reauthorize(self, client: EngineClient, channel: str) -> None:
        route = self._registry.route(channel)
        if route.channel.token and not self._config.insecure and channel not in _client(client).granted:
            raise Refused(Code.PERMISSION_DENIED)
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


def _decoded(data: Raw) -> Any:
    """What a hook gets to see. Over the protobuf form a client can send bytes that are no JSON, which none can take."""
    try:
        return decode(data)
    except (msgspec.MsgspecError, ValueError):
        raise Refused(Code.BAD_REQUEST, "data is not JSON") from None


def _values(hook: Callable[..., Any], route: Route, data: Raw) -> Mapping[str, Any]:
    """The captured values, and what came with the subscribe command for a hook that has a parameter `data`."""
    if "data" in route.kwargs or not _names_data(getattr(hook, "__func__", hook)):
        return route.kwargs
    return {**route.kwargs, "data": _decoded(data) if data else None}


@cache
def _names_data(hook: Callable[..., Any]) -> bool:
    return "data" in inspect.signature(hook).parameters


def _client(client: EngineClient) -> Client:
    assert isinstance(client.state, Client)
    return client.state


def _overridden(channel: Channel, hook: str) -> bool:
    return getattr(type(channel), hook) is not getattr(Channel, hook)


def _is_open(config: Config, channel: Channel, hook: str) -> bool:
    """Whether a permission needs no asking: nobody has written the hook, and a token or the settings stand for it."""
    signed = channel.token and hook == "can_subscribe"
    return (config.insecure or signed) and not _overridden(channel, hook)


def _bucket(client: Client) -> str:
    """Whose bucket a command is taken from."""
    return client.user_id or f"address {network_of(client.address)}"


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
        raise Refused(Code.PERMISSION_DENIED) from None
    except ValidationError as error:
        raise Refused(VALIDATION_ERROR, "; ".join(error.messages) or "invalid") from None
    except Exception:  # noqa: BLE001 - a hook is foreign code
        logger.exception("A hook of %s failed", where)
        raise Refused(Code.INTERNAL_ERROR) from None


@contextlib.contextmanager
def _logged(where: str) -> Iterator[None]:
    """For hooks that nobody waits for: they cannot refuse anything."""
    try:
        yield
    except Exception:  # noqa: BLE001 - a hook is foreign code
        logger.exception("A hook of %s failed", where)
