"""One `HOTCLUB` dictionary becomes one frozen `Config`.

`problems.SETTINGS` lists every key; the system checks report any other key as a mistake.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hotclub.conf.problems import problems
from hotclub.conf.token_keys import TokenSettings, token_settings
from hotclub.conf.values import RateLimits, rate_limits
from hotclub.engine.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings, with defaults filled in. Times are seconds."""

    engine: str = "memory://"
    backend: str | None = None
    allowed_origins: tuple[str, ...] = ()
    path: str = "connection/"
    emulation_path: str = "/emulation"
    ready_path: str = ""
    on_connect: str | None = None
    on_disconnect: str | None = None
    allow_anonymous: bool = False
    compression: bool = False
    insecure: bool = False
    tokens: TokenSettings | None = None
    rates: RateLimits = field(default_factory=RateLimits)
    trusted_proxies: tuple[str, ...] = ()
    api_path: str = ""
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

    @property
    def websocket_path(self) -> str:
        """Where browsers connect, below the script prefix."""
        return self.transport_path("websocket")

    @property
    def ready_address(self) -> str | None:
        """Where monitors ask, below the script prefix; None for nowhere."""
        return f"/{self.ready_path.lstrip('/')}" if self.ready_path else None

    def transport_path(self, transport: str) -> str:
        """The path of a transport, below the script prefix."""
        folder = self.path.strip("/")
        return f"/{folder}/{transport}" if folder else f"/{transport}"


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
    values["limits"] = Limits(**{name.lower(): limit for name, limit in raw.get("LIMITS", {}).items()})
    return Config(**values)


def raw_settings() -> Any:
    """The `HOTCLUB` setting as it stands."""
    return getattr(settings, "HOTCLUB", {})
