"""Every bound of the engine in one frozen object, and the token bucket that enforces rates."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that hold before anything is buffered. Sizes are bytes, times are seconds, rates are per second."""

    message_bytes: int = 65_536
    """Largest message a client may send; a longer one closes the connection with 1009."""
    fragments: int = 64
    """Most frames that one WebSocket message may be cut into."""
    depth: int = 16
    """Deepest nesting of arrays and objects in a payload."""
    channel_bytes: int = 255
    channels_per_connection: int = 128
    commands_per_frame: int = 256
    """Larger than `channels_per_connection`: an SDK sends connect and every subscribe in one frame."""
    commands_rate: float = 200.0
    commands_burst: int = 600
    rejected_commands: int = 100
    """A command beyond `commands_rate` is answered with 111, and one within it makes up for one of those. At this many
    that are not made up for, the connection is closed with 3013."""
    pending_commands: int = 1_000
    connect_timeout: float = 10.0
    """How long a client may take until its connect command is answered; then the connection is closed with 3502."""
    expiry_grace: float = 25.0
    """How long a connection or a subscription outlives its token: a client asks for a new token only when the old one
    is over (protocol §2.8)."""
    close_timeout: float = 5.0
    """How long a peer may take to answer a close frame before the socket is reset."""
    drain_time: float = 10.0
    """How long a server that stops waits for the commands that have begun; then their connections are closed."""
    drain_spread: float = 5.0
    """The time over which a server that stops closes its connections, so that their clients do not return at once."""
    unauthenticated_connections: int = 2_000
    """Sockets that may wait for their connect command at one time; the next one is refused with 503."""
    outbox_bytes: int = 1_048_576
    """What a slow reader may leave unread before it is closed with 3008."""
    ephemeral_bytes: int = 524_288
    """Backlog above which publications without history are dropped for that reader, and counted."""
    recovery_publications: int = 1_000
    """Most publications replayed in one recovery; a client that missed more is told to reload."""
    map_catch_up: float = 5.0
    """How long a client may take from the first page of a map to the last; then it is closed with 3008."""
    key_bytes: int = 256
    """Longest key of a map or a shared poll."""
    history_publications: int = 300
    """Most publications in one history reply."""
    ping_interval: float = 12.0
    pong_timeout: float = 6.0
    """A silent client is gone at most a second later than the sum of both."""
    presence_ttl: float = 30.0
    presence_refresh: float = 10.0
    presence_grace: float = 5.0
    """For how long the members of a lost connection linger: nobody sees a leave and a join when its user is back by
    then with the same login."""
    position_check: float = 10.0
    """How late a subscriber of a silent channel is told that it has missed something."""


class TokenBucket:
    """A rate limit that forgives bursts. Pure: the caller brings the time (seconds, monotonic)."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._updated = now

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        if not self.holds(now):
            return False
        self._tokens -= 1.0
        return True

    def holds(self, now: float) -> bool:
        """Whether there is a token to take."""
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._rate)
        self._updated = now
        return self._tokens >= 1.0

    @property
    def wait(self) -> float:
        """Seconds from the last `take` or `holds` until there is a token."""
        return max(0.0, 1.0 - self._tokens) / self._rate
