"""A node that may have missed a revocation believes nothing any more; and an order of its own acts once, at its
commit."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import centrifuge
import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session as SessionRow
from django.db import OperationalError, connection, transaction
from django.utils import timezone

import hotclub
from hotclub.channels.registry import Declarations, Registry
from hotclub.conf.config import Config
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.node import Node
from hotclub.engine.port import Handshake
from hotclub.engine.session import Kind, Session
from hotclub.engine.target import Target
from hotclub.hooks.connect import ConnectHooks
from hotclub.models import Order as OrderRow
from hotclub.orders import table
from hotclub.orders.messages import EndConnections, EndSubscriptions, Order
from hotclub.orders.send import send
from hotclub.revocation.reprove import reprove
from hotclub.runtime.node import require_node
from hotclub.serving.service import Service
from tests.hotclub.conftest import Declare, Site, amake_person
from tests.hotclub.revocation.test_signals_and_watch import is_cut_and_refused
from tests.support.processes import poll_until

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]


class Room(hotclub.Channel):
    pattern = "room:<int:room_id>"
    history = hotclub.History(size=100, ttl=timedelta(hours=1))
    members: set[int] = set()

    async def can_subscribe(self, client: hotclub.Client, room_id: int) -> bool:
        return room_id in self.members


@pytest.fixture(autouse=True)
def members(declare: Declare) -> set[int]:
    """The rooms that anybody may enter."""
    declare(Room)
    Room.members = {1, 2}
    return Room.members


@pytest.fixture
def lose_orders(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the next look find that orders may have been missed."""
    read = table.read
    losses: list[bool] = []

    def lossy(since: table.Mark | None, after: int, limit: int) -> table.Page:
        page = read(since, after, limit)
        return replace(page, lost=bool(losses and losses.pop()))

    monkeypatch.setattr(table, "read", lossy)
    return lambda: losses.append(True)


async def test_after_a_loss_subscriptions_logins_and_grants_are_decided_anew(
    serve: Serve, hotclub_settings: Configure, members: set[int], lose_orders: Callable[[], None]
) -> None:
    hotclub_settings(LOGIN_CHECK=3600)
    site = await serve()
    member, given, gone = [await amake_person(name) for name in ("member", "given", "gone")]
    staying, granted, leaving = [await site.open(person) for person in (member, given, gone)]
    for channel in ("room:1", "room:2"):
        await staying.join(channel)
    await hotclub.asubscribe("room:3", user=given.user)
    node = require_node()
    await poll_until(lambda: node.num_subscribers("room:3") == 1, "the server has subscribed")
    watch = cast("ConnectHooks", node.application.connects)._watch
    await poll_until(lambda: not watch.due(), "every login has been looked at once, as each new one is")
    members.remove(2)
    await SessionRow.objects.filter(pk=gone.session_key).aupdate(expire_date=timezone.now() - timedelta(seconds=1))

    lose_orders()

    personal = f"#{member.user.pk}"
    refused = staying.sdk.get_subscription("room:2")
    ended = centrifuge.SubscriptionState.UNSUBSCRIBED
    await poll_until(lambda: refused.state is ended, "can_subscribe says no now")
    assert staying.connects == 1, "on the connection that was there"
    await staying.sdk.get_subscription("room:1").ready(timeout=5)
    await poll_until(lambda: node.num_subscribers("room:1") == 1, "and yes to the other channel")
    assert node.num_subscribers(personal) == 1, "the personal channel goes with the login"
    await asyncio.wait_for(granted.reconnecting.wait(), 5)
    await poll_until(lambda: granted.connects == 2, "who was subscribed by the server connects anew")
    assert node.num_subscribers("room:3") == 0, "and is not given the channel again"
    assert await is_cut_and_refused(leaving)


