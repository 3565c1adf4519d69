"""Publishing by clients to durable channels: the permission, the hook's rows and the append share a transaction."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import transaction
from msgspec import Raw

from hotclub.channels.registry import Route
from hotclub.durable.sql import append, read_history, read_top
from hotclub.engine.broker.base import HistoryQuery, Message
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused, UnrecoverablePosition
from hotclub.engine.model import EMPTY, ClientInfo, Position
from hotclub.engine.port import PublishGrant
from hotclub.runtime.node import current_node


@dataclass(frozen=True, slots=True)
class DurablePublish:
    """A client's publish: asks for the permission, calls the hook and appends, in one transaction.

    To be called in a pool thread.
    """

    route: Route
    info: ClientInfo
    """The publishing client."""
    database: str
    """The alias of the database with Hotclub's tables."""
    can_publish: Callable[[], Any] | None
    """Asks for the permission; None allows every publish."""
    prepare: Callable[[], Any]
    """Returns the data for `on_publish`. Called before the transaction begins."""
    on_publish: Callable[[Any], Any] | None
    """Calls the hook, which returns the data to publish, the position of its own publication, or None. Without a hook
    the client's data is published."""
    data: Raw
    """What the client sent, JSON text."""
    encode: Callable[[Any], Raw]
    """Makes the payload of the data."""
    keeps: bool = True
    """Whether this server keeps the channel's log. Otherwise the grant tells the other server what to publish."""

    def __call__(self) -> PublishGrant:
        """Publish, and return the grant for the client.

        Raises:
            Refused: `PERMISSION_DENIED`, `can_publish` said no; `NOT_AVAILABLE`, see `raise_nothing`; or what the hook
                raised.
            TypeError: a hook is asynchronous.
        """
        prepared = _finished(self.prepare())
        with transaction.atomic(using=self.database):
            if self.can_publish is not None and not _finished(self.can_publish()):
                raise Refused(Code.PERMISSION_DENIED)
            # A null of the client is a value, and None of the hook is none.
            data, result = self.data, None
            if self.on_publish is not None:
                result = _finished(self.on_publish(prepared))
                data = EMPTY if result is None or isinstance(result, Position) else self.encode(result)
            if not self.keeps:
                return self._handed_over(data, result)
            if isinstance(result, Position):
                return PublishGrant(position=self._standing(result))
            if not data:
                return PublishGrant()
            return PublishGrant(position=append_durably(self.route, Message(data=data, info=self.info)))

    def _standing(self, position: Position) -> Position:
        """Return the position of the hook's own publication.

        Raises:
            RuntimeError: the log does not reach the position, because the hook has rolled its publication back.
        """
        top = read_top(self.route.name).position
        if top.epoch != position.epoch or top.offset < position.offset:
            raise RuntimeError("on_publish() returned the position of a publication that it has rolled back")
        return position

    def _handed_over(self, data: Raw, result: Any) -> PublishGrant:
        if data:
            return PublishGrant(data=data)
        if not isinstance(result, Position):
            raise_nothing()
        since = Position(result.epoch, result.offset - 1)
        try:
            page = read_history(self.route.name, HistoryQuery(limit=1, since=since), self.route.spec.retention)
        except UnrecoverablePosition:
            raise_nothing()
        found = [item for item in page.publications if item.offset == result.offset]
        if not found:
            raise_nothing()
        return PublishGrant(data=found[0].data, tags=found[0].tags)


def raise_nothing() -> NoReturn:
    """Refuse a publish whose hook returned nothing: the proxy protocol cannot say "accepted, publish nothing".

    Raises:
        Refused: `NOT_AVAILABLE`, always. In a durable channel it also rolls back what the hook has written.
    """
    raise Refused(Code.NOT_AVAILABLE, "on_publish() returned nothing for the server to publish")


def _finished(result: Any) -> Any:
    """Return the result of a hook. Raises TypeError for an async hook, which cannot take part in a transaction."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            "can_publish(), prepare_publish() and on_publish() of a durable channel must be plain functions"
        )
    return result


def append_durably(route: Route, message: Message) -> Position:
    """Append a message to a durable channel in the current transaction, and return its position. Synchronous.

    The node of this process delivers it at the commit. Every other node finds it by its relay.

    Raises:
        IdempotencyConflict, ValueError, ImproperlyConfigured: as `sql.append`.
    """
    node = current_node()
    if node is not None and node.durable is not None:
        return node.durable.append(route.name, message, route.spec.retention)
    position, _, _ = append(route.name, message, route.spec.retention)
    return position
