"""A project's own back end: named in the settings, held to the contract of brokers, and serving a site."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

import hotclub
from hotclub.conf.backend import make_backend
from hotclub.conf.config import Config
from hotclub.conf.problems import problems
from hotclub.engine.backend import MemoryBackend
from hotclub.engine.broker.base import Broker, HistoryQuery, Message, PublicationHandler, Retention
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.limits import Limits
from hotclub.engine.model import HistoryPage, Position
from hotclub.serving.service import Service
from hotclub.testing.contracts import BrokerContract
from tests.hotclub.conftest import Site

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]

PATH = f"{__name__}.OwnBackend"


class OwnBroker:
    """A broker that writes a book of what passes."""

    def __init__(self, handler: PublicationHandler, clock: Callable[[], float]) -> None:
        self.book: list[str] = []
        self._memory = MemoryBroker(handler, clock=clock)

    async def publish(self, channel: str, message: Message, retention: Retention) -> Position:
        self.book.append(channel)
        return await self._memory.publish(channel, message, retention)

    async def subscribe(self, channel: str) -> None:
        await self._memory.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        await self._memory.unsubscribe(channel)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        return await self._memory.history(channel, query, retention)

    async def remove_history(self, channel: str) -> None:
        await self._memory.remove_history(channel)


class OwnBackend(MemoryBackend):
    """Keeps maps and presence as memory does, and logs in brokers of its own."""

    made: "list[OwnBackend]" = []

    def __init__(self, url: str, limits: Limits) -> None:
        super().__init__(url, limits)
        self.url = url
        self.life: list[str] = []
        self.brokers: list[OwnBroker] = []
        self.now = 0.0
        OwnBackend.made.append(self)

    def broker(self, handler: PublicationHandler) -> Broker:
        self.brokers.append(OwnBroker(handler, lambda: self.now))
        return self.brokers[-1]

    async def start(self) -> None:
        self.life.append("started")

    async def stop(self) -> None:
        self.life.append("stopped")


class OwnMaker:
    """What the contract asks for its broker."""

    def __init__(self) -> None:
        self.backend: Any = make_backend(Config(backend=PATH))

    async def make(self, handler: PublicationHandler) -> Broker:
        await self.backend.start()
        broker: Broker = self.backend.broker(handler)
        return broker

    async def pass_time(self, seconds: float) -> None:
        self.backend.now += seconds


class TestContract(BrokerContract):
    @pytest.fixture
    def maker(self) -> OwnMaker:
        return OwnMaker()


class Ticker(hotclub.Channel):
    pattern = "ticker:<str:name>"
    history = hotclub.History(size=10, ttl=timedelta(minutes=1))

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


@pytest.mark.django_db(transaction=True)
async def test_a_site_runs_on_a_back_end_of_the_project(
    serve: Serve, declare: Declare, hotclub_settings: Configure
) -> None:
    declare(Ticker)
    hotclub_settings(BACKEND=PATH, ENGINE="own://somewhere:1", ALLOW_ANONYMOUS=True)
    OwnBackend.made.clear()
    client = await (await serve()).open()
    await client.join("ticker:a")

    position = await hotclub.apublish("ticker:a", {"n": 1})

    assert await client.publications.get() == ("ticker:a", {"n": 1})
    assert (await hotclub.ahistory("ticker:a")).top == position
    (backend,) = OwnBackend.made
    (broker,) = backend.brokers
    assert (backend.url, backend.life, broker.book) == ("own://somewhere:1", ["started"], ["ticker:a"])


@pytest.mark.django_db(transaction=True)
async def test_a_back_end_ends_with_its_server() -> None:
    OwnBackend.made.clear()
    service = Service(Config(backend=PATH))
    await service.start()
    await service.stop()
    assert OwnBackend.made[-1].life == ["started", "stopped"]


@pytest.mark.parametrize(
    "path", ["nothing", "nowhere.Backend", f"{__name__}.Missing", f"{__name__}.PATH", 7, "hotclub.engine.backend"]
)
def test_a_path_that_names_no_back_end_is_found(path: Any) -> None:
    assert [problem.check for problem in problems({"BACKEND": path})] == ["E007"]


def test_a_project_s_back_end_may_have_any_url() -> None:
    assert list(problems({"BACKEND": PATH, "ENGINE": "own://somewhere"})) == []
    assert [problem.check for problem in problems({"BACKEND": PATH, "ENGINE": "nothing"})] == ["E003"]
    assert [problem.check for problem in problems({"ENGINE": "own://somewhere"})] == ["E004"]
