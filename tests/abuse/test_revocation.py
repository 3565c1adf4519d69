"""reliability.md §4 C10–C12, on the real site: two processes, and on each of them every transport in each form."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.support.clubhouse import PASSWORD, Person, Site, draft, populate, prepare
from tests.support.everywhere import TRANSPORTS, Member, all_ended
from tests.support.processes import Server
from tests.support.wire import ErrorReply, WireClient

SIGNED_OUT = (3503, "signed out")
COME_BACK = (3011, "force reconnect")
ROOM, OTHER = "Lobby", "Garden"


@dataclass
class Pair:
    """Two servers on one database. Bob is in both rooms, and everything happens to somebody else."""

    site: Site
    first: Server
    second: Server
    bob: WireClient

    @asynccontextmanager
    async def everywhere(self, name: str, *rooms: str) -> AsyncIterator[list[Member]]:
        """Somebody with a connection on every transport of both servers, in these rooms."""
        async with AsyncExitStack() as stack:
            opening = (
                stack.enter_async_context(
                    Member.open(
                        server.port, transport, *map(self.site.channel, rooms), headers=self._headers(name, server)
                    )
                )
                for server in (self.first, self.second)
                for transport in TRANSPORTS
            )
            members = [await member for member in opening]
            assert {member.outcome for member in members} == {0}
            yield members

    def _headers(self, name: str, server: Server) -> dict[str, str]:
        return self.site.people[name].headers(server.port)

    async def say(self, room: str, text: str) -> None:
        await self.bob.publish(self.site.channel(room), draft(text))

    async def comes_back_to_nothing(self, name: str, members: list[Member], outcome: int) -> None:
        """Whoever returns with a position, to either server, is refused so, and given nothing of what was said."""
        await self.say(ROOM, "the secret")
        for member in members:
            for server in (self.first, self.second):
                async with Member.open(
                    server.port,
                    member.transport,
                    self.site.channel(ROOM),
                    headers=self._headers(name, server),
                    since=member.position,
                ) as returned:
                    assert returned.outcome == outcome, member.transport
                    assert not returned.heard("the secret")


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Server, Server]]:
    first = Server(prepare(tmp_path_factory.mktemp("pair") / "site"))
    people = ("Bob", "Ann", "Ben", "Cat", "Dan", "Eve", "Fay", "Gus", "Hal")
    site = populate(first, people=people, rooms=(ROOM, OTHER))
    second = Server(first.data_dir)
    for server in (first, second):
        server.start_blocking()
    yield site, first, second
    for server in (first, second):
        server.stop()


@pytest.fixture
async def pair(_pair: tuple[Site, Server, Server]) -> AsyncIterator[Pair]:
    """With Bob on the second server, who is still served when the test is over."""
    site, first, second = _pair
    headers = site.people["Bob"].headers(second.port)
    async with await WireClient.connected(second.port, headers=headers) as bob:
        for room in (ROOM, OTHER):
            await bob.subscribe(site.channel(room))
        yield Pair(site, first, second, bob)
        await bob.settled()


async def post(server: Server, person: Person, path: str, **fields: str) -> None:
    """Send a form as a browser would: with the cookies, and the token of the page it stands on."""
    cookies = {"sessionid": person.session}
    async with httpx.AsyncClient(verify=False, base_url=server.url, cookies=cookies) as http:
        page = await http.get("/accounts/settings/")
        match = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert match is not None, page.text
        headers = {"Origin": server.url}
        answer = await http.post(path, data={"csrfmiddlewaretoken": match[1], **fields}, headers=headers)
        assert answer.status_code == 302


async def test_who_may_comes_back_to_what_was_missed(pair: Pair) -> None:
    """Without this the tests below could not fail."""
    async with pair.everywhere("Hal", ROOM, OTHER) as members:
        await pair.say(ROOM, "the secret")
        await asyncio.gather(*(member.until_heard("the secret") for member in members))
    for member in members:
        headers = pair.site.people["Hal"].headers(pair.first.port)
        channel = pair.site.channel(ROOM)
        async with Member.open(
            pair.first.port, member.transport, channel, headers=headers, since=member.position
        ) as returned:
            assert returned.outcome == 0
            await returned.until_heard("the secret")


async def test_c10_logging_out_ends_everything_within_a_second(pair: Pair) -> None:
    async with pair.everywhere("Ann", ROOM) as members:
        await post(pair.first, pair.site.people["Ann"], "/accounts/logout/")
        assert await all_ended(members, 1) == {SIGNED_OUT}
        await pair.comes_back_to_nothing("Ann", members, 3501)


async def test_c10_a_new_password_ends_everything_within_a_second(pair: Pair) -> None:
    new = "another long phrase"
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    async with pair.everywhere("Ben", ROOM) as members:
        await post(pair.first, pair.site.people["Ben"], "/accounts/settings/password/", **fields)
        assert await all_ended(members, 1) == {COME_BACK}
        await pair.comes_back_to_nothing("Ben", members, 3501)


@pytest.mark.parametrize(
    ("name", "code", "end"),
    [
        ("Cat", "user = User.objects.get(username='cat'); user.is_active = False; user.save()", SIGNED_OUT),
        ("Dan", "Session.objects.filter(session_key={session!r}).delete()", COME_BACK),
    ],
)
async def test_c10_what_an_administrator_does_elsewhere_counts_within_a_second(
    pair: Pair, name: str, code: str, end: tuple[int, str]
) -> None:
    """Told from a third process, as an administrator's command would."""
    imports = (
        "from clubhouse.accounts.models import User; from django.contrib.sessions.models import Session; import time; "
    )
    async with pair.everywhere(name, ROOM) as members:
        session = pair.site.people[name].session
        text = f"{imports}{code.format(session=session)}; print(time.time())"
        done = float(await asyncio.to_thread(pair.first.shell, text))
        assert await all_ended(members, 1) == {end}
        assert time.time() - done < 2
        await pair.comes_back_to_nothing(name, members, 3501)


