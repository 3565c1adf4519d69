"""Maps by name: what a node can do with a map channel, for clients, for the server, and for presence kept in maps."""

from collections.abc import Callable
from typing import Final

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.broker.maps import MapBroker, MapMessage, MapOutcome, MapPage, MapQuery, MapStats
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.hub import Hub
from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo
from hotclub.engine.port import ChannelSpec

_SPELLED_OUT: Final = "\x00"
"""The character that no key may hold, because it separates the keys where a list of them is signed."""


def check_key(key: str, limits: Limits) -> None:
    """Raises Refused `BAD_REQUEST` for text that cannot be a key."""
    if not key or _SPELLED_OUT in key or len(key.encode(errors="replace")) > limits.key_bytes:
        raise Refused(Code.BAD_REQUEST, f"a key is 1 to {limits.key_bytes} bytes of text")


class Maps:
    """The maps of a node."""

    def __init__(self, broker: MapBroker, hub: Hub, limits: Limits, spec_of: Callable[[str], ChannelSpec]) -> None:
        """`spec_of` resolves a channel's name as `Channels.spec` does."""
        self.broker = broker
        self._hub = hub
        self._limits = limits
        self._spec_of = spec_of

    def spec(self, channel: str) -> ChannelSpec:
        """The options of a map.

        Raises:
            Refused: `UNKNOWN_CHANNEL` or `BAD_REQUEST`, see `Channels.spec`; `NOT_AVAILABLE` for a channel that is no
                map.
        """
        spec = self._spec_of(channel)
        if spec.map is None:
            raise Refused(Code.NOT_AVAILABLE, "this channel is no map")
        return spec

    async def change(self, channel: str, message: MapMessage) -> MapOutcome:
        """Set or remove a key, and fan that out. See `MapBroker.change`.

        Raises:
            Refused: as `spec`; `LIMIT_EXCEEDED` for a new key in a full map; `BAD_REQUEST` for text that cannot be a
                key, and for compare and set in an ephemeral map.
            IdempotencyConflict: the idempotency key was used for another change.
        """
        spec = self.spec(channel)
        check_key(message.key, self._limits)
        if message.expected is not None and spec.retention.size <= 0:
            raise Refused(Code.BAD_REQUEST, "an ephemeral map has no positions to compare")
        return await self.broker.change(channel, message, spec.map_retention)

    async def read(self, channel: str, query: MapQuery) -> MapPage:
        """Read a page of the entries, in the order that the channel's options give. See `MapBroker.read`.

        Raises:
            Refused: as `spec`; `BAD_REQUEST` for a malformed cursor.
        """
        spec = self.spec(channel)
        assert spec.map is not None
        ordered = MapQuery(
            cursor=query.cursor,
            limit=query.limit,
            size=query.size,
            key=query.key,
            asc=query.asc,
            ordered=spec.map.ordered,
        )
        return await self.broker.read(channel, ordered, spec.map_retention)

    async def stats(self, channel: str) -> MapStats:
        """How many keys the map has. Raises as `spec`."""
        self.spec(channel)
        return await self.broker.stats(channel)

    async def clear(self, channel: str) -> None:
        """Remove everything, and tell the subscribers of this node at once. Raises as `spec`."""
        spec = self.spec(channel)
        await self.broker.clear(channel)
        if spec.positioned:
            page = await self.broker.history(channel, HistoryQuery(), spec.retention)
            self._hub.check_top(channel, page.top)

    async def appear(self, spec: ChannelSpec, info: ClientInfo) -> None:
        """Put a subscriber into the maps that its channel names, or renew it there. Only a new entry is fanned out."""
        if spec.clients_map:
            await self.change(spec.clients_map, MapMessage(key=info.client, info=info, mode="if_new", renew=True))
        if spec.users_map and info.user:
            await self.change(spec.users_map, MapMessage(key=info.user, mode="if_new", renew=True))

    async def disappear(self, channel: str, spec: ChannelSpec, info: ClientInfo) -> None:
        """Undo `appear`. A user stays in the map while another connection of the user is in the channel on this
        node."""
        if spec.clients_map:
            await self.change(spec.clients_map, MapMessage(key=info.client, removed=True))
        if spec.users_map and info.user and not self._is_here(channel, info.user):
            await self.change(spec.users_map, MapMessage(key=info.user, removed=True))

    def _is_here(self, channel: str, user: str) -> bool:
        return any(member.present and member.info.user == user for member in self._hub.members(channel))
