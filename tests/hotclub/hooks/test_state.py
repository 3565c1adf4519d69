"""State for who cannot recover, publications that a class keeps from some, and payloads that are not JSON."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import centrifuge
import pytest
from msgspec import Raw

import hotclub
import hotclub.tokens
from hotclub.engine.errors import Refused
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import Handshake
from hotclub.serving.service import Service
from tests.hotclub.conftest import Site, amake_person
from tests.support.wire import ErrorReply, WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Declare = Callable[..., None]


class Board(hotclub.Channel):
    pattern = "board:<int:board_id>"
    history = hotclub.History(size=10, ttl=timedelta(hours=1), durable=True)

    def can_subscribe(self, client: hotclub.Client, board_id: int) -> bool:
        return board_id != 9

    def on_publish(self, client: hotclub.Client, data: Any, board_id: int) -> Any:
        return data

    def get_state(self, client: hotclub.Client, board_id: int) -> Any:
        return {"board": board_id, "for": client.user.get_username()}

    def tags_filter(self, client: hotclub.Client, board_id: int) -> Callable[[Mapping[str, str]], bool]:
        name = client.user.get_username()
        return lambda tags: tags.get("to", name) == name


class Passing(hotclub.Channel):
    pattern = "passing"

    async def can_subscribe(self, client: hotclub.Client) -> bool:
        return True

    async def get_state(self, client: hotclub.Client) -> Any:
        return [1, 2]


class Stateless(hotclub.Channel):
    pattern = "stateless"

    async def can_subscribe(self, client: hotclub.Client) -> bool:
        return True


@pytest.fixture(autouse=True)
def _channels(declare: Declare) -> None:
    declare(Board, Passing, Stateless)


async def state(site: Site, channel: Any, username: str = "alice") -> Any:
    client = await site.open(await amake_person(username))
    return (await client.sdk.rpc("hotclub.state", {"channel": channel})).data


async def test_the_state_comes_with_the_position_to_subscribe_from(serve: Serve) -> None:
    site = await serve()
    position = await hotclub.apublish("board:1", {"n": 1})
    assert position is not None
    assert await state(site, "board:1") == {
        "state": {"board": 1, "for": "alice"},
        "epoch": position.epoch,
        "offset": 1,
    }


async def test_a_channel_without_history_has_a_state_and_no_position(serve: Serve) -> None:
    assert await state(await serve(), "passing") == {"state": [1, 2]}


@pytest.mark.parametrize(
    ("channel", "code"), [("board:9", 103), ("stateless", 108), ("nowhere", 102), ("", 107), (None, 107), (7, 107)]
)
async def test_a_state_that_one_may_not_see_is_refused(serve: Serve, channel: Any, code: int) -> None:
    with pytest.raises(centrifuge.ReplyError) as refused:
        await state(await serve(), channel)
    assert refused.value.code == code


async def test_a_publication_for_somebody_else_never_arrives_live_or_recovered(serve: Serve) -> None:
    site = await serve()
    client = await site.open(await amake_person("alice"))
    await client.join("board:1")
    for number, to in enumerate(["alice", "bob", "alice"]):
        await hotclub.apublish("board:1", number, tags={"to": to})
    assert [(await client.publications.get())[1] for _ in range(2)] == [0, 2]


async def test_a_publication_for_somebody_else_is_in_no_history_and_in_no_subscription_by_the_server(
    serve: Serve,
) -> None:
    site = await serve()
    person = await amake_person("alice")
    async with await WireClient.connected(site.port, headers=site.headers(person)) as client:
        await hotclub.asubscribe("board:1", user=person.user)
        await client.push("subscribe", "board:1")
        for number, to in enumerate(["bob", "alice"]):
            await hotclub.apublish("board:1", number, tags={"to": to})
        assert [publication["data"] for publication in await client.publications("board:1", 1)] == [1]
        page = await client.call("history", channel="board:1", limit=10)
        assert [publication["data"] for publication in page["publications"]] == [1]


async def test_bytes_that_are_not_json_are_refused_and_not_a_failure() -> None:
    service = Service()
    await service.start()
    try:
        client = EngineClient(id="c", handshake=Handshake(), state=hotclub.Client.__new__(hotclub.Client))
        with pytest.raises(Refused) as refused:
            await service.node.application.calls.rpc(client, "hotclub.state", Raw(b"\xff"))
        assert refused.value.code == 107
    finally:
        await service.stop()


class Signed(hotclub.Channel):
    pattern = "signed:<int:number>"
    token = True

    def get_state(self, client: hotclub.Client, number: int) -> Any:
        return number


async def test_the_state_of_a_channel_with_tokens_needs_a_token_or_a_subscription(
    serve: Serve, declare: Declare, hotclub_settings: Callable[..., None]
) -> None:
    hotclub_settings(TOKENS={"HMAC_SECRET": "a secret of more than thirty-two bytes"})
    declare(Signed)
    site = await serve()
    person = await amake_person("alice")
    client = await site.open(person)
    token = hotclub.tokens.subscription_token(person.user, "signed:1")

    for arguments in ({"channel": "signed:1"}, {"channel": "signed:2", "token": "no token"}):
        with pytest.raises(centrifuge.ReplyError) as refused:
            await client.sdk.rpc("hotclub.state", arguments)
        assert refused.value.code == 103
    assert (await client.sdk.rpc("hotclub.state", {"channel": "signed:1", "token": token})).data == {"state": 1}


async def test_a_signed_channel_cannot_be_read_any_more_when_the_server_has_taken_it_back(
    serve: Serve, declare: Declare, hotclub_settings: Callable[..., None]
) -> None:
    hotclub_settings(TOKENS={"HMAC_SECRET": "a secret of more than thirty-two bytes"})
    began, go_on = asyncio.Event(), asyncio.Event()

    class Slow(hotclub.Channel):
        pattern = "slow:<int:number>"
        token = True
        presence = True
        history = hotclub.History(size=10, ttl=timedelta(hours=1))

        async def get_state(self, client: hotclub.Client, number: int) -> Any:
            began.set()
            await go_on.wait()
            return number

    declare(Slow)
    site = await serve()
    person = await amake_person("alice")
    async with await WireClient.connected(site.port, headers=site.headers(person)) as client:
        token = hotclub.tokens.subscription_token(person.user, "slow:1")
        await client.subscribe("slow:1", token=token)
        await client.call("history", channel="slow:1", limit=1)
        asked = await client.start("rpc", method="hotclub.state", data={"channel": "slow:1"})
        await began.wait()
        await hotclub.aunsubscribe("slow:1", user=person.user)
        await client.push("unsubscribe", "slow:1")
        go_on.set()
        assert await client.fate(asked) == 103
        for method in ("history", "presence", "presence_stats"):
            with pytest.raises(ErrorReply) as refused:
                await client.call(method, channel="slow:1")
            assert refused.value.code == 103
