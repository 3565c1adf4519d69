"""What has come to a test's connection, until an assertion takes it."""

from typing import Any
from unittest.mock import ANY

from hotclub.channels.results import ClientInfo, Publication
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.protocol.messages import Push, SubscribePush, SubscribeResult
from hotclub.testing.received import Subscribed


class Inbox:
    """The publications and notices of one connection, and the state that the server has told it."""

    def __init__(self) -> None:
        self.ended: Disconnect | None = None
        """Why the server has ended the connection."""
        self.subscriptions: dict[str, Subscribed] = {}
        """The channels that the client is in."""
        self.removed: dict[str, Unsubscribed] = {}
        """The channels that the server has removed the client from, and why."""
        self._publications: dict[str, list[Publication]] = {}
        self._notices: list[tuple[str, bool, ClientInfo]] = []
        """Joins (True) and leaves, each with its channel."""

    def enter(self, channel: str, granted: SubscribeResult | SubscribePush) -> Subscribed:
        """Note a subscription that the server has granted, with the publications that came in the grant."""
        self.subscriptions[channel] = subscribed = Subscribed.of(granted)
        missed = granted.publications if isinstance(granted, SubscribeResult) else ()
        self._publications.setdefault(channel, []).extend(map(Publication.of, missed))
        return subscribed

    def put(self, push: Push) -> None:
        """Take a push from the wire."""
        if push.pub:
            self._publications.setdefault(push.channel, []).append(Publication.of(push.pub))
        elif push.join:
            self._notices.append((push.channel, True, ClientInfo.of(push.join.info)))
        elif push.leave:
            self._notices.append((push.channel, False, ClientInfo.of(push.leave.info)))
        elif push.subscribe:
            self.enter(push.channel, push.subscribe)
        elif push.unsubscribe:
            self.subscriptions.pop(push.channel, None)
            self.removed[push.channel] = Unsubscribed(push.unsubscribe.code, push.unsubscribe.reason)

    def end(self, reason: Disconnect) -> None:
        """Note that the server has ended the connection."""
        self.ended = reason
        self.subscriptions.clear()

    def take(self, channel: str, data: Any, key: str | None) -> Publication:
        """Take the first publication with this data and, unless it is None, this key.

        Raises:
            AssertionError: there is none.
        """
        waiting = self._publications.get(channel, [])
        for index, publication in enumerate(waiting):
            if data == publication.data and key in (None, publication.key):
                return waiting.pop(index)
        raise AssertionError(f"{data!r} did not arrive in {channel!r}; {self.describe(channel)}")

    def take_notice(self, channel: str, joined: bool, user: Any) -> ClientInfo:
        """Take the first join or leave of this user or primary key, or of anybody for None.

        Raises:
            AssertionError: there is none.
        """
        wanted = ANY if user is None else str(getattr(user, "pk", user))
        for index, (name, came, member) in enumerate(self._notices):
            if name == channel and came is joined and wanted == member.user:
                del self._notices[index]
                return member
        raise AssertionError(f"no notice that {wanted!r} has {'joined' if joined else 'left'} {channel!r}")

    def left_over(self, channel: str | None) -> dict[str, list[Publication]]:
        """The publications that nothing has taken, by channel; of one channel, or of all for None."""
        return {name: rest for name, rest in self._publications.items() if rest and channel in (None, name)}

    def describe(self, channel: str) -> str:
        """What is known of a channel, for the messages of assertions."""
        if self.ended is not None:
            return f"the connection was ended with {self.ended}"
        if channel in self.removed:
            reason = self.removed[channel]
            return f"the client was removed from it with {reason.code} {reason.reason}"
        if channel not in self.subscriptions:
            return f"the client is not in it, but in {sorted(self.subscriptions)}"
        return f"it holds {[item.data for item in self._publications.get(channel, [])]!r}"
