"""The regular comparison of logs with what subscribers were sent: finds a loss on a channel that has fallen silent."""

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.channels import Channels
from hotclub.engine.model import Position
from hotclub.engine.observe import logger


class PositionCheck:
    """Holds the positioned subscribers of a node against their logs."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._tops: dict[str, Position] = {}
        """The tops at the last run that some subscriber here had not reached yet."""

    async def run(self) -> None:
        """Compare every log with its subscribers here, and tell the subscribers that have missed something.

        Call this twice in the time that a loss may go unnoticed. A publication of another process may be on its way, so
        a subscriber is told only if it has not reached by the next run where the log stood at this one.
        """
        former, self._tops = self._tops, {}
        for channel in self._channels.hub.channels():
            try:
                await self._check(channel, former.get(channel))
            except Exception:  # noqa: BLE001 - one channel's store being down must not end the check of the others
                logger.warning("Position check failed for a channel; it is tried again", exc_info=True)

    async def _check(self, channel: str, former: Position | None) -> None:
        hub, spec = self._channels.hub, self._channels.resolve(channel).spec
        if spec.retention.size <= 0 or not any(member.positioned for member in hub.members(channel)):
            return
        top = (await self._channels.log(spec).history(channel, HistoryQuery(), spec.retention)).top
        if former is not None and former.epoch == top.epoch:
            hub.check_top(channel, former)
        if hub.is_behind(channel, top):
            self._tops[channel] = top
