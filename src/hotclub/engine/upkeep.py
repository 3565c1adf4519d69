"""The periodic work of a node: pings, renewals, checks and the removal of expired entries, each at its interval."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from hotclub.engine.broker.base import Sweeps
from hotclub.engine.channels import Channels
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.failures import surviving
from hotclub.engine.peers import NOT_ENDED
from hotclub.engine.position_check import PositionCheck
from hotclub.engine.pulse import Pulse
from hotclub.engine.session import Session

SWEEP_INTERVAL: Final = 60.0
"""Seconds between two removals of expired logs and of shared polls without followers."""
EXPIRY_INTERVAL: Final = 0.5
"""Seconds by which the removal of an expired key of a map may be late."""
RELEASE_INTERVAL: Final = 0.1
"""Seconds for which a reader with room again may wait for the publications that are held for it."""


class Upkeep:
    """The periodic work of one node. A failure is logged, and the work runs again after its interval."""

    def __init__(self, channels: Channels, pulse: Pulse[Session]) -> None:
        """Nothing runs before `start`."""
        self._channels = channels
        self._pulse = pulse
        self.positions = PositionCheck(channels)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin the work, in the running event loop."""
        limits = self._channels.limits
        loop = asyncio.get_running_loop()
        work = (
            (min(1.0, limits.ping_interval / 4, limits.pong_timeout / 4), self.beat),
            (limits.presence_refresh, self.refresh_presence),
            # `PositionCheck.run` finds a loss at its second run.
            (limits.position_check / 2, self.positions.run),
            (SWEEP_INTERVAL, self._sweep),
            (EXPIRY_INTERVAL, self._expire_keys),
            (RELEASE_INTERVAL, self._release_held),
        )
        self._tasks = [loop.create_task(_every(interval, action)) for interval, action in work]

    async def stop(self) -> None:
        """End the work and wait for its tasks. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def beat(self) -> None:
        """Ping the connections that are due, and end those that have not answered."""
        due, overdue = self._pulse.tick(monotonic())
        for session in overdue:
            with surviving(NOT_ENDED):
                session.close(Disconnect(Close.NO_PONG))
        for session in due:
            with surviving("A connection could not be pinged"):
                session.ping()

    async def refresh_presence(self) -> None:
        """Renew the presence of every subscriber here. A failure is logged, and the others are renewed all the same."""
        hub = self._channels.hub
        for channel in hub.channels():
            for subscriber in hub.members(channel):
                if subscriber.present:
                    with surviving("The presence of a subscriber was not renewed"):
                        await self._channels.remain(subscriber.resolved, subscriber.info)

    async def _sweep(self) -> None:
        with surviving("The logs could not be swept"):
            if isinstance(self._channels.broker, Sweeps):
                self._channels.broker.sweep()
        self._channels.polls.sweep()

    async def _expire_keys(self) -> None:
        if isinstance(self._channels.maps.broker, Sweeps):
            self._channels.maps.broker.sweep()

    async def _release_held(self) -> None:
        self._channels.hub.release_held()


async def _every(interval: float, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` every `interval` seconds, until cancelled."""
    while True:
        await asyncio.sleep(interval)
        with surviving("A periodic task failed; it is tried again in %s s", interval):
            await work()
