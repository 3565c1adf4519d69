"""Opening a connection, losing it, and being sent away (protocol §1, §2.1, §4)."""

import asyncio

import centrifuge
import pytest
from centrifuge import ClientState

from tests.conformance.conftest import Conformance, token
from tests.conformance.pypi.conftest import Connect
from tests.support.proxy import FaultProxy, Mode
from tests.support.pypi import PypiClient


async def test_connecting_with_everything_that_can_be_said(connect: Connect, binary: bool) -> None:
    greeting = {
        "data": b'{"hello": 1}' if binary else {"hello": 1},
        "name": "sixteen letters!",
        "version": "1.2.3-测试",
    }
    client = await connect(token=token("42"), headers={"X-Trace": "abc"}, timeout=3.0, **greeting)
    (connected,) = client.contexts("connected")
    assert connected.client == client.sdk.client_id
    assert connected.version


async def test_nobody_needs_a_token(conformance: Conformance, connect: Connect, name: str) -> None:
    client = await connect()
    await client.subscribe(name)
    await conformance.publish(name, 1)
    await client.event("publication", name)


async def test_the_form_can_be_chosen_by_the_address(connect: Connect, name: str, binary: bool) -> None:
    query = "?format=protobuf" if binary else "?cf_protocol_version=v2"
    client = await connect(path=f"/connection/websocket{query}")
    await client.subscribe(name)


async def test_going_and_coming_back(client: PypiClient, name: str) -> None:
    subscription = await client.subscribe(name)
    await client.sdk.disconnect()
    assert (await client.event("disconnected")).code == 0
    with pytest.raises(centrifuge.ClientDisconnectedError):
        await client.sdk.ready()
    await client.sdk.connect()
    await client.event("subscribed", name, number=2)
    await subscription.publish(client.pack(1))
    first, second = client.contexts("connected")
    assert first.client != second.client


@pytest.mark.parametrize("code", [3001, 3011, 3499, 4000, 4499])
async def test_sent_away_for_a_moment(conformance: Conformance, client: PypiClient, user: str, code: int) -> None:
    await conformance.api("disconnect", user=user, disconnect={"code": code, "reason": "稍后再来"})
    told = await client.event("connecting", number=2)
    assert (told.code, told.reason) == (code, "稍后再来")
    await client.event("connected", number=2)


async def test_merely_closed(conformance: Conformance, client: PypiClient, user: str) -> None:
    await conformance.api("disconnect", user=user, disconnect={"code": 3000, "reason": "closed"})
    told = await client.event("connecting", number=2)
    assert (told.code, told.reason) == (1, "transport closed")
    await client.event("connected", number=2)


@pytest.mark.parametrize("code", [3503, 3999, 4500, 4999])
async def test_sent_away_for_good(conformance: Conformance, client: PypiClient, user: str, code: int) -> None:
    await conformance.api("disconnect", user=user, disconnect={"code": code, "reason": "good-bye"})
    told = await client.event("disconnected")
    assert (told.code, told.reason, client.sdk.state) == (code, "good-bye", ClientState.DISCONNECTED)


async def test_a_server_that_is_away_is_waited_for(connect: Connect, proxy: FaultProxy, name: str) -> None:
    proxy.set_mode(Mode.REFUSE)
    client = await connect(ready=False)
    await client.subscribe(name, ready=False)
    await client.event("error", number=2)
    proxy.set_mode(Mode.PASS)
    await client.event("subscribed", name)


async def test_a_command_may_take_too_long_and_the_connection_goes_on(
    client: PypiClient, proxy: FaultProxy, name: str
) -> None:
    subscription = await client.subscribe(name)
    proxy.set_mode(Mode.STALL)
    sent: list[int] = []

    async def publish() -> None:
        while True:
            # What the proxy was reading already still passes.
            sent.append(len(sent))
            await subscription.publish(client.pack(sent[-1]), timeout=0.2)

    with pytest.raises(centrifuge.OperationTimeoutError):
        await publish()
    proxy.set_mode(Mode.PASS)
    await client.event("publication", name, number=len(sent))
    assert client.received(name) == sent
    assert len(client.contexts("connecting")) == 1


async def test_many_commands_at_once(client: PypiClient, name: str) -> None:
    subscription = await client.subscribe(name)
    await asyncio.gather(*(subscription.publish(client.pack(number)) for number in range(200)))
    await client.event("publication", name, number=200)
    assert client.received(name) == list(range(200))
