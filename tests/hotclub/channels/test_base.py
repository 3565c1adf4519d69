"""The classes that developers write."""

from typing import Any

import pytest

import hotclub
from hotclub.channels.rpc import RPC_ATTRIBUTE


class Quiet(hotclub.Channel):
    pattern = "quiet"


class Talking(hotclub.Channel):
    pattern = "talking"

    def on_publish(self, client: hotclub.Client, data: Any) -> Any:
        return data


NOBODY: Any = None


def test_publishing_is_open_exactly_where_on_publish_is_written() -> None:
    assert Quiet().can_publish(NOBODY) is False
    assert Talking().can_publish(NOBODY) is True


def test_by_default_a_publication_passes_as_it_is() -> None:
    data = {"a": 1}

    assert Quiet().on_publish(NOBODY, data) is data


def test_a_class_without_can_subscribe_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Quiet has no can_subscribe"):
        Quiet().can_subscribe(NOBODY)


def test_a_base_is_marked_and_its_heirs_are_not_bases() -> None:
    class Base(hotclub.Channel, abstract=True): ...

    class Heir(Base): ...

    assert Base.abstract
    assert not Heir.abstract


def test_a_procedure_stays_a_function() -> None:
    @hotclub.rpc("double")
    def double(client: hotclub.Client, a: int) -> int:
        return 2 * a

    assert double(NOBODY, a=2) == 4
    assert getattr(double, RPC_ATTRIBUTE) == "double"
