"""reliability.md §4 C9 and C14, on the real site: whose connection it is."""

from typing import Any

import pytest

from tests.abuse.conftest import Room
from tests.support.clubhouse import draft
from tests.support.rawws import HandshakeRefused, RawWebSocket
from tests.support.wire import Closed, ErrorReply, WireClient

# C9


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com", "null", "", "http://127.0.0.1.evil.com", "http://127.0.0.1@evil.com",
        "http://127.0.0.1:{port}.evil.com", "http://127.0.0.1:{port}@evil.com", "http://evil.com#127.0.0.1:{port}",
        "http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://localhost:{port}", "file://", "127.0.0.1:{port}",
        "http://127.0.0.1:{port}, http://evil.com", "http://127.0.0.1:{port}\\@evil.com",
    ],
)  # fmt: skip
async def test_c9_a_foreign_origin_is_refused_with_the_users_cookie(room: Room, origin: str) -> None:
    alice = room.site.people["Alice"]
    headers = {"Cookie": f"sessionid={alice.session}", "Origin": origin.format(port=room.port)}
    with pytest.raises(HandshakeRefused) as refused:
        await RawWebSocket.connect(room.port, headers=headers)
    assert refused.value.status in (400, 403)


async def test_c9_a_cookie_without_an_origin_is_refused(room: Room) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        await RawWebSocket.connect(room.port, headers={"Cookie": f"sessionid={room.site.people['Alice'].session}"})
    assert refused.value.status == 403


async def test_c9_a_foreign_host_is_refused(room: Room) -> None:
    headers = room.site.people["Alice"].headers(room.port) | {"Origin": "http://evil.com"}
    with pytest.raises(HandshakeRefused) as refused:
        await RawWebSocket.connect(room.port, headers=headers, host_header="evil.com")
    assert refused.value.status == 400


async def test_c9_nobody_is_let_in_for_good(room: Room) -> None:
    """Without a session the site has nothing to show, and says so finally instead of provoking retries."""
    async with await WireClient.open(room.port) as client:
        await client.start("connect")
        assert (await client.ended()).code == 3501


# C14


async def test_c14_an_author_is_who_is_signed_in(room: Room) -> None:
    bob = room.site.people["Bob"]
    forged = {"user": {"id": bob.id, "name": "Bob"}, "author": bob.id, "sender": "Bob", "is_staff": True}
    async with await room.client("Alice") as client:
        await client.subscribe(room.channel)
        message = draft("who am I?") | forged | {"html": "<script>", "offset": 999, "created": "1970-01-01T00:00:00Z"}
        await client.call("publish", channel=room.channel, data=message, info={"user": bob.id}, user=bob.id)
        publication = (await client.publications(room.channel, 1))[-1]
        told = publication["data"]["message"]
        assert told["user"] == {"id": room.site.people["Alice"].id, "name": "Alice"}
        assert told["html"] == "<p>who am I?</p>"
        assert publication["offset"] != 999
        assert not told["created"].startswith("1970")


async def test_c14_typing_is_by_who_is_signed_in(room: Room) -> None:
    typing = room.channel.replace("chat:", "chat-typing:")
    async with await room.client("Alice") as alice, await room.client("Bob") as bob:
        await alice.subscribe(typing)
        await bob.subscribe(typing)
        await alice.publish(typing, {"user": {"id": room.site.people["Bob"].id, "name": "Bob"}})
        (publication,) = await bob.publications(typing, 1)
        assert publication["data"] == {"user": {"id": room.site.people["Alice"].id, "name": "Alice"}}


async def test_c14_connect_data_makes_nobody_else(room: Room) -> None:
    alice, bob = room.site.people["Alice"], room.site.people["Bob"]
    async with await WireClient.open(room.port, headers=alice.headers(room.port)) as client:
        await client.connect(
            data={"user": bob.id, "is_staff": True},
            headers={"Cookie": f"sessionid={bob.session}"},
            subs={f"#{bob.id}": {"recover": True}},
        )
        await client.subscribe(room.channel)
        members = (await client.call("presence", channel=room.channel))["presence"]
        assert members[client.client_id]["user"] == alice.id
        connected = client.inbox[0]["connect"]
        assert set(connected["subs"]) == {f"#{alice.id}"}


async def test_c14_a_forged_token_ends_the_connection_in_spite_of_the_cookie(room: Room) -> None:
    alice = room.site.people["Alice"]
    async with await WireClient.open(room.port, headers=alice.headers(room.port)) as client:
        with pytest.raises(Closed) as end:
            await client.connect(token="forged")
        assert end.value.code == 3500


async def test_c14_the_wrong_type_in_place_of_a_text_is_refused(room: Room) -> None:
    async with await room.client("Alice") as client:
        await client.subscribe(room.channel)
        some_id = draft("")["id"]
        shapes: list[Any] = [
            {"id": 1, "text": "x"},
            {"id": "x", "text": "x"},
            {"text": "x"},
            {"id": some_id, "text": 1},
        ]
        for data in (*shapes, [], 1):
            with pytest.raises(ErrorReply) as refused:
                await client.publish(room.channel, data)
            assert 400 <= refused.value.code < 500
        for text, code in (("", 400), ("   ", 400), ("x" * 10_001, 413)):
            with pytest.raises(ErrorReply) as refused:
                await client.publish(room.channel, draft(text))
            assert refused.value.code == code
