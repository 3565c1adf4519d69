"""The types of values in the settings: origins, rates, proxy networks and API keys."""

import difflib
import hashlib
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, NamedTuple

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.limits import TokenBucket
from hotclub.engine.names import normal

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?",
)
_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """An origin: scheme, host and port, with the default port of the scheme filled in (RFC 6454)."""

    scheme: str
    host: str
    port: int | None


OPAQUE: Final = "null"
"""The origin that browsers send for pages without one: from files, and in sandboxed frames."""


def parse_origin(text: str) -> Origin | None:
    """Parse an origin as a browser sends it. Return None for `null` and for text with a path, user name or wildcard."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match["scheme"], match["host"], match["port"]
    return Origin(scheme, host, int(port) if port else _PORTS.get(scheme))


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit on how often something may happen."""

    count: int
    """The most times that it may happen at once."""
    per: float = 1.0
    """The seconds in which the whole count becomes available again, evenly."""

    def bucket(self, now: float) -> TokenBucket:
        """Return a full bucket. `now` is the time of the caller's clock, in seconds."""
        return TokenBucket(self.count / self.per, self.count, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """The `RATES` setting. None sets no limit."""

    connects: Rate | None = Rate(5_000, 10)
    """The handshakes of all addresses together, in each process."""
    connects_per_address: Rate | None = Rate(1_000, 10)
    connects_per_user: Rate | None = Rate(500, 10)
    connections_per_address: int | None = 5_000
    connections_per_user: int | None = 200
    subscribes_per_user: Rate | None = Rate(10_000, 10)
    publishes_per_user: Rate | None = Rate(10_000, 10)
    """The publishes of one user, in each channel class that has no `rate`."""
    api_failures_per_address: Rate | None = Rate(30, 60)
    """The requests to the HTTP API with a bad key."""


def rate_limits(raw: Mapping[str, Any]) -> RateLimits:
    """Convert a `RATES` setting in which `rate_problems` finds no mistake."""
    values: dict[str, Any] = {name.lower(): Rate(*value) if is_rate(value) else value for name, value in raw.items()}
    return RateLimits(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """The `SERVER` setting: bounds on connections and requests, pages included. Sizes are bytes, times are seconds."""

    sockets: int | None = None
    """The most connections at one time. None: as many as the limit of open files allows."""
    sockets_per_address: int | None = None
    """The most connections from one address at one time. None: three quarters of `sockets`."""
    silent_per_address: int | None = 1_000
    """The most connections from one address that are before or within a request head. None sets no limit."""
    body_bytes: int | None = 10_485_760
    """The largest body of a request to a page. None sets no limit."""
    body_timeout: float = 20.0
    """The time that a body may take, beside the time that `min_rate` gives it."""
    bodies_per_address: int | None = 100
    """The most bodies from one address that are on their way at one time. None sets no limit."""
    bodies_bytes: int = 134_217_728
    """The most bytes of bodies that the process holds at one time."""
    send_timeout: float = 30.0
    """The time in which the peer must take bytes of a response, at `min_rate` on average."""
    min_rate: int = 1_000
    """The bytes in each second below which a body or the reader of a response is too slow."""


def server_limits(raw: Mapping[str, Any]) -> ServerLimits:
    """Convert a `SERVER` setting in which `server_problems` finds no mistake."""
    return ServerLimits(**{name.lower(): value for name, value in raw.items()})


def is_rate(value: Any) -> bool:
    """Return whether a value of the settings is a pair (count, seconds) of positive numbers."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return is_positive(value[0], int) and is_positive(value[1], int | float)


def is_positive(value: Any, kind: Any) -> bool:
    """Return whether the value is a finite number of this type greater than 0. A bool is no number."""
    return isinstance(value, kind) and is_number(value) and value > 0


def is_number(value: Any) -> bool:
    """Return whether the value is a number that a float can hold. A bool is no number."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


UNIX: Final = "unix"
"""The entry of `TRUSTED_PROXIES` for a proxy that connects through a Unix socket and has no address."""


Network = IPv4Network | IPv6Network
"""A network of addresses; a single address is a network of one."""


@lru_cache(maxsize=256)
def parse_network(text: str) -> Network | None:
    """Parse an address or a network such as `10.0.0.0/8`. Return None for any other text."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


HASHED: Final = "sha256:"
"""The beginning of a `KEY` in the settings that is a digest of the key."""


API_KEY_FIELDS: Final = ("KEY", "NAME", "CHANNELS", "METHODS")
"""The fields of an entry of `API_KEYS`."""


API_METHODS: Final = frozenset(
    {
        *("publish", "broadcast", "subscribe", "unsubscribe", "disconnect", "refresh", "presence", "presence_stats"),
        *("history", "history_remove", "channels", "info", "rpc", "batch", "shared_poll_publish"),
        *("map_publish", "map_remove", "map_read_state", "map_read_stream", "map_stats", "map_clear"),
    }
)
"""The methods of the HTTP API, which an API key may name. `http_api` implements them."""


_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class KeyRights:
    """The rights of one API key. Empty `channels` (shell patterns) allow all channels, empty `methods` all methods.

    A key for some channels may call a method that concerns more than one channel only if `methods` names the method.
    """

    digest: str
    name: str = ""
    channels: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()

    def require_method(self, method: str, *, of_channel: bool) -> None:
        """Refuse a method that the key may not call.

        Args:
            method: the name of the method.
            of_channel: whether the method itself asks for the rights of each channel that it touches.

        Raises:
            Refused: `PERMISSION_DENIED`.
        """
        if self.methods and method not in self.methods:
            raise Refused(Code.PERMISSION_DENIED, "the API key is not for this method")
        if self.channels and not self.methods and not of_channel:
            raise Refused(Code.PERMISSION_DENIED, "the API key is for some channels only")

    def allows_channel(self, channel: str) -> bool:
        """Return whether the key may use this channel. The patterns have `*`, `?` and `[…]`, as in a shell."""
        return not self.channels or any(fnmatchcase(channel, normal(pattern)) for pattern in self.channels)

    def require(self, channel: str) -> None:
        """Refuse a channel that the key may not use.

        Raises:
            Refused: `PERMISSION_DENIED`.
        """
        if not self.allows_channel(channel):
            raise Refused(Code.PERMISSION_DENIED, "the API key is not for this channel")

    def require_everything(self) -> None:
        """Refuse a key that may use some channels only.

        Raises:
            Refused: `PERMISSION_DENIED`.
        """
        if self.channels:
            raise Refused(Code.PERMISSION_DENIED, "the API key is for some channels only")


def is_digest(text: str) -> bool:
    """Return whether the text is a SHA-256 digest in hexadecimal."""
    return _DIGEST.fullmatch(text) is not None


def digest_of(key: str) -> str:
    """Return the SHA-256 digest of a key, in hexadecimal. Hotclub stores the digest and not the key. The keys are long
    and random, so the digest needs no salt."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def rights_of(entry: str | Mapping[str, Any]) -> KeyRights:
    """Return the rights of one entry of `API_KEYS`."""
    fields: Mapping[str, Any] = {"KEY": entry} if isinstance(entry, str) else entry
    key: str = fields["KEY"]
    return KeyRights(
        digest=key.removeprefix(HASHED).lower() if key.startswith(HASHED) else digest_of(key),
        name=fields.get("NAME", "settings"),
        channels=tuple(fields.get("CHANNELS", ())),
        methods=tuple(fields.get("METHODS", ())),
    )


def is_list_of_text(value: Any) -> bool:
    """Return whether the value is a list or tuple of strings."""
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def suggest(name: Any, known: Collection[str]) -> str:
    """Return the hint for an unknown key: a similar known key, if there is one, and all known keys.

    Args:
        name: the unknown key.
        known: the known keys, in upper case.
    """
    upper = str(name).upper()
    if upper in known:
        return f"Keys are upper case: write {upper!r}."
    close = difflib.get_close_matches(upper, known, 1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return f"{meant}Known keys are {', '.join(sorted(known))}."
