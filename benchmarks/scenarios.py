"""The measurements. Each function measures one running peer once."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from benchmarks.crowd import Crowd
from benchmarks.peers import Peer
from benchmarks.publishers import ClientPublisher, HttpClient, Publisher, ViewPublisher
from benchmarks.server import Server

_WARM_CONNECTIONS = 20
_WARM_MESSAGES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of the measurements. Times are in seconds."""

    connections: int = 5_000
    signed_in: int = 2_000
    returning: int = 2_000
    subscribers: int = 1_000
    window: int = 50
    """Messages in flight in the scenarios with many."""
    seconds: float = 1.5
    """Duration of one measurement. It ends earlier after `messages` messages."""
    messages: int = 1_000_000
    patience: float = 8.0
    """Time after which a delivery that has not arrived counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What went wrong in one measurement. True when anything did."""

    lost: int
    duplicates: int
    reordered: int
    closed: dict[int, int]
    """Number of connections that the server has ended, by close code."""
    refused: list[str]
    """The first answers that refused a command."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicates or self.reordered or self.closed or self.refused)

    @classmethod
    def of(cls, crowd: Crowd) -> "Losses":
        """Return what has gone wrong with the crowd so far."""
        return cls(
            lost=crowd.lost_deliveries,
            duplicates=crowd.duplicates,
            reordered=crowd.reordered,
            closed=dict(crowd.closed),
            refused=[answer.decode(errors="replace")[:300] for answer in crowd.refusals[:10]],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Connections that only stay open. `rss` and `pss` are KiB of the server's memory per connection, and
    `connect_cpu_us` is its processor time per connect in microseconds."""

    connections: int
    rss: float
    pss: float
    connects_per_second: float
    connect_cpu_us: float
    checked: bool
    """Whether a message to all connections has checked that they live."""
    losses: Losses


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """A crowd whose connections all come at the same time, as after a restart, with clients that obey the server.

    `seconds` passed until the last client was subscribed, `p50` and `p99` until so many of a hundred were. `first_ms`
    is the time of the first message to all of them afterwards. A client that gave up counts as lost.
    """

    connections: int
    seconds: float
    p50: float
    p99: float
    refusals: int
    without_hint: int
    """How many of the refusals told no time to return."""
    connect_cpu_us: float
    first_ms: float
    losses: Losses


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """Messages to many subscribers. `cpu_us` is the server's processor time per delivery in microseconds."""

    publisher: str
    subscribers: int
    in_flight: int
    messages: int
    deliveries: int
    deliveries_per_second: float
    cpu_us: float
    p50_ms: float | None
    p99_ms: float | None
    losses: Losses


async def measure_idle(server: Server, peer: Peer, plan: Plan, session_keys: Sequence[str] = ()) -> Idle:
    """Open all connections, hold them, and measure what they cost.

    For peers that must deliver, one message to all connections checks that they live. The in-memory layer of Channels
    would need most of a minute for it.

    Raises:
        Refused: a connection failed.
    """
    await _warm_up(server, peer, plan, session_keys)
    before, cpu = server.memory(), server.cpu()
    crowd = Crowd(peer.dialect, server.port)
    try:
        count = len(session_keys) or plan.connections
        seconds = await crowd.open(count, session_keys)
        after, cpu = server.memory(), server.cpu() - cpu
        if peer.must_deliver:
            await ClientPublisher(crowd).publish(1)
            await crowd.reach(count, plan.patience)
        return Idle(
            connections=count,
            rss=(after.rss - before.rss) / count,
            pss=(after.pss - before.pss) / count,
            connects_per_second=count / seconds,
            connect_cpu_us=cpu / count * 1e6,
            checked=peer.must_deliver,
            losses=Losses.of(crowd),
        )
    finally:
        crowd.close()


