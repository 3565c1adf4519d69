"""Publishing of a client in a durable channel: the permission, the hook's rows and the append in one transaction."""

import asyncio
import inspect
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, cast

from django.db import transaction

from hotclub.channels.client import Client
from hotclub.channels.registry import Route
from hotclub.conf.config import get_config
from hotclub.durable.broker import DatabaseBroker
from hotclub.durable.sql import append, read_history
from hotclub.engine.broker.base import HistoryQuery, Message
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused, UnrecoverablePosition
from hotclub.engine.model import ClientInfo, Position, Publication
from hotclub.engine.port import PublishGrant
from hotclub.runtime.encoding import encode
from hotclub.runtime.node import (
    after_commit,
    current_node,
    tell_node,
)


@dataclass(frozen=True, slots=True)
class DurablePublish:
    """Ask, let the hook write its rows, and append. To be called with the data, in a pool thread.

    With `is_open` nobody is asked. Unless it `keeps` it, the log is another server's: that is told what to append.
    """

    route: Route
    channel: str
    client: Client
    info: ClientInfo
    database: str
    is_open: bool = False
    keeps: bool = True

    def __call__(self, data: Any) -> PublishGrant:
        hooks, kwargs = self.route.channel, self.route.kwargs
        self.client.forget_permissions()
        with transaction.atomic(using=self.database):
            if not self.is_open and not _finished(hooks.can_publish(self.client, **kwargs)):
                raise Refused(Code.PERMISSION_DENIED)
            result = _finished(hooks.on_publish(self.client, data, **kwargs))
            if not self.keeps:
                return self._handed_over(result)
            if isinstance(result, Position):
                return PublishGrant(position=result)
            if result is None:
                return PublishGrant()
            message = Message(data=encode(result), info=self.info)
            return PublishGrant(position=append_durably(self.route, self.channel, message))

    def _handed_over(self, result: Any) -> PublishGrant:
        if result is None:
            raise_nothing()
        if not isinstance(result, Position):
            return PublishGrant(data=encode(result))
        since = Position(result.epoch, result.offset - 1)
        try:
            page = read_history(self.channel, HistoryQuery(limit=1, since=since), self.route.spec.retention)
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


def append_durably(route: Route, channel: str, message: Message) -> Position:
    """Write a publication of a durable channel in the current transaction, and signal it after the commit.

    A signal that gets lost is no loss: the relay of every node finds the row.
    """
    alias = get_config().database
    with transaction.atomic(using=alias):
        position, publication, duplicate = append(channel, message, route.spec.retention)
        if not duplicate:
            after_commit(lambda: _signal(channel, position.epoch, publication))
    return position


def _signal(channel: str, epoch: str, publication: Publication) -> None:
    node = current_node()
    if node is not None and node.durable is not None:
        # One turn later, as what is not durable takes one more to begin: a transaction's publications keep their order.
        signal = partial(cast("DatabaseBroker", node.durable).signal, channel, epoch, publication)
        tell_node(node, lambda: asyncio.get_running_loop().call_soon(signal))
