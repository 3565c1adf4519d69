"""The values that settings are made of: origins, rates, proxy networks and API keys."""

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

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?",
)
_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port; two of them are the same place if and only if they are equal."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """The origin a browser would write like this, or None: no path, no user name, no wildcard, not `null`."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match["scheme"], match["host"], match["port"]
    return Origin(scheme, host, int(port) if port else _PORTS.get(scheme))


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` times per `per` seconds; all of them may come at once."""

    count: int
    per: float = 1.0

    def bucket(self, now: float) -> TokenBucket:
        """A full bucket."""
        return TokenBucket(self.count / self.per, self.count, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """The `RATES` setting. None is no limit."""

    connects: Rate | None = Rate(5_000, 10)
    """Handshakes in this process, whoever they come from."""
    connects_per_address: Rate | None = Rate(1_000, 10)
    connects_per_user: Rate | None = Rate(500, 10)
    connections_per_address: int | None = 5_000
    connections_per_user: int | None = 200
    subscribes_per_user: Rate | None = Rate(10_000, 10)
    publishes_per_user: Rate | None = Rate(10_000, 10)
    """In each channel class that has no `rate` of its own."""


def rate_limits(raw: Mapping[str, Any]) -> RateLimits:
    """The limits of a setting without mistakes."""
    values: dict[str, Any] = {name.lower(): Rate(*value) if is_rate(value) else value for name, value in raw.items()}
    return RateLimits(**values)


def is_rate(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return is_positive(value[0], int) and is_positive(value[1], int | float)


def is_positive(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value) and value > 0


UNIX: Final = "unix"
"""In TRUSTED_PROXIES: a proxy that comes through a Unix socket, and so without an address."""


Network = IPv4Network | IPv6Network


@lru_cache(maxsize=256)
def parse_network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


HASHED: Final = "sha256:"


API_KEY_FIELDS: Final = ("KEY", "NAME", "CHANNELS", "METHODS")


@dataclass(frozen=True, slots=True)
class ApiGrant:
    """What the bearer of one key may do. Empty patterns and methods are all of them."""

    digest: str
    name: str = ""
    channels: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()

    def allows_method(self, method: str) -> bool:
        return not self.methods or method in self.methods

    def allows_channel(self, channel: str) -> bool:
        """Patterns are those of a shell: `*`, `?` and `[…]`."""
        return not self.channels or any(fnmatchcase(channel, pattern) for pattern in self.channels)

    def require(self, channel: str) -> None:
        """Raises Refused `PERMISSION_DENIED` when the key is not for this channel."""
        if not self.allows_channel(channel):
            raise Refused(Code.PERMISSION_DENIED, "the API key is not for this channel")

    def require_everything(self) -> None:
        """Raises Refused `PERMISSION_DENIED` when the key is for some channels only."""
        if self.channels:
            raise Refused(Code.PERMISSION_DENIED, "the API key is for some channels only")


def digest_of(key: str) -> str:
    """What is kept of a key. It is random and long, so a plain digest is enough."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def static_grant(entry: str | Mapping[str, Any]) -> ApiGrant:
    """The grant of one entry of `API_KEYS`."""
    fields: Mapping[str, Any] = {"KEY": entry} if isinstance(entry, str) else entry
    key: str = fields["KEY"]
    return ApiGrant(
        digest=key.removeprefix(HASHED) if key.startswith(HASHED) else digest_of(key),
        name=fields.get("NAME", "settings"),
        channels=tuple(fields.get("CHANNELS", ())),
        methods=tuple(fields.get("METHODS", ())),
    )


def is_list_of_text(value: Any) -> bool:
    """Whether a value can stand for channels or methods."""
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def suggest(name: Any, known: Collection[str]) -> str:
    """The hint for an unknown key: the key that was probably meant, or all the known ones."""
    upper = str(name).upper()
    if upper in known:
        return f"Keys are upper case: write {upper!r}."
    close = difflib.get_close_matches(upper, known, 1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return f"{meant}Known keys are {', '.join(sorted(known))}."
