"""Publishes from views, signals, tasks, shells and commands. Async twins have an `a` in front.

In a durable channel the publication is a row of the caller's transaction, so it is sent if and only if the transaction
commits. In another channel it is handed to the node of this process when the transaction commits, or at once when there
is none. The commit does not wait for the node. A publication that the node does not come to is lost: the process has
ended, or an `on_commit` callback of the project has raised before. In a process without a node it is a row of the
transaction. What a transaction or a savepoint rolls back is never sent, and the publications of one transaction keep
their order.

Transactions that publish to several durable channels hold the locks of these channels until they end. On PostgreSQL,
two of them that take the channels in different orders may deadlock; PostgreSQL ends one with an error. So publish in
one order, such as that of the names. One call of `broadcast` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction

from hotclub.channels.client import AnyUser, personal_channel
from hotclub.channels.registry import Route, get_registry
from hotclub.durable.client_publish import append_durably
from hotclub.durable.retrying import retried
from hotclub.engine.broker.base import Message
from hotclub.engine.model import Position
from hotclub.engine.node import Node
from hotclub.orders.messages import Publish
from hotclub.orders.send import carry_out
from hotclub.runtime.encoding import encode
from hotclub.runtime.node import (
    aask_node,
    current_node,
    in_thread,
    refuse_event_loop,
)
from hotclub.runtime.tables import database
from hotclub.runtime.transactions import in_transaction

_MANY: Final = 100
"""So many channels are looked up in a thread, because a long list would keep the event loop."""


def publish(
    channel: str, data: Any, *, idempotency_key: str = "", tags: Mapping[str, str] | None = None
) -> Position | None:
    """Publish to a channel, from synchronous code.

    Inside `transaction.atomic()` the publication is sent with the commit, or not at all.

    Args:
        channel: a name that some `Channel` class's pattern matches.
        data: what JSON can hold, and dates, `Decimal`, `UUID` and lazy translations, which become text.
        idempotency_key: repeating a call with the same key and data publishes once.
        tags: text by name, which clients get beside the data.

    Returns:
        The position of the publication in the channel's log. For a channel that is not durable, None inside a
        transaction, where the position is not known yet, and in a process without a node, which does not learn it.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel (the text says why, and names the nearest patterns);
            `NOT_AVAILABLE`, the channel takes keys and values.
        TypeError, ValueError: JSON cannot hold the data.
        IdempotencyConflict: the key was used for other data.
        NotMigrated: the tables are missing; run `manage.py migrate`.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `apublish`.
        TransactionManagementError: the project's code has turned autocommit off, so a rollback would not take the
            publication back; use `transaction.atomic()`.
        NoNode: the event loop of this process is stuck; the publication may still be sent.
    """
    refuse_event_loop("publish")
    return _send([_prepare(channel, data, idempotency_key, tags)])[0]


async def apublish(
    channel: str, data: Any, *, idempotency_key: str = "", tags: Mapping[str, str] | None = None
) -> Position | None:
    """`publish` for async code.

    A cancelled call may have published: repeat it with the same idempotency key.
    """
    return (await _asend([_prepare(channel, data, idempotency_key, tags)]))[0]


def broadcast(
    channels: Iterable[str], data: Any, *, idempotency_key: str = "", tags: Mapping[str, str] | None = None
) -> list[Position | None]:
    """Publish the same data to several channels, from synchronous code.

    The publications in durable channels share one transaction.

    Args:
        channels: the channels' names.
        data: as for `publish`.
        idempotency_key: as for `publish`; it counts in each channel on its own.
        tags: as for `publish`.

    Returns:
        A list with what `publish` returns for each channel, in the order of `channels`.

    Raises:
        Refused: as `publish`, before anything is published.
        TypeError, ValueError: JSON cannot hold the data.
        IdempotencyConflict: the key was used for other data in one of the channels.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `abroadcast`.
        NoNode: the event loop of this process is stuck; the publications may still be sent.
    """
    refuse_event_loop("broadcast")
    return _send(_prepare_all(channels, data, idempotency_key, tags))


async def abroadcast(
    channels: Iterable[str], data: Any, *, idempotency_key: str = "", tags: Mapping[str, str] | None = None
) -> list[Position | None]:
    """`broadcast` for async code.

    A cancelled call may have published to some or all channels: repeat it with the same idempotency key.
    """
    names = list(channels)
    if len(names) > _MANY:
        return await _asend(await in_thread(_prepare_all, names, data, idempotency_key, tags))
    return await _asend(_prepare_all(names, data, idempotency_key, tags))


def publish_to_user(
    user: "AnyUser",
    data: Any,
    *,
    idempotency_key: str = "",
    tags: Mapping[str, str] | None = None,
) -> Position | None:
    """Publish to the personal channel of a user. The server subscribes every connection of the user to it.

    Args:
        user: the user, or the primary key, as it is or as text. In a project with `HOTCLUB["TOKENS"]` also the `sub`
            claim of a token, because users may live elsewhere.
        data: as for `publish`.
        idempotency_key: as for `publish`.
        tags: as for `publish`.

    Returns:
        What `publish` returns.

    Raises:
        ValueError: the user is None, unsaved, anonymous or not a primary key, or JSON cannot hold the data.
        Refused: `UNKNOWN_CHANNEL`, personal channels are off (`PERSONAL_CHANNEL`).
        TypeError: JSON cannot hold the data.
        IdempotencyConflict: the key was used for other data.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `apublish_to_user`.
        NoNode: the event loop of this process is stuck; the publication may still be sent.
    """
    refuse_event_loop("publish_to_user")
    return publish(personal_channel(user), data, idempotency_key=idempotency_key, tags=tags)


async def apublish_to_user(
    user: "AnyUser",
    data: Any,
    *,
    idempotency_key: str = "",
    tags: Mapping[str, str] | None = None,
) -> Position | None:
    """`publish_to_user` for async code.

    A cancelled call may have published: repeat it with the same idempotency key.
    """
    return await apublish(personal_channel(user), data, idempotency_key=idempotency_key, tags=tags)


async def publish_message(channel: str, message: Message) -> Position | None:
    """Publish a message whose payload is made already. Returns and raises as `publish`.

    A cancelled call may have published.
    """
    return (await _asend([_Outgoing(get_registry().route(channel), message)]))[0]


@dataclass(frozen=True, slots=True)
class _Outgoing:
    route: Route
    message: Message

    @property
    def channel(self) -> str:
        return self.route.name


def _prepare(channel: str, data: Any, idempotency_key: str, tags: Mapping[str, str] | None) -> _Outgoing:
    return _prepare_all([channel], data, idempotency_key, tags)[0]


def _prepare_all(
    channels: Iterable[str], data: Any, idempotency_key: str, tags: Mapping[str, str] | None
) -> list[_Outgoing]:
    registry = get_registry()
    message = Message(data=encode(data), tags=dict(tags or {}), idempotency_key=idempotency_key)
    return [_Outgoing(registry.route(channel), message) for channel in channels]


async def _asend(batch: Sequence[_Outgoing]) -> list[Position | None]:
    node = current_node()
    durable = any(outgoing.route.spec.durable for outgoing in batch)
    if node is None or durable or in_transaction():
        return await in_thread(_send, batch)
    return [*await aask_node(node, _publish_in_order(node, batch))]


def _send(batch: Sequence[_Outgoing]) -> list[Position | None]:
    positions: dict[int, Position | None] = {}
    passing = [(index, outgoing) for index, outgoing in enumerate(batch) if not outgoing.route.spec.durable]
    # All broadcasts lock streams in one order, so that two of them never wait for each other.
    durable = sorted(
        ((index, outgoing) for index, outgoing in enumerate(batch) if outgoing.route.spec.durable),
        key=lambda item: item[1].channel,
    )
    if in_transaction():
        positions.update(_append(durable))
    elif durable:
        positions.update(retried(lambda: _append(durable)))
    if passing:
        sent = _send_passing([outgoing for _, outgoing in passing])
        positions.update({index: position for (index, _), position in zip(passing, sent, strict=True)})
    return [positions[index] for index in range(len(batch))]


def _append(batch: Sequence[tuple[int, _Outgoing]]) -> dict[int, Position | None]:
    with transaction.atomic(using=database()) if len(batch) > 1 else nullcontext():
        return {index: append_durably(outgoing.route, outgoing.message) for index, outgoing in batch}


def _send_passing(batch: Sequence[_Outgoing]) -> Sequence[Position | None]:
    orders = (_order(outgoing.channel, outgoing.message) for outgoing in batch)
    return carry_out(orders, lambda node: _publish_in_order(node, batch)) or [None] * len(batch)


def _order(channel: str, message: Message) -> Publish:
    return Publish(
        channel=channel,
        data=message.data,
        tags=message.tags,
        idempotency_key=message.idempotency_key,
        version=message.version,
        version_epoch=message.version_epoch,
    )


async def _publish_in_order(node: "Node", batch: Sequence[_Outgoing]) -> list[Position]:
    return await node.channels.publish_all((outgoing.channel, outgoing.message) for outgoing in batch)
