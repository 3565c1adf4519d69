"""What the system checks say of who gets in."""

from collections.abc import Callable
from typing import Any

import pytest

import hotclub
from hotclub.checks.access import check_access

Configure = Callable[..., None]
Declare = Callable[..., None]


def ids() -> list[str | None]:
    return [message.id for message in check_access()]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"INSECURE": True}, ["hotclub.W008"]),
        ({"TOKENS": {"HMAC_SECRET": "secret"}}, ["hotclub.W009"]),
        ({"TOKENS": {"HMAC_SECRET": "s" * 32}}, []),
        ({"API_KEYS": ["test"]}, ["hotclub.W010"]),
        ({"API_KEYS": ["k" * 20, "sha256:" + "0" * 64, {"KEY": "l" * 20}]}, []),
        ({"API_KEYS": ["test"], "NONSENSE": 1}, []),
    ],
)
def test_settings_that_open_doors_are_reported(
    keys: dict[str, Any], expected: list[str], hotclub_settings: Configure, declare: Declare
) -> None:
    declare()
    hotclub_settings(**keys)

    assert ids() == expected


def test_a_class_that_nobody_could_enter_is_an_error(hotclub_settings: Configure, declare: Declare) -> None:
    class Signed(hotclub.Channel):
        pattern = "signed"
        token = True

    class Wrong(hotclub.Channel):
        pattern = "wrong"
        rate = 5  # type: ignore[assignment]

    declare(Signed, Wrong)
    assert ids() == ["hotclub.E022", "hotclub.E023"]
    hotclub_settings(TOKENS={"HMAC_SECRET": "s" * 32})
    assert ids() == ["hotclub.E023"]
