"""docs/how-to/maps.md: the loop that changes a key by what it was, run as it stands."""

from datetime import timedelta
from typing import Any, Final

import pytest
from asgiref.sync import sync_to_async

import hotclub
import hotclub.maps
from hotclub.testing import HotclubClient
from tests.packaging.blocks import ROOT, blocks_of

pytestmark = pytest.mark.django_db(transaction=True)

PAGE: Final = ROOT / "docs" / "how-to" / "maps.md"
(LOOP,) = (block.text for block in blocks_of(PAGE, PAGE.read_text()) if block.text.startswith("while True:"))


class Counters(hotclub.MapChannel):
    pattern = "counters:<int:page>"
    history = hotclub.History(size=10, ttl=timedelta(minutes=1))

    async def can_subscribe(self, client: hotclub.Client, page: int) -> bool:
        return True


async def test_the_loop_counts(declare: Any, hotclub_settings: Any) -> None:
    hotclub_settings(ALLOW_ANONYMOUS=True)
    declare(Counters)
    names = {"map_state": hotclub.maps.map_state, "map_publish": hotclub.maps.map_publish, "Position": hotclub.Position}
    async with HotclubClient().connect():
        for _ in range(3):
            await sync_to_async(exec, thread_sensitive=False)(LOOP, dict(names))
        (entry,) = (await hotclub.maps.amap_state("counters:1")).entries
    assert entry.data == 3
