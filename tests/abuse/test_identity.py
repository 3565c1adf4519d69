"""reliability.md §4 C9, C10 and C14, on the real site: whose connection it is, and how long."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.abuse.conftest import Room
from tests.support.clubhouse import PASSWORD, Person, Site, draft, populate, prepare
from tests.support.processes import Server
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


# C10: the sockets of one person on two servers of one site, and what ends them


class Doubled:
    """Two servers on one database; Alice has two sockets on the first and one on the second, Bob has one."""

    def __init__(self, first: Server, second: Server, sockets: list[WireClient], bystander: WireClient) -> None:
        self.first = first
        self.second = second
        self.sockets = sockets
        self.bystander = bystander

    async def ended_within(self, seconds: float) -> set[tuple[int, str]]:
        """How her sockets ended, all of them and in time, while his lived on."""
        started = time.monotonic()
        closed = await asyncio.gather(*(socket.ended(timeout=seconds + 5) for socket in self.sockets))
        assert time.monotonic() - started < seconds
        await self.bystander.settled()
        return {(end.code, end.reason) for end in closed}


@pytest.fixture
async def doubled(tmp_path: Path, _site: Site) -> AsyncIterator[tuple[Doubled, Site]]:
    first = Server(prepare(tmp_path / "site"))
    site = populate(first)
    second = Server(first.data_dir)
    async with first, second, AsyncExitStack() as stack:
        sockets = []
        for person, server in (("Alice", first), ("Alice", first), ("Alice", second), ("Bob", second)):
            headers = site.people[person].headers(server.port)
            client = await stack.enter_async_context(await WireClient.connected(server.port, headers=headers))
            await client.subscribe(site.channel("Lobby"))
            sockets.append(client)
        yield Doubled(first, second, sockets[:3], sockets[3]), site


async def post(server: Server, person: Person, path: str, **fields: str) -> httpx.Response:
    """Send a form as a browser would: with the cookies, and the token of the page it stands on."""
    cookies = {"sessionid": person.session}
    async with httpx.AsyncClient(base_url=server.url, cookies=cookies) as http:
        page = await http.get("/accounts/settings/")
        match = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert match is not None, page.text
        headers = {"Origin": server.url}
        return await http.post(path, data={"csrfmiddlewaretoken": match[1], **fields}, headers=headers)


async def refused_for_good(site: Site, server: Server) -> None:
    """Whoever comes back with the dead session is told not to."""
    async with await WireClient.open(server.port, headers=site.people["Alice"].headers(server.port)) as client:
        await client.start("connect")
        assert (await client.ended()).code == 3501


async def test_c10_logging_out_ends_the_sockets_within_a_second(doubled: tuple[Doubled, Site]) -> None:
    sockets, site = doubled
    answer = await post(sockets.first, site.people["Alice"], "/accounts/logout/")
    assert answer.status_code == 302
    assert await sockets.ended_within(1) == {(3503, "signed out")}
    await refused_for_good(site, sockets.second)


async def test_c10_a_new_password_ends_the_sockets_within_a_second(doubled: tuple[Doubled, Site]) -> None:
    sockets, site = doubled
    new = "another long phrase"
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    answer = await post(sockets.first, site.people["Alice"], "/accounts/settings/password/", **fields)
    assert answer.status_code == 302
    assert {code for code, _ in await sockets.ended_within(1)} == {3011}
    await refused_for_good(site, sockets.second)


async def test_c10_a_disabled_user_loses_the_sockets_within_a_second(doubled: tuple[Doubled, Site]) -> None:
    """Told from a third process, as an administrator's command would."""
    sockets, site = doubled
    sockets.first.shell(
        "from clubhouse.accounts.models import User; u = User.objects.get(username='alice'); "
        "u.is_active = False; u.save()"
    )
    assert await sockets.ended_within(1) == {(3503, "signed out")}
    await refused_for_good(site, sockets.second)


async def test_c10_flushed_sessions_lose_their_sockets_soon(doubled: tuple[Doubled, Site]) -> None:
    """Rows deleted behind Django's back tell nobody: the regular look finds them, every ten seconds."""
    sockets, site = doubled
    sockets.first.shell(
        "from django.contrib.sessions.models import Session; Session.objects.filter("
        f"session_key={site.people['Alice'].session!r})._raw_delete('default')"
    )
    assert {code for code, _ in await sockets.ended_within(12)} == {3011}


async def test_leaving_a_room_ends_its_subscription_within_a_second(doubled: tuple[Doubled, Site]) -> None:
    sockets, site = doubled
    left = time.monotonic()
    await post(sockets.first, site.people["Alice"], f"/chat/{site.rooms['Lobby']}/leave/")
    for socket in sockets.sockets:
        told = await socket.push("unsubscribe", site.channel("Lobby"))
        assert told["code"] < 2500, "the client must not try again"
    assert time.monotonic() - left < 2
    await sockets.bystander.publish(site.channel("Lobby"), draft("among us"))
    for socket in sockets.sockets:
        await socket.settled()
        assert not any(b"among us" in frame.payload for frame in socket.frames)


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
        join = await client.push("join", room.channel)
        assert join["info"]["user"] == alice.id
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
