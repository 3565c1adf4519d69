"""Decides on the changes of maps and on the followed keys of shared polls, and asks `poll` for their values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import time
from typing import Any

from hotclub.access import poll_keys
from hotclub.access.poll_keys import poll_secrets
from hotclub.channels.client import Client, CommandData
from hotclub.channels.maps import MapChannel, MapEntry
from hotclub.channels.polls import Polled, PollResult, SharedPollChannel
from hotclub.channels.registry import Route
from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.observe import logger
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import KeyChange, PollAnswer, PolledItem, PollItem, ResolvedChannel
from hotclub.hooks.calling import Project, Steps, answering, ask, bucket, client_of, overridden, route_of
from hotclub.runtime.encoding import encode


class KeyedHooks:
    """Implements the engine's `Follows` for the project."""

    def __init__(self, project: Project) -> None:
        self._config = project.config
        self._hooks = project.hooks
        self._traffic = project.traffic

    async def change_key(self, client: EngineClient, channel: ResolvedChannel, change: KeyChange) -> MapMessage | None:
        """See `Follows.change_key`.

        Raises:
            Refused: `PERMISSION_DENIED`, the hook says no; `TOO_MANY_REQUESTS`; or as `HookRunner.run`.
        """
        route, mine = route_of(channel), client_of(client)
        self._traffic.publish(bucket(mine), route.pattern, route.channel.rate)
        with answering(route.pattern):
            return await self._hooks.run(mine, self._decide(mine, route, change), change.data)

    def _decide(self, client: Client, route: Route, change: KeyChange) -> Steps[MapMessage | None]:
        hooks = route.channel
        assert isinstance(hooks, MapChannel)
        permission = hooks.can_remove_key if change.removed else hooks.can_publish_key
        if not self._is_open(hooks, permission.__name__) and not (
            yield ask(permission, client, change.key, **route.kwargs)
        ):
            raise Refused(Code.PERMISSION_DENIED)
        if change.removed and not overridden(hooks, "on_remove", MapChannel):
            return MapMessage(key=change.key, removed=True)
        if change.removed:
            return _removal((yield ask(hooks.on_remove, client, change.key, **route.kwargs)))
        if not overridden(hooks, "on_publish", MapChannel):
            return MapMessage(key=change.key, data=change.data)
        data = CommandData(change.data).value
        if overridden(hooks, "prepare_publish"):
            data = yield ask(hooks.prepare_publish, client, data, **route.kwargs)
        return _change(hooks, change.key, (yield ask(hooks.on_publish, client, data, change.key, **route.kwargs)))

    def _is_open(self, channel: MapChannel, permission: str) -> bool:
        return self._config.insecure and channel.holds == "values" and not overridden(channel, permission, MapChannel)

    async def track(self, client: EngineClient, channel: ResolvedChannel, batch: Sequence[str], signature: str) -> int:
        """See `Follows.track`."""
        secrets, user = poll_secrets(self._config), client_of(client).user_id
        try:
            return poll_keys.check(signature, secrets, user, channel.name, batch, time())
        except poll_keys.ExpiredSignature:
            raise Refused(Code.TOKEN_EXPIRED) from None
        except poll_keys.BadSignature:
            raise Refused(Code.PERMISSION_DENIED) from None

    async def poll(self, channel: ResolvedChannel, items: Sequence[PollItem]) -> PollAnswer:
        """See `Follows.poll`. Raises what the project's `poll` raises, or `Busy` when no thread takes the call."""
        route = route_of(channel)
        hooks = route.channel
        assert isinstance(hooks, SharedPollChannel)
        keys: Mapping[str, int] = {item.key: item.version for item in items}
        result = await self._hooks.ask(hooks.poll, keys, **route.kwargs)
        if not isinstance(result, PollResult):
            result = PollResult(result)
        return PollAnswer(items=tuple(_items(hooks, result.items)), epoch=result.epoch)


def _items(channel: SharedPollChannel, items: Iterable[Polled]) -> Iterator[PolledItem]:
    """The items of an answer. An item without a version is logged and left out, and the other items are kept."""
    for item in items:
        if channel.versioned and not item.removed and item.version < 1:
            name = type(channel).__name__
            logger.error("%s.poll() returned a value without a version: set versioned = False, or give one", name)
        else:
            data = encode(None if item.removed else item.data)
            yield PolledItem(key=item.key, data=data, version=item.version, removed=item.removed)


def _change(hooks: MapChannel, key: str, result: Any) -> MapMessage | None:
    if result is None:
        return None
    entry = result if isinstance(result, MapEntry) else MapEntry(key, result)
    with answering(hooks.on_publish):
        data = encode(entry.data)
    return MapMessage(key=entry.key, data=data, tags=dict(entry.tags), score=entry.score)


def _removal(result: Any) -> MapMessage | None:
    return None if result is None else MapMessage(key=str(result), removed=True)
