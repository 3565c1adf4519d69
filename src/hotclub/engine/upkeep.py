"""The periodic work of a node: pings, renewals, checks and the removal of expired entries, each at its interval."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
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
from hotclub.engine.turns import Turn

SWEEP_INTERVAL: Final = 60.0
"""Seconds between two removals of expired logs and of shared polls without followers."""
EXPIRY_INTERVAL: Final = 0.5
"""Seconds by which the removal of an expired key of a map, or of a member that lingered, may be late."""
BEAT_INTERVAL: Final = 0.5
"""Seconds by which a ping, or the end of a connection that has not answered one, may be late."""
_PAUSE: Final = 2.0
"""Seconds without a beat after which this process must have stood still."""
_PER_TURN: Final = 100
"""How many connections are pinged, or ended, in one turn of the loop."""
RELEASE_INTERVAL: Final = 0.1
"""Seconds for which a reader with room again may wait for the publications that are held for it."""


class Upkeep:
    """The periodic work of one node. A failure is logged, and the work runs again after its interval."""

    def __init__(self, channels: Channels, pulse: Pulse[Session], *, clock: Callable[[], float] = monotonic) -> None:
        """Nothing runs before `start`. `clock` returns the seconds by which the pulse goes."""
        self._clock = clock
        self._channels = channels
        self._pulse = pulse
        self.positions = PositionCheck(channels)
        self._tasks: list[asyncio.Task[None]] = []
        self._beaten = clock()

    def work(self) -> Sequence[tuple[float, Callable[[], Awaitable[None]]]]:
        """Each piece of the work, with its interval in seconds."""
        limits, appearances = self._channels.limits, self._channels.appearances
        return (
            (min(BEAT_INTERVAL, limits.ping_interval / 4, limits.pong_timeout / 4), self.beat),
            (limits.presence_refresh, appearances.renew),
            (EXPIRY_INTERVAL, appearances.expire),
            # `PositionCheck.run` finds a loss at its second run.
            (limits.position_check / 2, self.positions.run),
            (SWEEP_INTERVAL, self._sweep),
            (EXPIRY_INTERVAL, self._expire_keys),
            (RELEASE_INTERVAL, self._release_held),
        )

    def start(self) -> None:
        """Begin the work, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(_every(interval, action)) for interval, action in self.work()]

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
        now = self._clock()
        before, self._beaten = self._beaten, now
        if now - before > _PAUSE:
            # The whole process stood still. The answers are in the sockets; the loop reads them until the next beat.
            return
        while True:
            due, overdue = self._pulse.tick(now, _PER_TURN)
            for session in overdue:
                with surviving(NOT_ENDED):
                    session.close(Disconnect(Close.NO_PONG))
            for session in due:
                with surviving("A connection could not be pinged"):
                    session.ping()
            if max(len(due), len(overdue)) < _PER_TURN:
                return
            await asyncio.sleep(0)

    async def _sweep(self) -> None:
        with surviving("The logs could not be swept"):
            await _swept(self._channels.broker)
        self._channels.polls.sweep()
        await _swept(self._channels)
        self._channels.hub.peers.departed.expire(self._clock())

    async def _expire_keys(self) -> None:
        await _swept(self._channels.maps.broker)

    async def _release_held(self) -> None:
        await self._channels.hub.release_held()


async def _swept(store: object) -> None:
    """Let a store give back what has expired, turn by turn."""
    turn = Turn()
    while isinstance(store, Sweeps) and store.sweep():
        await turn.give_way()


async def _every(interval: float, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` every `interval` seconds, until cancelled."""
    while True:
        await asyncio.sleep(interval)
        with surviving("A periodic task failed; it is tried again in %s s", interval):
            await work()
