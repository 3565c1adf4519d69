"""Publishing of a client in a durable channel: the permission, the hook's rows and the append in one transaction."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import transaction
from msgspec import Raw

from hotclub.channels.registry import Route
from hotclub.durable.sql import append, read_history
from hotclub.engine.broker.base import HistoryQuery, Message
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused, UnrecoverablePosition
from hotclub.engine.model import ClientInfo, Position
from hotclub.engine.port import PublishGrant
from hotclub.runtime.node import current_node


@dataclass(frozen=True, slots=True)
class DurablePublish:
    """Ask, let the hook write its rows, and append. To be called in a pool thread.

    Without `can_publish` nobody is asked. `encode` makes the payload of what `on_publish` returns. Unless it `keeps`
    it, the log is another server's: that server is told what to append.
    """

    route: Route
    info: ClientInfo
    database: str
    can_publish: Callable[[], Any] | None
    on_publish: Callable[[], Any]
    encode: Callable[[Any], Raw]
    keeps: bool = True

    def __call__(self) -> PublishGrant:
        with transaction.atomic(using=self.database):
            if self.can_publish is not None and not _finished(self.can_publish()):
                raise Refused(Code.PERMISSION_DENIED)
            result = _finished(self.on_publish())
            if not self.keeps:
                return self._handed_over(result)
            if isinstance(result, Position):
                return PublishGrant(position=result)
            if result is None:
                return PublishGrant()
            message = Message(data=self.encode(result), info=self.info)
            return PublishGrant(position=append_durably(self.route, message))

    def _handed_over(self, result: Any) -> PublishGrant:
        if result is None:
            raise_nothing()
        if not isinstance(result, Position):
            return PublishGrant(data=self.encode(result))
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
    """Refuse what cannot be said to a server that publishes whatever is not refused.

    Raises:
        Refused: `NOT_AVAILABLE`; what a durable channel's hook has written is rolled back with it.
    """
    raise Refused(Code.NOT_AVAILABLE, "on_publish() returned nothing for the server to publish")


def _finished(result: Any) -> Any:
    """The result of a hook that takes part in a transaction, which an async one cannot."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("can_publish() and on_publish() of a durable channel must be plain functions")
    return result


def append_durably(route: Route, message: Message) -> Position:
    """Write a publication of a durable channel in the current transaction, and signal it after the commit.

    In a process without a node there is nobody to signal it to; the relay of every node finds the row.
    """
    node = current_node()
    if node is not None and node.durable is not None:
        return node.durable.append(route.name, message, route.spec.retention)
    position, _, _ = append(route.name, message, route.spec.retention)
    return position
