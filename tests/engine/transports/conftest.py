"""A node whose patience a test can wait for."""

from collections.abc import AsyncIterator

import pytest

from hotclub.engine.limits import Limits
from tests.engine.support import Club


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club(Limits(message_bytes=2_000, outbox_bytes=8_000, ephemeral_bytes=4_000, close_timeout=0.1))
    await club.node.start()
    yield club
    club.broker.held.set()
    await club.node.stop()
