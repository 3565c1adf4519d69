"""One `HOTCLUB` dictionary becomes one frozen `Config`.

`problems.SETTINGS` lists every key; the system checks report any other key as a mistake.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hotclub.conf.problems import problems
from hotclub.conf.token_keys import TokenSettings, token_settings
from hotclub.conf.values import KeyRights, RateLimits, ServerLimits, rate_limits, rights_of, server_limits
from hotclub.engine.limits import Limits

NOT_INSTALLED: Final = '"hotclub" is missing from INSTALLED_APPS.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings, with their defaults. Times are in seconds."""

    engine: str = "memory://"
    backend: str | None = None
    allowed_origins: tuple[str, ...] = ()
    path: str = "connection/"
    emulation_path: str = "/emulation"
    ready_path: str = ""
    on_connect: str | None = None
    """The hook `on_connect(client)`, plain or `async`: a client wants to connect.

    Called once per connection, before its first subscription. The hook may set `client.info`.

    Args:
        client: the connection; `client.data` is the data of its connect command.

    Returns:
        JSON for the client, a `Welcome`, or None.

    Raises:
        Refused: answers the connect command with this error. The client tries again only if the error is temporary.
        Disconnect: ends the connection with this code.
    """
    on_disconnect: str | None = None
    """The hook `on_disconnect(client)`, plain or `async`: an accepted connection has ended.

    The hook cannot refuse: Hotclub logs an exception that it raises.

    Args:
        client: the connection that has ended.
    """
    allow_anonymous: bool = False
    compression: bool = False
    insecure: bool = False
    tokens: TokenSettings | None = None
    rates: RateLimits = field(default_factory=RateLimits)
    trusted_proxies: tuple[str, ...] = ()
    api_path: str = ""
    api_keys: tuple[KeyRights, ...] = ()
    api_key_in_query: bool = False
    api_body_bytes: int = 8_388_608
    api_rpc: str | None = None
    """The function `api_rpc(method, params)`, plain or `async`, that answers `rpc` of the HTTP API.

    Args:
        method: the name in the request.
        params: decoded JSON, None for nothing.

    Returns:
        JSON for the caller, None for nothing.

    Raises:
        Refused: answers the request with this error.
    """
    poll_secrets: tuple[str, ...] = ()
    threads: int = 8
    threads_max: int = 256
    hook_timeout: float = 30
    log_period: float = 60
    limits: Limits = field(default_factory=Limits)
    server: ServerLimits = field(default_factory=ServerLimits)
    personal_channel: bool = True
    personal_history: tuple[int, float] = (100, 600)
    relay_interval: float = 0.25
    prune_interval: float = 60
    login_check: float = 10
    database: str = "default"

    @property
    def websocket_path(self) -> str:
        """The path of the WebSocket transport, below the script prefix."""
        return self.transport_path("websocket")

    @property
    def ready_address(self) -> str | None:
        """The path that tells whether the process is ready, below the script prefix; None without `READY_PATH`."""
        return f"/{self.ready_path.lstrip('/')}" if self.ready_path else None

    def transport_path(self, transport: str) -> str:
        """Return the path of a transport such as `"sse"`, below the script prefix."""
        folder = self.path.strip("/")
        return f"/{folder}/{transport}" if folder else f"/{transport}"


def get_config() -> Config:
    """Return the project's configuration, which is read once.

    Raises:
        ImproperlyConfigured: the `HOTCLUB` setting holds a mistake; `manage.py check` lists all of them.
    """
    return _read()


def reset_config() -> None:
    """Make the next `get_config` read the settings again."""
    _read.cache_clear()


@cache
def _read() -> Config:
    raw = raw_settings()
    for problem in problems(raw):
        raise ImproperlyConfigured(f"{problem.message} {problem.hint}")
    values: dict[str, Any] = {name.lower(): value for name, value in raw.items()}
    for name in ("allowed_origins", "personal_history", "trusted_proxies", "poll_secrets"):
        if name in values:
            values[name] = tuple(values[name])
    values["tokens"] = token_settings(raw["TOKENS"]) if raw.get("TOKENS") else None
    values["api_keys"] = tuple(map(rights_of, raw.get("API_KEYS", ())))
    values["rates"] = rate_limits(raw.get("RATES", {}))
    values["server"] = server_limits(raw.get("SERVER", {}))
    values["limits"] = Limits(**{name.lower(): limit for name, limit in raw.get("LIMITS", {}).items()})
    return Config(**values)


def raw_settings() -> Any:
    """Return the `HOTCLUB` setting unchecked, {} when it is missing."""
    return getattr(settings, "HOTCLUB", {})
