"""One connection, as hooks and procedures see it."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.runtime.encoding import decode

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


class TokenUser:
    """Somebody whom a token names and this project's database does not know: authenticated, and without permissions.

    A site whose users live elsewhere needs no row for each of them. `pk` is the `sub` claim.
    """

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False

    def __init__(self, pk: str) -> None:
        self.pk = pk

    @property
    def id(self) -> str:
        return self.pk

    @property
    def username(self) -> str:
        return self.pk

    def get_username(self) -> str:
        return self.pk

    def has_perm(self, perm: str, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_perms(self, perm_list: Any, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_module_perms(self, app_label: str) -> bool:  # noqa: ARG002
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenUser) and other.pk == self.pk

    def __hash__(self) -> int:
        return hash(self.pk)

    def __str__(self) -> str:
        return self.pk


@dataclass(slots=True, weakref_slot=True, kw_only=True, eq=False)
class Client:
    """The connection a hook is called for.

    It comes from the handshake, and the session or a signed token: nothing here but `data` and `claimed_headers` is the
    peer's own word. `user` is renewed from the database every `SESSION_CHECK` seconds and keeps no permission cache
    between two hooks.
    """

    id: str
    """The connection's public name, as members of its channels see it."""
    user: Any
    """The project's user, an `AnonymousUser`, or a `TokenUser` for somebody whom only a token knows."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The lower-cased headers of the request that opened the connection."""
    address: str = ""
    session_id: str = ""
    """A hash of the session key, the same for all tabs of one login; safe to log. "" without a session."""
    info: Any = None
    """JSON that members of a channel see of this connection (`conn_info`); the `ON_CONNECT` hook may set it."""
    meta: Any = None
    """What the connection token says for the server alone (its `meta` claim)."""
    claimed_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers that the client names in its connect command, for a browser cannot set real ones. Its own words too."""
    token_channels: frozenset[str] | None = None
    """The server-side subscriptions of the connection token; None for a connection without a token."""
    granted: set[str] = field(default_factory=set, repr=False)
    """The channels that a subscription token, or the server, has let this connection into."""
    session_key: str = field(default="", repr=False)
    auth_hash: str = field(default="", repr=False)
    password_proof: str = field(default="", repr=False)

    @property
    def data(self) -> Any:
        """Decoded JSON that the client sent with the command for which this hook is called, None for nothing.

        In the `ON_CONNECT` hook it is the data of the connect command; in `can_subscribe`, `channel_info`,
        `on_subscribe` and `tags_filter` that of the subscribe command; in the hooks of a publish, what is published; in
        a procedure, its arguments. A hook that is called without a command (at the end of a subscription or of the
        connection, on a change of presence, and when `can_subscribe` is asked again) sees None. The data is the
        client's own word: check it.

        Raises:
            Refused: `BAD_REQUEST`, the data is no JSON, which the protobuf form can carry.
        """
        handled = _handled.get()
        return handled[1].value if handled is not None and handled[0] is self else None

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


class CommandData:
    """What came with a command, decoded when it is first asked for."""

    __slots__ = ("_raw", "_value")

    def __init__(self, raw: Raw) -> None:
        self._raw: Raw | None = raw
        self._value: Any = None

    @property
    def value(self) -> Any:
        """Decoded JSON, None for nothing. Raises Refused `BAD_REQUEST` for bytes that are no JSON."""
        if self._raw is not None:
            try:
                self._value = decode(self._raw)
            except (msgspec.MsgspecError, ValueError):
                raise Refused(Code.BAD_REQUEST, "data is not JSON") from None
            self._raw = None
        return self._value


_handled: Final[ContextVar[tuple[Client, CommandData] | None]] = ContextVar("hotclub_handled", default=None)


class handling:  # noqa: N801 - reads as a statement: with handling(client, data)
    """Within this block, and in its context alone, `client.data` is this.

    Every call of a hook stands in such a block of its own, so no hook sees the data of another command.
    """

    __slots__ = ("_handled", "_token")

    def __init__(self, client: Client, data: CommandData) -> None:
        self._handled = (client, data)

    def __enter__(self) -> None:
        self._token = _handled.set(self._handled)

    def __exit__(self, *_error: object) -> None:
        _handled.reset(self._token)


def personal_channel(user: "AbstractBaseUser | int | str") -> str:
    """The name of a user's personal channel."""
    return f"#{user_id_of(user)}"


def user_id_of(user: "AbstractBaseUser | int | str") -> str:
    """A user's primary key as text.

    Raises:
        ValueError: the user has none: anonymous, or not saved.
    """
    key = user if isinstance(user, int | str) else user.pk
    if key is None or key == "":
        raise ValueError(f"{user!r} has no primary key, so it cannot be addressed")
    return str(key)
