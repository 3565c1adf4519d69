"""The connections of this node: who they are, how an order finds them, and what the server had granted to them.

Nothing here awaits, so no check is parted from the write it guards.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from hotclub.engine.background import Background
from hotclub.engine.codes import Close, Unsubscribe
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.kept_grants import Departed
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.subscriber import Subscriber
from hotclub.engine.target import Target

NOT_ENDED: Final = "A connection or a subscription was not wholly ended"
"""For the log. One that fails must not keep an order from the others."""


_EVERYBODY: Final = Target()


class Peer(Protocol):
    """A connection, as the registry and the fan-out know it."""

    id: str

    @property
    def user_id(self) -> str:
        """The user, "" for an anonymous connection."""
        ...

    @property
    def login(self) -> str:
        """The application's `login_id`: the login that this connection belongs to."""
        ...

    @property
    def secret(self) -> str:
        """What commands show that come in requests of their own; "" where commands come on the connection itself."""
        ...

    @property
    def subscribers(self) -> dict[str, Subscriber]:
        """The connection's subscriptions by channel."""
        ...

    def close(self, reason: Disconnect) -> None:
        """End the connection. Idempotent."""
        ...

    def expel(self, channel: str, reason: Unsubscribed) -> None:
        """End one subscription, or all of them for "", and tell the client. Idempotent."""
        ...


class Peers:
    """Registry of the connections of one node, by id and by user."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._users: dict[str, set[str]] = {}
        self._expected: dict[str, list[tuple[Target, str]]] = {}
        """By the id of a connection that is being decided on: the orders given meanwhile, as target and channel."""
        self.departed = Departed()
        self.background = Background()

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def num_users(self) -> int:
        """How many users are connected; all anonymous connections count as one."""
        return len(self._users)

    def expect(self, peer: Peer) -> None:
        """Begin to collect orders for a connection that the application decides on. `add` or `remove` must follow."""
        self._expected[peer.id] = []

    def add(self, peer: Peer) -> set[str]:
        """Register a connection that was granted.

        Returns the channels from which the server unsubscribed this connection while it was connecting.

        Raises:
            Disconnect: `FORCE_RECONNECT`, the server ended this connection while it was connecting.
        """
        channels = {channel for target, channel in self._expected.pop(peer.id, ()) if _matches(peer, target)}
        if "" in channels:
            raise Disconnect(Close.FORCE_RECONNECT)
        self._peers[peer.id] = peer
        self._users.setdefault(peer.user_id, set()).add(peer.id)
        return channels

    def remove(self, peer: Peer) -> None:
        """Forget a connection. Idempotent."""
        self._expected.pop(peer.id, None)
        if self._peers.pop(peer.id, None) is None:
            return
        connections = self._users[peer.user_id]
        connections.discard(peer.id)
        if not connections:
            del self._users[peer.user_id]

    def find(self, target: Target, channel: str = "", *, remember: bool = True) -> list[Peer]:
        """The connections that an order names.

        Args:
            target: which connections.
            channel: the channel that the order is about, "" for the whole connection.
            remember: let the order also hold for connections that the application is still deciding on, see `add`.
        """
        if remember:
            for orders in self._expected.values():
                orders.append((target, channel))
        if target == _EVERYBODY:
            return [*self._peers.values()]
        return [peer for peer in self._candidates(target) if _matches(peer, target)]

    def _candidates(self, target: Target) -> Iterable[Peer]:
        if target.client_id is not None:
            ids: Iterable[str] = (target.client_id,)
        elif target.user_id is not None:
            ids = tuple(self._users.get(target.user_id, ()))
        else:
            ids = tuple(self._peers)
        return (self._peers[key] for key in ids if key in self._peers)

    def depart(self, peer: Peer, now: float) -> None:
        """Keep what the server granted to a connection that has gone, for when its client comes back."""
        for channel, subscriber in peer.subscribers.items():
            if subscriber.given is not None:
                self.departed.remember(peer.user_id, peer.login, peer.id, channel, subscriber.given, now)

    def given(self, user_id: str, login: str, channel: str, now: float) -> SubscribeGrant | None:
        """What the server granted of the channel, after the connect reply, to a connection of this user and login.

        That connection has gone, or is about to be noticed as gone. None when there was no such grant, or its time is
        over.
        """
        if not user_id:
            return None
        for key in self._users.get(user_id, ()):
            peer = self._peers[key]
            subscriber = peer.subscribers.get(channel)
            if subscriber is not None and subscriber.given is not None and peer.login == login:
                return subscriber.given.left(now)
        return self.departed.recall(user_id, login, channel, now)

    def close_those_of(self, subscribers: Sequence[Subscriber], code: Close) -> None:
        """End the connections of these subscribers; many of them in turns."""
        if not subscribers:
            return

        def close(subscriber: Subscriber) -> None:
            peer = self._peers.get(subscriber.client_id)
            if peer is not None:
                peer.close(Disconnect(code))

        self.background.in_turns(close, subscribers, NOT_ENDED)

    def report_gaps(self, behind: Iterable[Subscriber]) -> None:
        """Tell subscribers that have missed something to recover (protocol §3.3); many of them in turns."""
        from_server, by_client = (
            Disconnect(Close.INSUFFICIENT_STATE, "insufficient state"),
            Unsubscribed(Unsubscribe.INSUFFICIENT_STATE, "insufficient state"),
        )

        def report(subscriber: Subscriber) -> None:
            peer = self._peers.get(subscriber.client_id)
            if peer is None or peer.subscribers.get(subscriber.channel) is not subscriber:
                return
            if subscriber.server_side:
                peer.close(from_server)
            else:
                peer.expel(subscriber.channel, by_client)

        self.background.in_turns(report, list(behind), NOT_ENDED)


def _matches(peer: Peer, target: Target) -> bool:
    return (
        target.user_id in (None, peer.user_id)
        and target.login_id in (None, peer.login, peer.secret or None)
        and target.client_id in (None, peer.id)
    )
