"""Finds the class for a channel's name, and the procedure for a method's name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType, ModuleType
from typing import Any, Final, Self

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.urls import URLPattern, path
from django.urls.resolvers import RoutePattern
from msgspec import structs

from hotclub.channels.base import Channel, History
from hotclub.channels.client import Client
from hotclub.channels.maps import MapChannel
from hotclub.channels.polls import SharedPollChannel
from hotclub.channels.rpc import RPC_ATTRIBUTE, Procedure
from hotclub.channels.unknown import explain
from hotclub.conf.config import NOT_INSTALLED, Config
from hotclub.engine.broker.base import Retention
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.names import is_name, normal, personal_name
from hotclub.engine.observe import logger
from hotclub.engine.port import ChannelSpec, MapSpec, PollSpec, ResolvedChannel
from hotclub.engine.protocol.messages import MAP_CLIENTS_TYPE, MAP_TYPE, MAP_USERS_TYPE

PERSONAL: Final = "#<path:user_id>"
"""The pattern of the users' personal channels, which Hotclub tries after all other patterns."""
_CACHED_NAMES: Final = 2_048
_MAP_TYPES: Final = {"values": MAP_TYPE, "clients": MAP_CLIENTS_TYPE, "users": MAP_USERS_TYPE}


class Route(ResolvedChannel, frozen=True, kw_only=True, eq=False):
    """A resolved channel: the options for the engine, the instance of its class, and the captured values."""

    channel: Channel
    kwargs: Mapping[str, Any]
    pattern: str


@dataclass(frozen=True, slots=True)
class Declarations:
    """The channel classes and procedures that the installed apps declare, in the order of `INSTALLED_APPS`."""

    channels: tuple[type[Channel], ...] = ()
    procedures: tuple[Procedure, ...] = ()

    @classmethod
    def collect(cls, modules: Iterable[ModuleType]) -> Self:
        """Gather the channel classes and procedures among the modules' names. One in several modules counts once."""
        channels: dict[type[Channel], None] = {}
        procedures: dict[Any, Procedure] = {}
        for module in modules:
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, Channel) and not _is_base(value):
                    channels[value] = None
                elif callable(value) and isinstance(getattr(value, RPC_ATTRIBUTE, None), str):
                    procedures.setdefault(value, Procedure(getattr(value, RPC_ATTRIBUTE), value))
        return cls(tuple(channels), tuple(procedures.values()))


class UnknownChannel(Refused):
    """No pattern matches the name. A client gets the error code only. The text of the exception gives the reason and
    the nearest patterns to the calling code."""

    def __init__(self, name: str, patterns: Sequence[RoutePattern]) -> None:
        super().__init__(Code.UNKNOWN_CHANNEL)
        self.name = name
        self._patterns = patterns

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.explanation}"

    @property
    def explanation(self) -> str:
        """The reason, in one printable line. It is made at each use, because clients may send many unknown names."""
        return explain(self.name, self._patterns)


class Registry:
    """The routes of one configuration. A class with a bad pattern has no route; the system checks report it."""

    def __init__(self, declarations: Declarations, config: Config) -> None:
        self.declarations = declarations
        self.procedures: Mapping[str, Procedure] = {item.name: item for item in reversed(declarations.procedures)}
        self._compiled = [compiled for cls in declarations.channels if (compiled := _compile(cls(), config))]
        if config.personal_channel:
            self._compiled.append(
                _Compiled(_personal_channel(config), compile_pattern(_PersonalChannel.pattern), config)
            )
        # Clients choose the names, so the cache is bounded. It also holds names that no pattern matches.
        self.resolve = lru_cache(maxsize=_CACHED_NAMES)(self._resolve)

    def route(self, name: str) -> Route:
        """Return the route of a channel that the site's own code names. Its `name` is in normal form C.

        Raises:
            UnknownChannel: no pattern matches the name.
        """
        name = normal(name)
        route = self.resolve(name)
        if route is None:
            raise UnknownChannel(name, [compiled.pattern for compiled in self._compiled])
        return route

    def _resolve(self, name: str) -> Route | None:
        found = self._match(name)
        if found is None:
            return None
        compiled, kwargs = found
        return Route(
            name=name,
            spec=self._with_presence_maps(name, compiled, kwargs),
            channel=compiled.channel,
            kwargs=MappingProxyType(kwargs),
            pattern=compiled.channel.pattern,
        )

    def _match(self, name: str) -> "tuple[_Compiled, dict[str, Any]] | None":
        if not is_name(name):
            return None
        for compiled in self._compiled:
            kwargs = compiled.match(name)
            if kwargs is not None:
                return compiled, kwargs
        return None

    def _with_presence_maps(self, name: str, compiled: "_Compiled", kwargs: Mapping[str, Any]) -> ChannelSpec:
        channel = compiled.channel
        if not channel.presence_clients and not channel.presence_users:
            return compiled.spec
        return structs.replace(
            compiled.spec,
            clients_map=self._presence_map(channel.presence_clients, MAP_CLIENTS_TYPE, name, kwargs),
            users_map=self._presence_map(channel.presence_users, MAP_USERS_TYPE, name, kwargs),
        )

    def _presence_map(self, template: str, kind: int, name: str, kwargs: Mapping[str, Any]) -> str:
        """The name of a presence map. Logs an error and returns "" for a missing map, so that the subscribe
        succeeds."""
        if not template:
            return ""
        found = normal(template.format(**{**kwargs, "channel": name}))
        # `_resolve` would ask for the presence maps of the map, and never end for a map that names itself.
        match = self._match(found)
        if match is None or match[0].spec.type != kind:
            logger.error("The channel %r has no map for its presence: %r is none of that kind", name, found)
            return ""
        return found