async def test_a_grant_kept_for_somebody_who_is_away_is_forgotten(
    serve: Serve, lose_orders: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    site = await serve()
    person = await amake_person()
    first = await site.open(person)
    await hotclub.asubscribe("room:3", user=person.user)
    node = require_node()
    await poll_until(lambda: node.num_subscribers("room:3") == 1, "the server has subscribed")
    await first.sdk.disconnect()
    await poll_until(lambda: node.hub.num_clients == 0, "the client is away")
    [kept] = [key for key, _ in node.hub.peers.departed._kept.items()]
    assert kept[2] == "room:3"

    lose_orders()

    await poll_until(lambda: [*node.hub.peers.departed._kept.items()] == [], "nothing is remembered")
    assert "Orders of other processes may have been missed" in caplog.text


# With a switch between the node and its database


@contextlib.asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Service]:
    made = Service(
        Config(relay_interval=0.02, allow_anonymous=True), Registry(Declarations((Room,)), Config()), **options
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


class Wire:
    """A connection that writes what it is sent into a list."""

    def __init__(self, service: Service) -> None:
        self.encoder = service.node.encoders.json_messages
        self.told = b""
        self.ended: list[Disconnect] = []
        node = service.node
        self.session = Session(node.channels, node.flusher, node.pulse, self, Handshake(), kind=Kind(version="1"))
        self._dispatcher = Dispatcher(self.session)

    def write(self, frames: Any) -> None:
        self.told += b"\n".join(frames)

    def buffered(self) -> int:
        return 0

    def close(self, reason: Disconnect) -> None:
        self.ended.append(reason)

    async def subscribe(self, channel: str) -> None:
        self._dispatcher.receive(b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"%s"}}' % channel.encode())
        await poll_until(lambda: b'"id":2' in self.told, "the reply is there")


async def test_a_revocation_during_an_outage_of_twice_the_patience_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patience, read = 0.3, table.read
    is_cut_off = False

    def switched(*args: Any) -> table.Page:
        if is_cut_off:
            raise OperationalError("no route to the database from this node")
        return read(*args)

    monkeypatch.setattr(table, "read", switched)
    async with running(patience=patience) as service:
        wire = Wire(service)
        await wire.subscribe("room:1")
        is_cut_off = True
        await sync_to_async(send)(EndSubscriptions(Target(client_id=wire.session.id), "room:1", 2000))
        # What the other nodes do when nobody who is not to doubt can have left it unread.
        await asyncio.sleep(2 * patience)
        await OrderRow.objects.all().adelete()
        is_cut_off = False
        await poll_until(lambda: wire.session.subscribers == {}, "the subscription has ended")
        await poll_until(lambda: b'"code":2500' in wire.told, "and its client is told to subscribe again")
        assert wire.ended == []
        wire.session.close(Disconnect(3000))


async def test_a_subscription_that_is_being_decided_is_asked_for_on_a_new_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deciding, decide = asyncio.Event(), asyncio.Event()

    async def can_subscribe(*_args: Any, **_kwargs: Any) -> bool:
        deciding.set()
        return await decide.wait()

    monkeypatch.setattr(Room, "can_subscribe", can_subscribe)
    async with running() as service:
        wire = Wire(service)
        subscribing = asyncio.create_task(wire.subscribe("room:1"))
        await deciding.wait()
        await reprove(service.node, personal=True)
        decide.set()
        assert [reason.code for reason in wire.ended] == [3010]
        assert b'"error"' not in wire.told
        subscribing.cancel()


class Peer:
    """A connection with one subscription, as far as `reprove` sees it."""

    def __init__(self) -> None:
        self.user_id = "7"
        self.expelled: list[int] = []
        self.subscribers = {"room:1": SimpleNamespace(channel="room:1", server_side=False, buffer=None, given=object())}

    def expel(self, channel: str, reason: Unsubscribed) -> None:
        self.expelled.append(reason.code)


