"""One `HOTCLUB` dictionary becomes one frozen `Config`.

`SETTINGS` is the whole list: what is in it can be set, what is not is a mistake that the system checks report.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hotclub.addresses import proxy_problems
from hotclub.api.settings import key_problems
from hotclub.engine.limits import Limits
from hotclub.origins import parse_origin
from hotclub.rates import RateLimits, rate_limits, rate_problems
from hotclub.token_keys import TokenSettings, token_problems, token_settings

ENGINES: Final = ("memory",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings, with defaults filled in. Times are seconds."""

    engine: str = "memory://"
    allowed_origins: tuple[str, ...] = ()
    path: str = "connection/"
    emulation_path: str = "/emulation"
    on_connect: str | None = None
    on_disconnect: str | None = None
    allow_anonymous: bool = False
    compression: bool = False
    insecure: bool = False
    tokens: TokenSettings | None = None
    rates: RateLimits = field(default_factory=RateLimits)
    trusted_proxies: tuple[str, ...] = ()
    api_path: str = "/api/"
    api_keys: tuple[str | Mapping[str, Any], ...] = ()
    api_key_in_query: bool = False
    api_rpc: str | None = None
    poll_secrets: tuple[str, ...] = ()
    threads: int = 8
    limits: Limits = field(default_factory=Limits)
    personal_channel: bool = True
    personal_history: tuple[int, float] = (100, 600)
    relay_interval: float = 0.25
    prune_interval: float = 60
    session_check: float = 10
    database: str = "default"
    db_conn_max_age: float = 60

    @property
    def websocket_path(self) -> str:
        """Where browsers connect, below the script prefix."""
        return self.transport_path("websocket")

    def transport_path(self, transport: str) -> str:
        """The path of a transport, below the script prefix."""
        folder = self.path.strip("/")
        return f"/{folder}/{transport}" if folder else f"/{transport}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the settings: which kind (the number of its system check), what it is and what to do."""

    check: str
    message: str
    hint: str


def get_config() -> Config:
    """The project's configuration, read once.

    Raises:
        ImproperlyConfigured: the `HOTCLUB` setting holds a mistake; `manage.py check` lists all of them.
    """
    return _read()


def reset_config() -> None:
    """Read the settings anew at the next use."""
    _read.cache_clear()


@cache
def _read() -> Config:
    raw = raw_settings()
    for problem in problems(raw):
        raise ImproperlyConfigured(f"{problem.message} {problem.hint}")
    values: dict[str, Any] = {name.lower(): value for name, value in raw.items()}
    for name in ("allowed_origins", "personal_history", "trusted_proxies", "api_keys", "poll_secrets"):
        if name in values:
            values[name] = tuple(values[name])
    values["tokens"] = token_settings(raw["TOKENS"]) if raw.get("TOKENS") else None
    values["rates"] = rate_limits(raw.get("RATES", {}))
    values["limits"] = Limits(**raw.get("LIMITS", {}))
    return Config(**values)


def raw_settings() -> Any:
    """The `HOTCLUB` setting as it stands."""
    return getattr(settings, "HOTCLUB", {})


def problems(raw: Any) -> Iterator[Problem]:
    """Every mistake in a `HOTCLUB` setting."""
    if not isinstance(raw, Mapping):
        yield Problem("E001", "HOTCLUB is not a dictionary.", 'Write HOTCLUB = {"ENGINE": "memory://"}.')
        return
    for name, value in raw.items():
        check = SETTINGS.get(name)
        if check is None:
            known = ", ".join(sorted(SETTINGS))
            yield Problem("E002", f"HOTCLUB has an unknown key {name!r}.", f"Known keys are {known}.")
        else:
            yield from check(name, value)


