"""Joins and leaves on their way to the members of a channel: at once in a small channel, in turns in a large one."""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from hotclub.engine.background import Background
from hotclub.engine.failures import surviving
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import Push
from hotclub.engine.subscriber import Subscriber
from hotclub.engine.turns import Turn

AT_ONCE: Final = 2_000
"""The most pushes of joins and leaves in one turn. What is announced beyond it waits for its turn."""
_LOOK_AFTER: Final = 50
"""How many members get a push between two looks at the clock."""

_Channels = Mapping[str, Mapping[str, Subscriber]]


class Announcements:
    """The announcements of one node, which stay in their order."""

    def __init__(self, channels: _Channels, background: Background) -> None:
        """`channels` are the subscribers by channel and connection, as they change."""
        self._channels = channels
        self._background = background
        self._sent = 0
        """How many pushes were sent in this turn of the loop."""
        self._waiting: deque[Push] = deque()

    def announce(self, push: Push) -> None:
        """Send a join or a leave to the subscribers of its channel."""
        members = self._channels.get(push.channel, {})
        if self._waiting:
            self._waiting.append(push)
        elif self._sent + len(members) <= AT_ONCE:
            if not self._sent:
                asyncio.get_running_loop().call_soon(self._begin_turn)
            self._sent += len(members)
            _send(push, [*members.values()], {})
        else:
            self._waiting.append(push)
            self._background.spawn(self._go_on())

    def _begin_turn(self) -> None:
        self._sent = 0

    async def _go_on(self) -> None:
        turn = Turn()
        while self._waiting:
            push, frames = self._waiting[0], dict[Encoder, bytes]()
            members = [*self._channels.get(push.channel, {}).values()]
            for start in range(0, len(members), _LOOK_AFTER):
                here = self._channels.get(push.channel, {})
                some = members[start : start + _LOOK_AFTER]
                _send(push, (member for member in some if here.get(member.client_id) is member), frames)
                await turn.give_way()
            # Not before: while one waits, every other waits behind it.
            self._waiting.popleft()


def _send(push: Push, members: Iterable[Subscriber], frames: dict[Encoder, bytes]) -> None:
    for member in members:
        if member.buffer is not None or not member.spec.push_join_leave:
            continue
        with surviving("A join or a leave could not be sent to a member"):
            encoder = member.form.encoder
            if encoder not in frames:
                frames[encoder] = encoder.frame(encoder.codec.encode_push(push))
            member.outbox.push(frames[encoder])