async def test_thousands_of_connections_are_doubted_in_many_turns_of_the_loop() -> None:
    peers = [Peer() for _ in range(1000)]
    departed = SimpleNamespace(forget=lambda target: None)
    registry = SimpleNamespace(departed=departed, find=lambda target: peers)
    node = SimpleNamespace(hub=SimpleNamespace(peers=registry))
    steps = [0]
    work = asyncio.create_task(reprove(cast("Node", node), personal=True))
    while not work.done():
        await asyncio.sleep(0)
        steps.append(sum(bool(peer.expelled) for peer in peers))
    assert max(after - before for before, after in pairwise(steps)) <= 200
    assert all(peer.expelled == [2500] for peer in peers)


# An order of this process's own


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> "asyncio.Queue[Order]":
    """The orders that this process performs, whatever way they come."""
    orders: asyncio.Queue[Order] = asyncio.Queue()
    for module in ("hotclub.orders.send", "hotclub.orders.perform", "hotclub.serving.service"):
        monkeypatch.setattr(f"{module}.perform", lambda _node, order: orders.put_nowait(order))
    return orders


async def users(performed: "asyncio.Queue[Order]", count: int) -> list[str | None]:
    async with asyncio.timeout(5):
        received = [await performed.get() for _ in range(count)]
    return [order.target.user_id for order in received if isinstance(order, EndConnections)]


async def test_an_order_acts_here_once_and_with_its_commit(performed: "asyncio.Queue[Order]") -> None:
    def in_transaction() -> None:
        with transaction.atomic():
            hotclub.disconnect(2)
            with transaction.atomic():
                hotclub.disconnect(3)

    async with running():
        await sync_to_async(hotclub.disconnect)(1)
        await sync_to_async(in_transaction)()
        await sync_to_async(send)(EndConnections(Target(user_id="last"), 3503, "over"))
        assert await users(performed, 4) == ["1", "2", "3", "last"]
        assert performed.empty()


async def test_an_order_acts_here_once_when_a_callback_of_the_project_fails(
    performed: "asyncio.Queue[Order]",
) -> None:
    def in_transaction() -> None:
        with transaction.atomic():
            hotclub.disconnect(1)
            transaction.on_commit(lambda: 1 / 0)
            # Django calls no callback after the failed one.
            hotclub.disconnect(2)

    async with running():
        with pytest.raises(ZeroDivisionError):
            await sync_to_async(in_transaction)()
        assert await users(performed, 2) == ["1", "2"]
        await sync_to_async(send)(EndConnections(Target(user_id="last"), 3503, "over"))
        assert await users(performed, 1) == ["last"]
        assert performed.empty()


async def test_an_order_that_is_rolled_back_is_performed_nowhere(performed: "asyncio.Queue[Order]") -> None:
    def roll_back(by_hand: bool) -> None:
        with transaction.atomic():
            hotclub.disconnect(1)
            savepoint = str(connection.savepoint())
            hotclub.disconnect(0)
            # Django forgets the callbacks of `atomic()` blocks only.
            connection.savepoint_rollback(savepoint)
            if not by_hand:
                with contextlib.suppress(LookupError), transaction.atomic():
                    hotclub.disconnect(0)
                    raise LookupError
            hotclub.disconnect(2)

    async with running():
        for by_hand in (True, False):
            await sync_to_async(roll_back)(by_hand)
            assert await users(performed, 2) == ["1", "2"]
        await sync_to_async(send)(EndConnections(Target(user_id="last"), 3503, "over"))
        assert await users(performed, 1) == ["last"]
        assert performed.empty()


async def test_a_commit_waits_neither_for_a_busy_loop_nor_for_what_it_ordered() -> None:
    def work() -> None:
        with transaction.atomic():
            for number in range(3):
                hotclub.publish("room:1", number)
            hotclub.disconnect(7)

    async with running() as service:
        done = threading.Event()

        def work_and_tell() -> None:
            work()
            done.set()

        running_work = asyncio.ensure_future(service.inner_pool.run(work_and_tell))
        await asyncio.sleep(0)
        # Waits in the loop's thread, so that the loop answers nobody.
        assert done.wait(4)
        await running_work
        page = await sync_to_async(hotclub.history)("room:1")
        assert [item.data for item in page.publications] == [0, 1, 2]
