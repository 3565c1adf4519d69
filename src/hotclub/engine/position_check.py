"""Compares the logs with the positions of their subscribers: finds a loss that no later publication reveals (§3.3)."""

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.channels import Channels
from hotclub.engine.failures import surviving
from hotclub.engine.model import Position
from hotclub.engine.port import ChannelSpec
from hotclub.engine.turns import Turn


class PositionCheck:
    """The comparison for the positioned subscribers of one node."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._tops: dict[str, Position] = {}
        """By channel, the top at the last run, where a subscriber here had not reached it."""

    async def run(self) -> None:
        """Compare every log with its subscribers here, and tell the subscribers that missed a publication to recover.

        A publication of another process may still be on its way. So a subscriber is told at the second run, if it has
        not reached the log's top of the first run. Two runs must fit into `limits.position_check` seconds.

        A failure is logged, and that channel is compared again at the next run.
        """
        former, self._tops = self._tops, {}
        turn = Turn()
        for channel in self._channels.hub.channels():
            await turn.give_way()
            with surviving("Position check failed for a channel; it is tried again"):
                await self._check(channel, former.get(channel))

    async def _check(self, channel: str, former: Position | None) -> None:
        hub, spec = self._channels.hub, self._channels.resolve(channel).spec
        if spec.retention.size <= 0 or not any(member.positioned for member in hub.members(channel)):
            return
        top = await self._top(channel, spec)
        if former is not None and former.epoch == top.epoch:
            hub.check_top(channel, former)
        if hub.is_behind(channel, top):
            self._tops[channel] = top

    async def _top(self, channel: str, spec: ChannelSpec) -> Position:
        """Return where subscribers must have come. A durable broker follows the log itself, so it is not read again."""
        reached = self._channels.durable.reached(channel) if spec.durable and self._channels.durable else None
        if reached is not None:
            return reached
        return (await self._channels.log(spec).history(channel, HistoryQuery(), spec.retention)).top
