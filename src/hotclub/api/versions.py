"""Publications with versions: an older one never overtakes a newer one (protocol §8.1)."""

from collections import OrderedDict
from typing import Final

from django.db import transaction

from hotclub.conf import get_config
from hotclub.engine.broker.base import Message
from hotclub.engine.model import Position
from hotclub.publishing import append_durably
from hotclub.registry import Route

REMEMBERED: Final = 50_000
"""Channels whose version is kept in memory."""


class Versions:
    """The newest version of each channel that is not durable: as long-lived as the memory engine's logs."""

    def __init__(self) -> None:
        self._newest: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def advance(self, channel: str, epoch: str, version: int) -> bool:
        """Whether this version is newer than every one before it; if so it is the newest now."""
        last = self._newest.get(channel)
        if last is not None and last[0] == epoch and version <= last[1]:
            return False
        self._newest[channel] = (epoch, version)
        self._newest.move_to_end(channel)
        while len(self._newest) > REMEMBERED:
            self._newest.popitem(last=False)
        return True


def append_newer(route: Route, channel: str, message: Message, epoch: str, version: int) -> Position | None:
    """Append to a durable channel unless a version as new is there; None then. Synchronous, in one transaction."""
    # Models can be imported only after this module.
    from hotclub.models import StreamVersion  # noqa: PLC0415

    alias = get_config().database
    rows = StreamVersion.objects.using(alias)
    with transaction.atomic(using=alias):
        rows.get_or_create(channel=channel)
        row = rows.select_for_update().get(channel=channel)
        if row.version and row.epoch == epoch and version <= row.version:
            return None
        row.epoch, row.version = epoch, version
        row.save(using=alias)
        return append_durably(route, channel, message)