async def measure_returning(server: Server, peer: Peer, plan: Plan) -> Returning:
    """Have a crowd come back at once, and send a message to everybody.

    Raises:
        Refused: a client is told to stay away.
    """
    await _warm_up(server, peer, plan, ())
    crowd, cpu = Crowd(peer.dialect, server.port), server.cpu()
    try:
        returned = await crowd.return_together(plan.returning)
        cpu = server.cpu() - cpu
        started = perf_counter()
        await ClientPublisher(crowd).publish(1)
        await crowd.reach(len(crowd.connections), plan.patience)
        waits = sorted(returned.waits) or [0.0]
        losses = Losses.of(crowd)
        return Returning(
            connections=len(returned.waits),
            seconds=waits[-1],
            p50=waits[len(waits) // 2],
            p99=waits[len(waits) * 99 // 100],
            refusals=returned.refusals,
            without_hint=returned.without_hint,
            connect_cpu_us=cpu / plan.returning * 1e6,
            first_ms=(perf_counter() - started) * 1e3,
            losses=replace(losses, lost=losses.lost + plan.returning - len(returned.waits)),
        )
    finally:
        crowd.close()


async def _warm_up(server: Server, peer: Peer, plan: Plan, session_keys: Sequence[str]) -> None:
    """Make the server import and cache what its first connections need."""
    crowd = Crowd(peer.dialect, server.port)
    try:
        await crowd.open(_WARM_CONNECTIONS, session_keys[-_WARM_CONNECTIONS:])
        await ClientPublisher(crowd).publish(_WARM_MESSAGES)
        await crowd.reach(_WARM_CONNECTIONS * _WARM_MESSAGES, plan.patience)
    finally:
        crowd.close()


async def measure_fan_out(server: Server, peer: Peer, plan: Plan, kind: str, in_flight: int) -> FanOut:
    """Publish to all subscribers with `in_flight` messages under way, and measure what they cost.

    `kind` is "client" or "view"; see `benchmarks.publishers`.

    Raises:
        Refused: a connection failed.
    """
    http, crowd = HttpClient(server.port), Crowd(peer.dialect, server.port)
    publisher = ClientPublisher(crowd) if kind == "client" else ViewPublisher(crowd, http)
    try:
        await crowd.open(plan.subscribers)
        return await _measure(server, crowd, publisher, in_flight, plan)
    finally:
        crowd.close()
        http.close()


async def _measure(server: Server, crowd: Crowd, publisher: Publisher, in_flight: int, plan: Plan) -> FanOut:
    await publisher.publish(1)
    await crowd.reach(plan.subscribers, plan.patience)
    skipped, first = crowd.deliveries, crowd.published
    crowd.latencies = array("d") if in_flight == 1 else None
    cpu, started = server.cpu(), perf_counter()
    if in_flight == 1:
        await _one_by_one(crowd, publisher, plan)
    else:
        await _windowed(crowd, publisher, in_flight, plan)
    seconds, cpu = perf_counter() - started, server.cpu() - cpu
    deliveries = crowd.deliveries - skipped
    p50, p99 = _percentiles(crowd.latencies)
    return FanOut(
        publisher=publisher.name,
        subscribers=plan.subscribers,
        in_flight=in_flight,
        messages=crowd.published - first,
        deliveries=deliveries,
        deliveries_per_second=deliveries / seconds,
        cpu_us=cpu / max(1, deliveries) * 1e6,
        p50_ms=p50,
        p99_ms=p99,
        losses=Losses.of(crowd),
    )


async def _one_by_one(crowd: Crowd, publisher: Publisher, plan: Plan) -> None:
    """Publish a message whenever the one before has reached all subscribers."""
    end, last = perf_counter() + plan.seconds, crowd.published + plan.messages
    while perf_counter() < end and crowd.published < last:
        crowd.sent_at = perf_counter()
        await publisher.publish(1)
        if not await crowd.reach(crowd.published * plan.subscribers, plan.patience):
            return


async def _windowed(crowd: Crowd, publisher: Publisher, window: int, plan: Plan) -> None:
    """Publish half a window whenever at most half a window is under way, and wait for the rest at the end."""
    end, last = perf_counter() + plan.seconds, crowd.published + plan.messages
    half = window // 2
    await publisher.publish(half)
    while perf_counter() < end and crowd.published < last:
        await publisher.publish(half)
        if not await crowd.reach((crowd.published - half) * plan.subscribers, plan.patience):
            return
    await crowd.reach(crowd.published * plan.subscribers, plan.patience)


def _percentiles(latencies: "array[float] | None") -> tuple[float | None, float | None]:
    if not latencies:
        return None, None
    ordered = sorted(latencies)
    return ordered[len(ordered) // 2] * 1e3, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3
