"""The hooks of maps and shared polls, called for the engine."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from time import time
from typing import Any

from asgiref.sync import iscoroutinefunction

from hotclub.access import poll_keys
from hotclub.access.poll_keys import poll_secrets
from hotclub.channels.client import Client
from hotclub.channels.maps import MapChannel, MapEntry
from hotclub.channels.polls import Polled, PollResult, SharedPollChannel
from hotclub.channels.registry import Route
from hotclub.conf.config import Config
from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.observe import logger
from hotclub.engine.port import KeyChange, PollAnswer, PolledItem, PollItem
from hotclub.runtime.encoding import decode, encode
from hotclub.runtime.pool import HookPool

Call = Callable[..., Awaitable[Any]]


class KeyedHooks:
    """What one node asks of the project's maps and shared polls. `call` runs a hook that takes a client."""

    def __init__(self, config: Config, hooks: HookPool, call: Call) -> None:
        self._config = config
        self._hooks = hooks
        self._call = call

    async def change(self, client: Client, route: Route, change: KeyChange) -> MapMessage | None:
        """What becomes of a client's change of a map; None: nothing. Raises Refused `PERMISSION_DENIED`."""
        channel = route.channel
        assert isinstance(channel, MapChannel)
        permission = channel.can_remove_key if change.removed else channel.can_publish_key
        if not self._is_open(channel, permission.__name__) and not await self._call(
            permission, client, change.key, **route.kwargs
        ):
            raise Refused(Code.PERMISSION_DENIED)
        if change.removed and not _overridden(channel, "on_remove"):
            return MapMessage(key=change.key, removed=True)
        if change.removed:
            return _removal(await self._call(channel.on_remove, client, change.key, **route.kwargs))
        if not _overridden(channel, "on_publish"):
            return MapMessage(key=change.key, data=change.data)
        result = await self._call(channel.on_publish, client, decode(change.data), change.key, **route.kwargs)
        return _change(change.key, result)

    def _is_open(self, channel: MapChannel, permission: str) -> bool:
        return self._config.insecure and channel.holds == "values" and not _overridden(channel, permission)

    def allowed(self, client: Client, channel: str, keys: Sequence[str], signature: str) -> int:
        """For how many seconds a client may follow keys. Raises Refused `PERMISSION_DENIED` or `TOKEN_EXPIRED`."""
        try:
            return poll_keys.check(signature, poll_secrets(self._config), client.user_id, channel, keys, time())
        except poll_keys.ExpiredSignature:
            raise Refused(Code.TOKEN_EXPIRED) from None
        except poll_keys.BadSignature:
            raise Refused(Code.PERMISSION_DENIED) from None

    async def poll(self, route: Route, items: Sequence[PollItem]) -> PollAnswer:
        """The values of keys, from the channel's `poll`."""
        channel = route.channel
        assert isinstance(channel, SharedPollChannel)
        keys: Mapping[str, int] = {item.key: item.version for item in items}
        if iscoroutinefunction(channel.poll):
            result = await channel.poll(keys, **route.kwargs)
        else:
            result = await self._hooks.run(channel.poll, keys, **route.kwargs)
            result = await result if inspect.isawaitable(result) else result
        if not isinstance(result, PollResult):
            result = PollResult(result)
        return PollAnswer(items=tuple(_items(channel, result.items)), epoch=result.epoch)


def _items(channel: SharedPollChannel, items: Iterable[Polled]) -> Iterator[PolledItem]:
    """One that cannot be told from an older one is worth a word, but not the others in its company."""
    for item in items:
        if channel.versioned and not item.removed and item.version < 1:
            name = type(channel).__name__
            logger.error("%s.poll() returned a value without a version: set versioned = False, or give one", name)
        else:
            data = encode(None if item.removed else item.data)
            yield PolledItem(key=item.key, data=data, version=item.version, removed=item.removed)


def _change(key: str, result: Any) -> MapMessage | None:
    if result is None:
        return None
    if isinstance(result, MapEntry):
        return MapMessage(key=result.key, data=encode(result.data), tags=dict(result.tags), score=result.score)
    return MapMessage(key=key, data=encode(result))


def _removal(result: Any) -> MapMessage | None:
    return None if result is None else MapMessage(key=str(result), removed=True)


def _overridden(channel: MapChannel, hook: str) -> bool:
    return getattr(type(channel), hook) is not getattr(MapChannel, hook)
