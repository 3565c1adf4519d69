"""What a client sends with its subscribe command reaches the hooks that ask for it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import hotclub
from hotclub.engine.errors import Refused
from tests.hotclub.conftest import Site, amake_person
from tests.support.wire import ErrorReply, WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Declare = Callable[..., None]


class Invited(hotclub.Channel):
    """Who knows the word is let in, and gets it back."""

    pattern = "invited:<str:name>"
    presence = True

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        data = client.data
        if data is None:
            return bool(client.info == name)
        if not isinstance(data, dict):
            raise Refused(400, "data is an object")
        knows = data == {"word": "open sesame"}
        client.info = name if knows else client.info
        return knows

    async def on_subscribe(self, client: hotclub.Client, **values: Any) -> Any:
        return {"you said": client.data, **values}


class Captured(hotclub.Channel):
    """Its pattern has the name itself."""

    pattern = "captured:<str:data>"

    def can_subscribe(self, client: hotclub.Client, data: str) -> bool:
        return data == "mine"


async def test_hooks_are_given_what_came_with_the_subscribe(serve: Serve, declare: Declare) -> None:
    declare(Invited, Captured)
    site = await serve()
    person = await amake_person()
    async with await WireClient.connected(site.port, headers=site.headers(person)) as client:
        word = {"word": "open sesame"}
        assert (await client.subscribe("invited:a", data=word))["data"] == {"you said": word, "name": "a"}
        # Asked again without a subscribe, there is none.
        assert list((await client.call("presence", channel="invited:a"))["presence"]) == [client.client_id]

        async def code(channel: str, **fields: Any) -> int:
            with pytest.raises(ErrorReply) as refused:
                await client.subscribe(channel, **fields)
            return refused.value.code

        assert await code("invited:b", data={"word": "please"}) == 103
        assert await code("invited:b", data=[1]) == 400
        assert await code("invited:b") == 103
        assert await code("captured:yours", data="mine") == 103
        await client.subscribe("captured:mine", data="yours")