def _boolean(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield _wrong(name, value, "Use True or False.")


def _seconds(name: str, value: Any) -> Iterator[Problem]:
    if not _is_number(value) or value <= 0:
        yield _wrong(name, value, "Use a number of seconds greater than 0.")


def _threads(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 256:
        yield _wrong(name, value, "Use a whole number from 1 to 256.")


def _text(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield _wrong(name, value, "Use a string.")


def _dotted_path(name: str, value: Any) -> Iterator[Problem]:
    if value is not None and (not isinstance(value, str) or "." not in value):
        yield _wrong(name, value, 'Use the dotted path of a function, such as "shop.live.on_connect", or None.')


def _secrets(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, list | tuple) or not all(isinstance(secret, str) and secret for secret in value):
        # The value is a secret, so it is not shown.
        hint = "List the newest secret first, or leave the setting out."
        yield Problem("E007", f"HOTCLUB[{name!r}] is no list of strings.", hint)


def _database(name: str, value: Any) -> Iterator[Problem]:
    if value not in settings.DATABASES:
        yield _wrong(name, value, f"Use one of the aliases in DATABASES: {', '.join(settings.DATABASES)}.")


def _engine(_name: str, value: Any) -> Iterator[Problem]:
    scheme, separator, _rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    if not separator:
        yield Problem("E003", f"HOTCLUB['ENGINE'] is {value!r}, which is no URL.", 'Use "memory://".')
    elif scheme not in ENGINES:
        known = ", ".join(f"{name}://" for name in ENGINES)
        yield Problem(
            "E004", f"HOTCLUB['ENGINE'] asks for an unknown engine {scheme!r}.", f"This version knows {known}."
        )
    elif scheme == "memory" and urlsplit(value).netloc + urlsplit(value).path:
        yield Problem("E003", f"HOTCLUB['ENGINE'] is {value!r}, but memory has no address.", 'Use "memory://".')


def _origins(_name: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        yield _wrong("ALLOWED_ORIGINS", value, 'Use a list, such as ["https://shop.example.com"].')
        return
    for origin in value:
        if not isinstance(origin, str) or parse_origin(origin) is None:
            yield Problem(
                "E005",
                f"HOTCLUB['ALLOWED_ORIGINS'] holds {origin!r}, which no browser sends as an origin.",
                'Write each one as "https://host" or "https://host:port": with scheme, without path or "*".',
            )


def _personal_history(name: str, value: Any) -> Iterator[Problem]:
    hint = "Use (size, seconds), such as (100, 600)."
    if not isinstance(value, list | tuple) or len(value) != 2:
        yield _wrong(name, value, hint)
        return
    size, ttl = value
    if not isinstance(size, int) or isinstance(size, bool) or size < 1 or not _is_number(ttl) or ttl <= 0:
        yield _wrong(name, value, hint)


def _limits(_name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem("E006", "HOTCLUB['LIMITS'] is not a dictionary.", 'Write {"message_bytes": 65536}.')
        return
    types = {item.name: item.type for item in dataclasses.fields(Limits)}
    for name, limit in value.items():
        if name not in types:
            yield Problem(
                "E006", f"HOTCLUB['LIMITS'] has an unknown limit {name!r}.", f"Known limits are {', '.join(types)}."
            )
        elif not _is_number(limit) or limit <= 0 or (types[name] is int and not isinstance(limit, int)):
            kind = "a whole number" if types[name] is int else "a number"
            yield Problem("E006", f"HOTCLUB['LIMITS'][{name!r}] is {limit!r}.", f"Use {kind} greater than 0.")
    yield from _contradictions({name: limit for name, limit in value.items() if name in types and _is_number(limit)})


def _contradictions(given: dict[str, Any]) -> Iterator[Problem]:
    limits = Limits(**given)
    for smaller, larger in (
        ("pong_timeout", "ping_interval"),
        ("presence_refresh", "presence_ttl"),
        ("ephemeral_bytes", "outbox_bytes"),
        ("message_bytes", "outbox_bytes"),
    ):
        low, high = getattr(limits, smaller), getattr(limits, larger)
        if low >= high:
            yield Problem(
                "E006",
                f"HOTCLUB['LIMITS'] has {smaller} {low} and {larger} {high}.",
                f"Keep {smaller} below {larger}.",
            )


def _explained(
    check: str, explain: Callable[[Any], Iterator[tuple[str, str]]]
) -> Callable[[str, Any], Iterator[Problem]]:
    """A check that stands beside what it is about, and yields mistakes and hints."""
    return lambda _name, value: (Problem(check, message, hint) for message, hint in explain(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(name: str, value: Any, hint: str) -> Problem:
    return Problem("E007", f"HOTCLUB[{name!r}] is {value!r}.", hint)


SETTINGS: Final[dict[str, Callable[[str, Any], Iterator[Problem]]]] = {
    "ENGINE": _engine,
    "ALLOWED_ORIGINS": _origins,
    "PATH": _text,
    "EMULATION_PATH": _text,
    "ON_CONNECT": _dotted_path,
    "ON_DISCONNECT": _dotted_path,
    "ALLOW_ANONYMOUS": _boolean,
    "COMPRESSION": _boolean,
    "INSECURE": _boolean,
    "TOKENS": _explained("E009", token_problems),
    "RATES": _explained("E006", rate_problems),
    "TRUSTED_PROXIES": _explained("E007", proxy_problems),
    "API_PATH": _text,
    "API_KEYS": _explained("E009", key_problems),
    "API_KEY_IN_QUERY": _boolean,
    "API_RPC": _dotted_path,
    "POLL_SECRETS": _secrets,
    "THREADS": _threads,
    "LIMITS": _limits,
    "PERSONAL_CHANNEL": _boolean,
    "PERSONAL_HISTORY": _personal_history,
    "RELAY_INTERVAL": _seconds,
    "PRUNE_INTERVAL": _seconds,
    "SESSION_CHECK": _seconds,
    "DATABASE": _database,
    "DB_CONN_MAX_AGE": _seconds,
}
"""Each key with the function that yields what is wrong with a value."""