def get_registry() -> Registry:
    """Return the registry of the installed apps.

    Raises:
        ImproperlyConfigured: `"hotclub"` is missing from `INSTALLED_APPS`, or the settings hold a mistake.
    """
    try:
        registry: Registry = apps.get_app_config("hotclub").registry  # type: ignore[attr-defined]
    except LookupError:
        raise ImproperlyConfigured(NOT_INSTALLED) from None
    return registry


def compile_pattern(pattern: str) -> RoutePattern:
    """Compile a pattern with Django's path converters.

    Raises:
        ImproperlyConfigured: the pattern is malformed.
    """
    route = path(normal(pattern), _no_view)
    assert isinstance(route, URLPattern)
    assert isinstance(route.pattern, RoutePattern)
    return route.pattern


def captured(pattern: RoutePattern, name: str) -> dict[str, Any] | None:
    """Return the values that a pattern captures from a name in normal form C, None when it does not match.

    A second spelling of a name, such as `chat:007` for `chat:7`, does not match: hooks authorise the captured values,
    so equal values must belong to one channel.
    """
    matched = pattern.match(name)
    texts = pattern.regex.search(name)
    if matched is None or texts is None:
        return None
    kwargs: dict[str, Any] = matched[2]
    for key, text in texts.groupdict().items():
        if pattern.converters[key].to_url(kwargs[key]) != text:
            return None
    return kwargs


def channel_spec(channel: type[Channel] | Channel) -> ChannelSpec:
    """Return the engine's options for a channel class."""
    cls = channel if isinstance(channel, type) else type(channel)
    history = channel.history
    spec = ChannelSpec(
        presence=channel.presence,
        join_leave=channel.presence,
        push_join_leave=channel.presence,
        delta=channel.delta,
        filters=channel.filters,
        compaction=channel.compaction,
    )
    if history is not None:
        spec = structs.replace(
            spec,
            retention=Retention(size=history.size, ttl=history.ttl.total_seconds()),
            durable=history.durable,
            recoverable=bool(channel.recovery),
            cache=channel.recovery == "cache",
            position=channel.position,
        )
    if issubclass(cls, MapChannel):
        return _map_spec(cls, spec)
    return _poll_spec(cls, spec) if issubclass(cls, SharedPollChannel) else spec


def _map_spec(channel: type[MapChannel], spec: ChannelSpec) -> ChannelSpec:
    key_ttl, debounce = channel.key_ttl, channel.debounce
    return structs.replace(
        spec,
        map=MapSpec(
            type=_MAP_TYPES[channel.holds],
            key_ttl=0.0 if key_ttl is None else key_ttl.total_seconds(),
            # The connections bound the members, and no client could be told that its entry finds no room.
            keys=channel.max_keys if channel.holds == "values" else 0,
            ordered=channel.ordered,
        ),
        durable=False,
        recoverable=spec.retention.size > 0,
        cache=False,
        # Members have no data of which there could be differences.
        delta=spec.delta and channel.holds == "values",
        debounce=0 if debounce is None else round(debounce.total_seconds() * 1000),
    )


def _poll_spec(channel: type[SharedPollChannel], spec: ChannelSpec) -> ChannelSpec:
    poll = PollSpec(
        interval=channel.interval.total_seconds(),
        batch=channel.batch_size,
        keys=channel.max_keys,
        timeout=channel.timeout.total_seconds(),
        versioned=channel.versioned,
    )
    return structs.replace(spec, poll=poll, retention=Retention(), durable=False, recoverable=False, filters=False)


class _Compiled:
    def __init__(self, channel: Channel, pattern: RoutePattern, config: Config) -> None:
        self.channel = channel
        self.spec = channel_spec(channel)
        if config.insecure and type(channel).can_subscribe is Channel.can_subscribe:
            # The insecure mode lets every client subscribe, so publishing does not require it.
            self.spec = structs.replace(self.spec, members_only=False)
        self.pattern = pattern

    def match(self, name: str) -> dict[str, Any] | None:
        return captured(self.pattern, name)


class _PersonalChannel(Channel):
    """The channel of a user, see `personal_name`. The server subscribes every signed-in connection to its user's."""

    pattern = PERSONAL

    async def can_subscribe(self, client: Client, *, user_id: str) -> bool:
        return client.user_id != "" and personal_name(client.user_id) == f"#{user_id}"


def _personal_channel(config: Config) -> Channel:
    size, seconds = config.personal_history
    channel = _PersonalChannel()
    channel.history = History(size, timedelta(seconds=seconds))  # type: ignore[misc]
    return channel


def _is_base(cls: type[Channel]) -> bool:
    return cls is Channel or cls.abstract


def _compile(channel: Channel, config: Config) -> _Compiled | None:
    try:
        return _Compiled(channel, compile_pattern(channel.pattern), config)
    except (AttributeError, TypeError, ImproperlyConfigured):
        return None


def _no_view() -> HttpResponse:
    raise NotImplementedError("path() wants a view; channel names are only matched")
