"""reliability.md §4 C1–C3, on the real site: rooms one may not enter, and names that are not what they look like."""

import statistics
import time
from typing import Any

import pytest

from tests.abuse.conftest import Room
from tests.support.clubhouse import draft
from tests.support.wire import ErrorReply, WireClient


async def refusal(client: WireClient, channel: str) -> tuple[int, str]:
    with pytest.raises(ErrorReply) as refused:
        await client.subscribe(channel)
    return refused.value.code, refused.value.message


async def test_c1_a_room_one_is_not_in_answers_like_one_that_is_not(room: Room) -> None:
    async with await room.client("Mallory") as client:
        closed = await refusal(client, room.channel)
        missing = await refusal(client, "chat:999999")
        assert closed == missing == (103, "permission denied")


async def test_c1_the_time_tells_nothing_either(room: Room) -> None:
    """Medians of alternating tries, so that what else the machine does falls on both."""
    times: dict[str, list[float]] = {room.channel: [], "chat:999999": []}
    async with await room.client("Mallory") as client:
        for _ in range(40):
            for channel, taken in times.items():
                started = time.perf_counter()
                await refusal(client, channel)
                taken.append(time.perf_counter() - started)
    closed, missing = (statistics.median(taken) for taken in times.values())
    assert abs(closed - missing) < 0.5 * max(closed, missing)


@pytest.mark.parametrize("method", ["presence", "presence_stats", "history", "publish"])
async def test_c1_nothing_else_works_without_the_right(room: Room, method: str) -> None:
    arguments: dict[str, dict[str, Any]] = {"publish": {"data": draft("x")}, "history": {"limit": 10}}
    async with await room.client("Mallory") as client:
        with pytest.raises(ErrorReply) as refused:
            await client.call(method, channel=room.channel, **arguments.get(method, {}))
        assert refused.value.code == 103


async def test_c1_anothers_personal_channel_is_closed(room: Room) -> None:
    async with await room.client("Mallory") as client:
        code, _ = await refusal(client, f"#{room.site.people['Alice'].id}")
        assert code in (102, 103)


@pytest.mark.parametrize(
    "template",
    [
        "*", "chat:*", "chat:[0-9]*", "..", "chat:{}/../{}", "chat:%31", "chat:{}%00", "chat:{}\0", "chat:{}\n",
        "chat:{}\r\nchat:{}", " chat:{}", "chat:{} ", "chat: {}", "chat:{}?", "chat:+{}", "chat:{}.0", "chat:-{}",
        "chat:0x{}", "chat:{}:", ":chat:{}", "chat::{}", "chat", "$relay", "chat:" + "1" * 300, "x" * 256,
        "chat:９", "ｃｈａｔ:{}", "chat:１", "сhat:{}", "CHAT:{}", "Chat:{}",
        "chat:{}\u200b", "\ufeffchat:{}", "chat:{}\u0301",
    ],
)  # fmt: skip
async def test_c2_c3_a_name_that_only_resembles_a_room_is_refused(room: Room, template: str) -> None:
    """Tried by a member: what is refused is the name, not the person."""
    name = template.replace("{}", str(room.site.rooms["Lobby"]))
    async with await room.client("Alice") as client:
        code, _ = await refusal(client, name)
        assert code in (102, 107)
        await client.subscribe(room.channel)


async def test_c2_a_leading_zero_is_not_another_room(room: Room) -> None:
    """Two names for one thing would be two channels with one permission."""
    async with await room.client("Alice") as client:
        code, _ = await refusal(client, f"chat:0{room.site.rooms['Lobby']}")
        assert code in (102, 103, 107)


async def test_c2_an_empty_name_is_refused(room: Room) -> None:
    async with await room.client("Alice") as client:
        assert await client.fate(await client.start("subscribe", channel="")) == 107
