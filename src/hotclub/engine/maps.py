"""Maps by name: the operations of a node on a map channel, for clients, for the server and for presence in maps."""

from collections.abc import Callable
from typing import Final

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.broker.maps import MapBroker, MapMessage, MapOutcome, MapPage, MapQuery, MapStats
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.hub import Hub
from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo
from hotclub.engine.port import ChannelSpec, ResolvedChannel

_SEPARATOR: Final = "\x00"
"""Separates the keys of a signed list, so no key may hold it."""


def check_key(key: str, limits: Limits) -> None:
    """Check a key of a map or a shared poll.

    Raises:
        Refused: `BAD_REQUEST`, the key is empty, longer than `limits.key_bytes`, or holds a NUL.
    """
    if not key or _SEPARATOR in key or len(key.encode(errors="replace")) > limits.key_bytes:
        raise Refused(Code.BAD_REQUEST, f"a key is 1 to {limits.key_bytes} bytes of text")


class Maps:
    """The maps of a node. All methods belong to the node's event loop.

    `resolve` is `Channels.resolve`. A method's `channel` is a name, or a channel that `resolve` returned.
    """

    def __init__(self, broker: MapBroker, hub: Hub, limits: Limits, resolve: Callable[[str], ResolvedChannel]) -> None:
        self.broker = broker
        self._hub = hub
        self._limits = limits
        self._resolve = resolve

    def _map(self, channel: str | ResolvedChannel) -> ResolvedChannel:
        found = self._resolve(channel) if isinstance(channel, str) else channel
        if found.spec.map is None:
            raise Refused(Code.NOT_AVAILABLE, "this channel is no map")
        return found

    async def change(self, channel: str | ResolvedChannel, message: MapMessage) -> MapOutcome:
        """Set or remove a key, and fan the change out; see `MapBroker.change`.

        A cancelled change may or may not have been made.

        Raises:
            Refused: `UNKNOWN_CHANNEL` or `BAD_REQUEST` as `Channels.resolve` does; `NOT_AVAILABLE` for a channel
                that is no map; `LIMIT_EXCEEDED` for a new key in a full map; `BAD_REQUEST` for a malformed key, and
                for compare and set in an ephemeral map.
            IdempotencyConflict: the idempotency key was used for another change.
        """
        check_key(message.key, self._limits)
        return await self._change(self._map(channel), message)

    async def _record(self, channel: str, message: MapMessage) -> None:
        await self._change(self._map(channel), message)

    async def _change(self, found: ResolvedChannel, message: MapMessage) -> MapOutcome:
        if message.expected is not None and found.spec.retention.size <= 0:
            raise Refused(Code.BAD_REQUEST, "an ephemeral map has no positions to compare")
        return await self.broker.change(found.name, message, found.spec.map_retention)

    async def read(self, channel: str | ResolvedChannel, query: MapQuery) -> MapPage:
        """Read a page of the entries, in the channel's order; see `MapBroker.read`.

        Raises:
            Refused: `UNKNOWN_CHANNEL`, `BAD_REQUEST` or `NOT_AVAILABLE`, as `change`; `BAD_REQUEST` for a malformed
                cursor.
        """
        found = self._map(channel)
        assert found.spec.map is not None
        ordered = MapQuery(
            cursor=query.cursor,
            limit=query.limit,
            size=query.size,
            key=query.key,
            asc=query.asc,
            ordered=found.spec.map.ordered,
        )
        return await self.broker.read(found.name, ordered, found.spec.map_retention)

    async def stats(self, channel: str | ResolvedChannel) -> MapStats:
        """How many keys the map has. Raises as `change`."""
        return await self.broker.stats(self._map(channel).name)

    async def clear(self, channel: str | ResolvedChannel) -> None:
        """Remove every entry and the log. Subscribers here are told at once to load it anew. Raises as `change`."""
        found = self._map(channel)
        await self.broker.clear(found.name)
        if found.spec.positioned:
            page = await self.broker.history(found.name, HistoryQuery(), found.spec.retention)
            self._hub.check_top(found.name, page.top)

    async def appear(self, spec: ChannelSpec, info: ClientInfo) -> None:
        """Put a subscriber into the maps that its channel names, or renew its entries. Only new entries are fanned out.

        The keys are ids, which may be of any text and longer than `limits.key_bytes`.

        Raises:
            Refused: as `change`.
        """
        if spec.clients_map:
            await self._record(spec.clients_map, MapMessage(key=info.client, info=info, mode="if_new", renew=True))
        if spec.users_map and info.user:
            await self._record(spec.users_map, MapMessage(key=info.user, mode="if_new", renew=True))

    async def disappear(self, spec: ChannelSpec, info: ClientInfo, *, user: bool) -> None:
        """Undo `appear`. The user's entry is only removed if `user`.

        Raises:
            Refused: as `change`.
        """
        if spec.clients_map:
            await self._record(spec.clients_map, MapMessage(key=info.client, removed=True))
        if user and spec.users_map and info.user:
            await self._record(spec.users_map, MapMessage(key=info.user, removed=True))
