"""Publications on their way to the readers of their channel: at once to few, in turns to very many."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from operator import length_hint
from typing import Final

from hotclub.engine.background import Background
from hotclub.engine.failures import surviving
from hotclub.engine.shape import Delivery
from hotclub.engine.subscriber import Subscriber
from hotclub.engine.turns import Turn

_MOST_WAITING: Final = 256
"""How many publications of one channel may wait for their turn. Beyond it the first of them is sent at once, so that
publishers do not run ahead of the readers for ever."""
_SOME: Final = 256
"""How many readers get a publication between two looks at the clock."""

_Channels = Mapping[str, Mapping[str, Subscriber]]
_Send = Callable[[Iterator[Subscriber], Delivery, str], None]


class _FanOut:
    """A publication, and the readers to whom it has not been sent yet."""

    __slots__ = ("_joined", "_rest", "at_once", "delivery", "epoch")

    def __init__(self, delivery: Delivery, epoch: str, joined: int, rest: Iterator[Subscriber] | None) -> None:
        """A publication that is sent to nobody yet.

        Args:
            delivery: the publication.
            epoch: the epoch of its offset.
            joined: how many subscribers had joined the hub when the publication came. Those that join later have it
                from the log, or are too late.
            rest: the readers to whom it is to be sent; None if other publications come before this one.
        """
        self.delivery = delivery
        self.epoch = epoch
        self._joined = joined
        self._rest = rest
        self.at_once = rest is not None
        """Whether nobody can have joined or left since the publication came."""

    @property
    def is_done(self) -> bool:
        """Whether no reader is left."""
        return self._rest is not None and not length_hint(self._rest)

    def some(self, members: Mapping[str, Subscriber]) -> Iterator[Subscriber]:
        """The next readers among the present subscribers of the channel. What is not taken from the iterator comes
        again with the next call."""
        if self._rest is None:
            self._rest = iter(list(members.values()))
        some = islice(self._rest, _SOME)
        if self.at_once:
            return some
        joined = self._joined
        return (member for member in some if 0 < member.joined <= joined)


class FanOuts:
    """The publications of one node that are being sent, which stay in their order in each channel."""

    def __init__(self, channels: _Channels, background: Background, send: _Send) -> None:
        """No publication.

        Args:
            channels: the subscribers by channel and connection, as they change.
            background: takes later turns.
            send: sends a publication, whose offset is of an epoch, to readers. It may leave some in the iterator.
        """
        self._channels = channels
        self._background = background
        self._send = send
        self._waiting: dict[str, deque[_FanOut]] = {}
        """By channel, the publications that are not sent to all readers yet, in their order."""

    def begin(self, delivery: Delivery, epoch: str, joined: int) -> None:
        """Send a publication to the present subscribers of its channel: to few at once, to very many in turns.

        Args:
            delivery: the publication.
            epoch: the epoch of its offset.
            joined: how many subscribers have joined the hub.
        """
        channel = delivery.channel
        waiting = self._waiting.get(channel)
        if waiting is None:
            readers = list(self._channels.get(channel, {}).values())
            rest = iter(readers)
            if len(readers) <= _SOME:
                self._send(rest, delivery, epoch)
                if not length_hint(rest):
                    return
            fan_out = _FanOut(delivery, epoch, joined, rest)
            if not self._advance(fan_out):
                fan_out.at_once = False
                self._waiting[channel] = deque((fan_out,))
                self._background.spawn(self._go_on(channel))
            return
        waiting.append(_FanOut(delivery, epoch, joined, None))
        if len(waiting) > _MOST_WAITING:
            self._advance(waiting.popleft(), forced=True)

    async def _go_on(self, channel: str) -> None:
        waiting = self._waiting[channel]
        while waiting:
            await asyncio.sleep(0)
            done = True
            with surviving("A publication could not be sent to all its readers"):
                done = self._advance(waiting[0])
            if done:
                waiting.popleft()
        del self._waiting[channel]

    def _advance(self, fan_out: _FanOut, *, forced: bool = False) -> bool:
        """Send to as many readers as one turn reaches, or to all if `forced`. Returns whether all have been sent it."""
        turn, members = Turn(), self._channels.get(fan_out.delivery.channel, {})
        while True:
            self._send(fan_out.some(members), fan_out.delivery, fan_out.epoch)
            if fan_out.is_done:
                return True
            if turn.over and not forced:
                return False
