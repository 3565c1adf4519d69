"""The node knows how far it has delivered a durable log, so the position check does not read the log again."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hotclub.engine.broker.base import Retention
from hotclub.engine.channels import Channels
from hotclub.engine.model import Position
from hotclub.engine.port import ChannelSpec
from hotclub.engine.position_check import PositionCheck


class Hub:
    """Subscribers of 500 channels who stand at offset 3."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Position]] = []

    def channels(self) -> list[str]:
        return [f"room:{number}" for number in range(500)]

    def members(self, channel: str) -> list[Any]:
        return [SimpleNamespace(positioned=True)]

    def is_behind(self, channel: str, top: Position) -> bool:
        return top.offset > 3

    def check_top(self, channel: str, top: Position) -> None:
        self.told.append((channel, top))


@pytest.mark.parametrize(("reached", "told"), [(3, 0), (4, 500)])
async def test_the_position_check_of_durable_channels_reads_no_log(reached: int, told: int) -> None:
    def log(_spec: ChannelSpec) -> Any:
        raise AssertionError("the check reads a log")

    spec = ChannelSpec(retention=Retention(size=10, ttl=60), durable=True, position=True)
    hub = Hub()
    channels = SimpleNamespace(
        hub=hub,
        resolve=lambda name: SimpleNamespace(name=name, spec=spec),
        durable=SimpleNamespace(reached=lambda _channel: Position("abcd", reached)),
        log=log,
    )
    check = PositionCheck(cast("Channels", channels))
    await check.run()
    await check.run()
    assert len(hub.told) == told
