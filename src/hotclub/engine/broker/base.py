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
    """Dropped unless it is higher than the channel's newest within the same `version_epoch`; 0 has no version."""
    version_epoch: str = ""
    binary: bool = False
    """The data is not JSON: only clients of the protobuf form can be sent it."""


def is_newer(version_epoch: str, version: int, newest_epoch: str, newest: int) -> bool:
    """Whether a version counts after the newest one so far (0: none). Versions of different epochs do not compare."""
    return not newest or (bool(version_epoch) and version_epoch != newest_epoch) or version > newest


class HistoryQuery(Struct, frozen=True, kw_only=True):
    """Which part of the log to read (protocol §2.6). `limit` 0 reads only the top, -1 everything kept."""

    limit: int = 0
    since: Position | None = None
    reverse: bool = False


class PublicationHandler(Protocol):
    """What a broker calls for every publication of a channel that this node is subscribed to.

    Called in the node's event loop, in the order of the log, never twice for one offset; it must not block or raise.
    `epoch` is "" for a channel without history.
    """

    def __call__(self, channel: str, publication: Publication, epoch: str) -> None: ...


class Broker(Protocol):
    """Stores and fans out publications. All methods belong to the node's event loop.

    Ordering: publications of a channel reach the handler in the order of their offsets. `publish` is one atomic append
    and fan-out; recovery is only as right as this order. A cancelled `publish` may or may not have been stored: the
    caller repeats it with the same idempotency key.
    """

    async def publish(self, channel: str, message: Message, retention: Retention) -> Position:
        """Append and fan out, and return where the publication stands (offset 0 without history).

        A repeated idempotency key returns the position of the first and stores nothing; a version that is not newer
        returns the top and stores nothing.

        Raises:
            IdempotencyConflict: the key was used for another payload.
        """
        ...

    async def subscribe(self, channel: str) -> None:
        """Begin to hand this channel's publications to the handler. On return none published later is missed."""
        ...

    async def unsubscribe(self, channel: str) -> None:
        """Stop handing over. Idempotent."""
        ...

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """Read the log; a channel with no log yet gets one (new epoch, offset 0).

        Forward reads start at the oldest kept publication after `query.since`.

        Raises:
            UnrecoverablePosition: `query.since` names another epoch.
        """
        ...

    async def remove_history(self, channel: str) -> None:
        """Forget the kept publications; the position stays."""
        ...


class DurableBroker(Broker, Protocol):
    """A broker whose log is a table of a database: whoever writes to that database publishes in the same transaction.

    Its `publish` is `append` in a transaction of its own.
    """

    def append(self, channel: str, message: Message, retention: Retention) -> Position:
        """Append in the calling thread's transaction, and signal the publication after the commit. For any thread but
        that of the event loop.

        Returns and raises as `publish`. After an IdempotencyConflict the transaction is still good.
        """
        ...

    def signal(self, channel: str, epoch: str, publication: Publication) -> None:
        """A publication was committed: fan it out. Belongs to the event loop, as everything but `append`.

        Signals may come late, twice, in any order, or not at all.
        """
        ...


@runtime_checkable
class Sweeps(Protocol):
    """A store that keeps what has expired until it is told to give it back."""

    def sweep(self) -> None:
        """Give back what has expired; to be called now and then."""
        ...
