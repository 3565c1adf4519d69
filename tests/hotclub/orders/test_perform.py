"""An order that both the commit and the reader bring to a node is performed once, and then its row is forgotten."""

import pytest

from hotclub.engine.node import Node
from hotclub.engine.target import Target
from hotclub.orders import perform
from hotclub.orders.messages import EndConnections, EndSubscriptions, Order
from tests.engine.support import Club
from tests.support.clock import Clock

ORDER = EndConnections(Target(user_id="7"), 3503, "force disconnect")
OTHER = EndSubscriptions(Target(user_id="7"), "room", 2000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


@pytest.fixture
def node() -> Node:
    return Club().node


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    performed: list[Order] = []
    monkeypatch.setattr(perform, "perform", lambda _node, order: performed.append(order))
    return performed


def test_the_second_arrival_of_an_order_is_skipped(node: Node, performed: list[Order]) -> None:
    for _ in range(2):
        perform.perform_once(node, 1, ORDER)
    assert performed == [ORDER]
    assert not perform._performed[node]


@pytest.mark.usefixtures("performed")
def test_rows_that_no_reader_brings_are_forgotten(node: Node, clock: Clock) -> None:
    for number in range(1_000):
        perform.perform_once(node, number, ORDER)
    clock.now += 601
    for number in range(1_000, 1_500):
        perform.perform_once(node, number, ORDER)
    assert len(perform._performed[node]) == 500


def test_an_order_with_the_id_of_a_row_that_was_never_read_is_performed(node: Node, performed: list[Order]) -> None:
    perform.perform_once(node, 1, ORDER)
    for _ in range(2):
        perform.perform_once(node, 1, OTHER)
    assert performed == [ORDER, OTHER]
