"""One failure harms nobody else: whatever a hook, a store, a transport or a filter raises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final

import pytest

from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect, Refused, Unsubscribed
from hotclub.engine.failures import finished, is_stop, surviving
from hotclub.engine.outbox import Outbox
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.target import Target
from hotclub.engine.transports.base import conduct
from tests.engine.support import Club, MemoryClient


class Panic(BaseException):
    """What an extension in Rust raises: no `Exception`."""


FAILURES: Final = [RuntimeError("broken"), Panic("broken"), asyncio.CancelledError("of something else")]


class BrokenOutbox(Outbox):
    """Raises where an outbox raises nothing."""

    def __init__(self) -> None:
        """No outbox."""

    def push(self, frame: bytes) -> None:
        raise ZeroDivisionError

    def flush(self) -> None:
        raise ZeroDivisionError


HOOKS: Final = ["unsubscribed", "presence_changed", "disconnected"]


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club()
    await club.node.start()
    yield club
    await club.node.stop()


def fails(error: BaseException) -> Callable[..., Awaitable[Any]]:
    async def failing(*_args: object, **_options: object) -> Any:
        raise error

    return failing


async def member(club: Club, *channels: str, user: str = "") -> MemoryClient:
    client = await club.connect(user)
    for channel in channels:
        assert "subscribe" in await client.call(subscribe={"channel": channel})
    return client


@pytest.mark.parametrize("error", FAILURES, ids=repr)
async def test_what_fails_is_logged_and_what_follows_runs(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    with surviving("It broke in %s", "a test"):
        fail()
    assert "It broke in a test" in caplog.text


async def test_the_cancellation_of_this_task_and_the_end_of_the_process_are_no_failures() -> None:
    assert is_stop(KeyboardInterrupt())
    assert is_stop(SystemExit())
    assert not is_stop(asyncio.CancelledError())
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await asyncio.sleep(0)
    assert is_stop(caught.value)
    task.uncancel()


async def test_clean_up_runs_to_its_end_however_often_its_caller_is_cancelled() -> None:
    gate, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.set()

    caller = asyncio.create_task(finished(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()


@pytest.mark.parametrize("error", [*FAILURES, Refused(103), Disconnect(3500)], ids=repr)
@pytest.mark.parametrize("hook", HOOKS)
async def test_the_end_of_a_connection_undoes_everything_whichever_hook_fails(
    club: Club, monkeypatch: pytest.MonkeyPatch, hook: str, error: BaseException
) -> None:
    client = await member(club, "here:a", "here:b")
    monkeypatch.setattr(club.application, hook, fails(error))
    await client.leave()
    assert client.session.subscribers == {}
    assert await club.node.presence_members("here:a") == await club.node.presence_members("here:b") == {}
    if hook != "disconnected":
        assert [client for client, *_ in club.application.ended] == [client.session.id]
    if hook != "unsubscribed":
        assert [channel for _, channel in club.application.left] == ["here:a", "here:b"]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
async def test_a_store_that_fails_keeps_no_connection_from_its_end(
    club: Club, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    client = await member(club, "here:a")
    assert "subscribe" in await client.call(subscribe={"channel": "crowd:b", "type": 1})
    monkeypatch.setattr(club.node.channels, "link", fails(error))
    monkeypatch.setattr(club.node.presence, "drop", fails(error))
    monkeypatch.setattr(club.node.channels.maps, "change", fails(error))
    await client.leave()
    assert [channel for _, channel in club.application.left] == ["here:a", "crowd:b"]
    assert len(club.application.ended) == 1


async def test_a_connection_whose_task_is_cancelled_twice_is_wholly_ended(club: Club) -> None:
    client = await member(club, "here:a")
    gate = club.application.hold("presence", "here:a")
    task = asyncio.create_task(conduct(client.session, client.dispatcher, asyncio.sleep(3600)))
    await asyncio.sleep(0)
    task.cancel()
    await gate.entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [client for client, *_ in club.application.ended] == [client.session.id]


@pytest.mark.parametrize("error", [*FAILURES, Refused(106), Disconnect(3500)], ids=repr)
@pytest.mark.parametrize("step", ["presence", "hook"])
async def test_a_subscribe_is_answered_once_though_the_subscriber_cannot_be_shown(
    club: Club, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    if step == "presence":
        monkeypatch.setattr(club.node.presence, "touch", fails(error))
    else:
        monkeypatch.setattr(club.application, "presence_changed", fails(error))
    client = await club.connect("ann")
    number = client.send(subscribe={"channel": "log:a"})
    await client.flushed()
    assert len([message for message in client.line.received if message.get("id") == number]) == 1
    await club.publish("log:a")
    assert len(await client.pushed("pub")) == 1


@pytest.mark.parametrize("error", [RuntimeError("broken"), Panic("broken"), Refused(106)], ids=repr)
async def test_a_connect_is_answered_once_though_a_subscription_of_the_server_fails_after_it(
    club: Club, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    gate = club.application.hold("connect", "ann")
    client = club.client()
    number = client.send(connect={"data": {"user": "ann"}})
    await gate.entered.wait()
    monkeypatch.setattr(club.application, "admits", fails(error))

    async def subscribe() -> None:
        session = client.session
        club.node.hub.peers.add(session)
        await club.node.subscribe(Target(client_id=session.id), "log:a", SubscribeGrant())

    await subscribe()
    gate.open()
    await client.until(lambda received: received or None)
    assert "rpc" in await client.call(rpc={"method": "echo"})
    assert len([message for message in client.line.received if message.get("id") == number]) == 1


@pytest.mark.parametrize("error", [Panic("broken"), asyncio.CancelledError("of something else")], ids=repr)
async def test_a_command_is_answered_whatever_its_hook_raises(
    club: Club, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    client = await club.connect()
    monkeypatch.setattr(club.application, "rpc", fails(error))
    assert (await client.call(rpc={"method": "echo"}))["error"]["code"] == 100
    assert "subscribe" in await client.call(subscribe={"channel": "plain:a"})


@pytest.mark.parametrize("error", [RuntimeError("broken"), Panic("broken")], ids=repr)
async def test_a_filter_that_fails_ends_its_own_connection_alone(club: Club, error: BaseException) -> None:
    def admits(_tags: Mapping[str, str]) -> bool:
        raise error

    club.application.grants["log:a"] = SubscribeGrant(admits=admits)
    broken = await member(club, "log:a")
    club.application.grants.clear()
    healthy = await member(club, "log:a")
    await club.publish("log:a")
    assert await healthy.pushed("pub")
    assert (await broken.ended()).code == Close.INTERNAL_ERROR


@pytest.mark.parametrize("error", [RuntimeError("broken"), Panic("broken")], ids=repr)
async def test_a_transport_that_fails_ends_its_own_connection_alone(
    club: Club, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    first, broken, last = [await member(club, "log:a") for _ in range(3)]

    def write(_frames: object) -> None:
        raise error

    monkeypatch.setattr(broken.line, "write", write)
    for number in (1, 2):
        await club.publish("log:a")
        assert len(await first.pushed("pub", number)) == len(await last.pushed("pub", number)) == number
    assert (await broken.ended()).code == Close.WRITE_ERROR
    assert club.node.hub.num_subscribers("log:a") == 2


@pytest.mark.parametrize("order", ["disconnect", "unsubscribe", "gap", "no pong"])
async def test_a_connection_that_cannot_be_ended_keeps_no_order_from_the_others(
    club: Club, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    broken, healthy = [await member(club, "log:a", user="ann") for _ in range(2)]
    monkeypatch.setattr(broken.line, "close", lambda _reason: 1 / 0)
    monkeypatch.setattr(broken.session, "outbox", BrokenOutbox())
    everybody = Target(user_id="ann")
    if order == "disconnect":
        club.node.disconnect(everybody, Disconnect(3503))
    elif order == "unsubscribe":
        club.node.unsubscribe(everybody, "log:a", Unsubscribed())
    elif order == "gap":
        club.node.hub.peers.report_gaps(club.node.hub.members("log:a"))
    else:
        silent = SimpleNamespace(tick=lambda *_limits: ([], [broken.session, healthy.session]))
        monkeypatch.setattr(club.node.upkeep, "_pulse", silent)
        await club.node.upkeep.beat()
    assert healthy.session.closed or not healthy.session.subscribers


@pytest.mark.parametrize("error", [RuntimeError("broken"), Panic("broken")], ids=repr)
async def test_one_lease_that_cannot_be_renewed_keeps_nobody_elses_from_renewal(
    club: Club, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    clients = [await member(club, f"here:{name}") for name in "abc"]
    renewed: list[str] = []

    async def touch(channel: str, _info: object) -> None:
        if channel == "here:b":
            raise error
        renewed.append(channel)

    monkeypatch.setattr(club.node.presence, "touch", touch)
    await club.node.channels.appearances.renew()
    assert renewed == ["here:a", "here:c"]
    assert len(clients) == 3
