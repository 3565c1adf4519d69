"""The front end's copies of the server's numbers."""

import re
from enum import IntEnum

import pytest

import hotclub
from clubhouse.chat import errors, services
from clubhouse.ui.tests.texts import FRONT_END


@pytest.mark.parametrize("table", [hotclub.Code, hotclub.Close, hotclub.Unsubscribe])
def test_the_front_end_names_the_protocols_codes_as_the_server_does(table: type[IntEnum]) -> None:
    source = (FRONT_END / "net/codes.ts").read_text(encoding="utf-8")
    (body,) = re.findall(rf"export const {table.__name__} = {{(.*?)}} as const;", source, re.DOTALL)
    copies = {name: int(number) for name, number in re.findall(r"(\w+): (\d+)", body)}
    assert copies
    assert copies == {name: table[name] for name in copies}


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("codes", "BAD_MESSAGE", errors.BadMessage.code),
        ("codes", "BAD_MESSAGE", errors.EmptyMessage.code),
        ("codes", "MESSAGE_TOO_LONG", errors.MessageTooLong.code),
        ("codes", "TOO_FAST", errors.TooFast.code),
        ("codes", "ROOM_DELETED", errors.ROOM_DELETED),
        ("codes", "ID_ALREADY_USED", errors.IdAlreadyUsed.code),
        ("outbox", "MAX_LENGTH", services.MAX_LENGTH),
    ],
)
def test_the_front_end_knows_the_numbers_of_the_chat(file: str, name: str, value: int) -> None:
    source = (FRONT_END / f"chat/{file}.ts").read_text(encoding="utf-8")
    (number,) = re.findall(rf"^export const {name} = ([\d_]+);", source, re.MULTILINE)
    assert int(number) == value