async def test_c10_c11_sessions_that_expire_or_vanish_end_in_time(pair: Pair) -> None:
    """One that expires ends at once. Rows deleted behind Django's back tell nobody: the regular look finds them."""
    expiring, vanished = (pair.site.people[name].session for name in ("Eve", "Fay"))
    sessions = "from django.contrib.sessions.models import Session; Session.objects.filter(session_key="
    ends = await asyncio.to_thread(
        pair.first.shell,
        "from datetime import timedelta; from django.utils import timezone; "
        "end = timezone.now() + timedelta(seconds=4); "
        f"{sessions}{expiring!r}).update(expire_date=end); print(end.timestamp())",
    )
    async with pair.everywhere("Eve", ROOM) as eve, pair.everywhere("Fay", ROOM) as fay:
        await asyncio.to_thread(pair.first.shell, f"{sessions}{vanished!r})._raw_delete('default')")
        assert await all_ended(eve, 10) == {COME_BACK}
        assert 0 < time.time() - float(ends) < 1
        assert await all_ended(fay, 12) == {COME_BACK}
        await pair.comes_back_to_nothing("Eve", eve, 3501)
        await pair.comes_back_to_nothing("Fay", fay, 3501)


async def test_c12_a_permission_that_is_gone_ends_subscriptions_within_a_second(pair: Pair) -> None:
    channel = pair.site.channel(ROOM)
    async with pair.everywhere("Gus", ROOM, OTHER) as members:
        await pair.say(ROOM, "before")
        await asyncio.gather(*(member.until_heard("before") for member in members))
        clients = [member.client for member in members if member.client is not None]
        for client in clients:
            page = await client.call("history", channel=channel, limit=1)
            assert len(page["publications"]) == 1
        await post(pair.first, pair.site.people["Gus"], f"/chat/{pair.site.rooms[ROOM]}/leave/")
        codes = await asyncio.gather(*(member.unsubscribed(channel, 1) for member in members))
        assert all(code < 2500 for code in codes), "the client must not try again"
        await pair.say(ROOM, "among us")
        await pair.say(OTHER, "after it")
        await asyncio.gather(*(member.until_heard("after it") for member in members))
        assert not any(member.heard("among us") for member in members)
        for client in clients:
            for method in ("history", "presence", "presence_stats"):
                with pytest.raises(ErrorReply) as refused:
                    await client.call(method, channel=channel)
                assert refused.value.code == 103
        await pair.comes_back_to_nothing("Gus", members, 103)


async def test_c12_a_permission_that_went_while_one_was_away_is_gone(pair: Pair) -> None:
    async with pair.everywhere("Hal", ROOM) as members:
        await pair.say(ROOM, "before")
        await asyncio.gather(*(member.until_heard("before") for member in members))
    await post(pair.second, pair.site.people["Hal"], f"/chat/{pair.site.rooms[ROOM]}/leave/")
    await pair.comes_back_to_nothing("Hal", members, 103)
