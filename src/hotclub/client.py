"""One connection, as hooks and procedures see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw


@dataclass(slots=True, weakref_slot=True, kw_only=True, eq=False)
class Client:
    """The connection a hook is called for.

    It comes from the session and the handshake alone: nothing here can be set by the peer. `user` is renewed from the
    database every `SESSION_CHECK` seconds and keeps no permission cache between two hooks.
    """

    id: str
    """The connection's public name, as members of its channels see it."""
    user: Any
    """The project's user, or an `AnonymousUser`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The lower-cased headers of the request that opened the connection."""
    address: str = ""
    session_id: str = ""
    """A hash of the session key, the same for all tabs of one login; safe to log. "" without a session."""
    info: Any = None
    """JSON that members of a channel see of this connection (`conn_info`); the `ON_CONNECT` hook may set it."""
    session_key: str = field(default="", repr=False)
    auth_hash: str = field(default="", repr=False)
    channel_infos: dict[str, Raw] = field(default_factory=dict, repr=False)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is signed in on this connection."""
        return bool(self.user.is_anonymous)

    @property
    def user_id(self) -> str:
        """The user's primary key as text, "" for an anonymous connection."""
        return "" if self.is_anonymous else str(self.user.pk)

    def forget_permissions(self) -> None:
        """Make the next `user.has_perm()` ask the database again."""
        for cache in ("_perm_cache", "_user_perm_cache", "_group_perm_cache"):
            self.user.__dict__.pop(cache, None)
