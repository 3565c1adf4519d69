"""The broker port: the log of a channel and its fan-out to nodes."""

from typing import Final, Protocol, runtime_checkable

from msgspec import Raw, Struct

from hotclub.engine.model import EMPTY, ClientInfo, HistoryPage, Position, Publication

IDEMPOTENCY_TTL: Final = 300.0
"""Seconds for which an idempotency key is remembered, where a log in memory does it."""


class Retention(Struct, frozen=True, kw_only=True):
    """How much of a channel's log is kept: the newest `size` publications, each for `ttl` seconds.

    `size` 0 is a channel without history.
    """

    size: int = 0
    ttl: float = 0.0


class Message(Struct, frozen=True, kw_only=True):
    """A publication on its way in: what `Broker.publish` appends. `data` is validated JSON text."""

    data: Raw = EMPTY
    info: ClientInfo | None = None
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    version: int = 0
    """0 is no version. The message is dropped unless its version is higher than the channel's newest one of the same
    `version_epoch`."""
    version_epoch: str = ""
    binary: bool = False
    """The data is not JSON, and only clients of the protobuf form can be sent it."""


def is_newer(version_epoch: str, version: int, newest_epoch: str, newest: int) -> bool:
    """Whether a version comes after the newest one so far.

    Versions of different epochs do not compare, so the first one of another epoch is always newer. An empty epoch
    compares with every epoch.

    Args:
        version_epoch: the epoch of the version.
        version: the version.
        newest_epoch: the epoch of the newest version so far.
        newest: the newest version so far, 0 for none.
    """
    return not newest or (bool(version_epoch) and version_epoch != newest_epoch) or version > newest


class HistoryQuery(Struct, frozen=True, kw_only=True):
    """Which part of the log to read (protocol §2.6). `limit` 0 reads the top alone, -1 everything that is kept."""

    limit: int = 0
    since: Position | None = None
    reverse: bool = False


class PublicationHandler(Protocol):
    """What a broker calls for every publication of a channel that this node is subscribed to.

    The broker calls it in the node's event loop, in the order of the log, and once per offset. It must not block or
    raise.
    """

    def __call__(self, channel: str, publication: Publication, epoch: str) -> None:
        """Take a publication; `epoch` is "" for a channel without history."""
        ...


class Broker(Protocol):
    """Stores and fans out publications. All methods belong to the node's event loop.

    Ordering: publications of a channel reach the handler in the order of their offsets. `publish` is one atomic append
    and fan-out; recovery is only as right as this order. A cancelled `publish` may or may not have been stored: the
    caller repeats it with the same idempotency key.
    """

    async def publish(self, channel: str, message: Message, retention: Retention) -> Position:
        """Append and fan out, and return where the publication stands (offset 0 without history).

        A repeated idempotency key stores nothing, and returns the position of the first message with that key. A
        version that is not newer stores nothing, and returns the top.

        Args:
            channel: the channel's name.
            message: the publication.
            retention: how much of the channel's log is kept.

        Raises:
            IdempotencyConflict: the key was used for another payload.
        """
        ...

    async def subscribe(self, channel: str) -> None:
        """Begin to hand this channel's publications to the handler. Idempotent.

        The handler gets every publication that is published after the return. A cancelled caller may or may not have
        subscribed.
        """
        ...

    async def unsubscribe(self, channel: str) -> None:
        """Stop handing this channel's publications to the handler. Idempotent."""
        ...

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """Read the log. A channel without a log has the offset 0 and the epoch that its first publication will have.

        A forward read starts at the oldest kept publication after `query.since`, a reverse read at the newest before
        it.

        Raises:
            UnrecoverablePosition: `query.since` names another epoch.
        """
        ...

    async def remove_history(self, channel: str) -> None:
        """Forget the kept publications. The position of the channel stays. Idempotent."""
        ...


class DurableBroker(Broker, Protocol):
    """A broker whose log is a table of a database: whoever writes to that database publishes in the same transaction.

    Its `publish` is `append` in a transaction of its own.
    """

    def append(self, channel: str, message: Message, retention: Retention) -> Position:
        """Append in the calling thread's transaction, and hand the publication over after the commit. For any thread
        but that of the event loop.

        Returns and raises as `publish`. After an IdempotencyConflict the transaction is still good.
        """
        ...

    def reached(self, channel: str) -> Position | None:
        """Return how far this node has handed over the log of a channel, None when it does not follow the channel.

        The broker itself compares that with the log, at short intervals.
        """
        ...


@runtime_checkable
class Sweeps(Protocol):
    """A store that keeps what has expired until it is told to give it back."""

    def sweep(self) -> bool | None:
        """Give back what has expired; to be called now and then.

        Must not keep the event loop for long. Returns whether the node shall soon call again because something is left.
        """
        ...
