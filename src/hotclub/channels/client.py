"""One connection, as hooks and procedures see it."""

from collections.abc import Mapping
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property as plain_cached_property
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.db.models.base import ModelState
from django.utils.functional import cached_property
from msgspec import Raw

from hotclub.conf.config import get_config
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.names import personal_name
from hotclub.runtime.encoding import decode

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

Kind = TypeVar("Kind")


class TokenUser:
    """The user of a token without a row in this project's database: authenticated, and without permissions.

    A site that keeps its users elsewhere needs no rows for them. `pk` is the `sub` claim of the token.
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
        """The same as `pk`."""
        return self.pk

    @property
    def username(self) -> str:
        """The same as `pk`."""
        return self.pk

    def get_username(self) -> str:
        """Return `pk`."""
        return self.pk

    def has_perm(self, perm: str, obj: Any = None) -> bool:  # noqa: ARG002
        """Return False."""
        return False

    def has_perms(self, perm_list: Any, obj: Any = None) -> bool:  # noqa: ARG002
        """Return False."""
        return False

    def has_module_perms(self, app_label: str) -> bool:  # noqa: ARG002
        """Return False."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenUser) and other.pk == self.pk

    def __hash__(self) -> int:
        return hash(self.pk)

    def __str__(self) -> str:
        return self.pk


AnyUser: TypeAlias = "AbstractBaseUser | TokenUser | UUID | int | str"
"""A user, or the primary key of a user, as it is or as text."""


@lru_cache(maxsize=64)
def _caches(kind: type) -> frozenset[str]:
    """The names of the attributes in which instances of a user model keep what they have computed or loaded."""
    known = {"_perm_cache", "_user_perm_cache", "_group_perm_cache", "_prefetched_objects_cache", "_state"}
    attributes = (item for base in kind.__mro__ for item in vars(base).items())
    return frozenset(
        known | {name for name, value in attributes if isinstance(value, cached_property | plain_cached_property)}
    )


def own_user(user: Any) -> Any:
    """Return a copy of a user for one thread. Of a model instance it has the fields, and nothing that was cached."""
    if not isinstance(user, Model):
        return copy(user)
    kind = type(user)
    caches = _caches(kind)
    mine = kind.__new__(kind)
    # Another thread may add to the original meanwhile.
    present = list(vars(user).items())
    state, old = ModelState(), user._state  # noqa: SLF001 - public, by its documentation
    state.db, state.adding = old.db, old.adding
    vars(mine).update({name: value for name, value in present if name not in caches}, _state=state)
    return mine


def _with_own_users(kind: type[Kind]) -> type[Kind]:
    """Have every call of a hook see a copy of the user of its own, which is made when the hook asks for the user."""
    stored: Any = vars(kind)["user"]

    def get(client: Any) -> Any:
        call = _handled.get()
        if call is None or call.client is not client:
            return stored.__get__(client)
        if call.user is None:
            call.user = own_user(stored.__get__(client))
        return call.user

    def replace(client: Any, user: Any) -> None:
        stored.__set__(client, user)
        call = _handled.get()
        if call is not None and call.client is client:
            call.user = None

    kind.user = property(get, replace)  # type: ignore[attr-defined]
    return kind


@_with_own_users
@dataclass(slots=True, weakref_slot=True, kw_only=True, eq=False)
class Client:
    """The connection that a hook or procedure is called for.

    Hotclub fills it from the handshake, and from the login or a signed token. `data` and `claimed_headers` are the
    client's own claims. Hotclub renews `user` from the database every `LOGIN_CHECK` seconds. Every call of a hook has a
    copy of `user` of its own, without cached permissions, so calls in different threads share no user.
    """

    id: str
    """The connection's public name, as members of its channels see it."""
    user: Any
    """The project's user, an `AnonymousUser`, or a `TokenUser` when only a token knows the user."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The lower-cased headers of the request that opened the connection."""
    address: str = ""
    """The client's IP address, found by the rules of `TRUSTED_PROXIES`."""
    login_id: str = ""
    """The name of the login, the same for all tabs of one browser; a hash, so logs may keep it. "" without a login."""
    info: Any = None
    """JSON that members of a channel see of this connection (`conn_info`); the `ON_CONNECT` hook may set it."""
    meta: Any = None
    """The `meta` claim of the connection token, which only the server sees."""
    claimed_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers in the client's connect command, because a browser cannot set real ones. The client chooses them: check
    them."""
    token_channels: frozenset[str] | None = None
    """The channels that the connection token names; None for a connection without a token."""
    by_cookie: bool = field(default=False, repr=False)
    session_key: str = field(default="", repr=False)
    auth_hash: str = field(default="", repr=False)
    password_proof: str = field(default="", repr=False)

    @property
    def data(self) -> Any:
        """Decoded JSON that the client sent with the command for which this hook is called, None for nothing.

        In the `ON_CONNECT` hook it is the data of the connect command; in `can_subscribe`, `channel_info`,
        `on_subscribe` and `tags_filter` that of the subscribe command; in the hooks of a publish, what is published; in
        a procedure, its arguments. A hook that is called without a command (at the end of a subscription or of the
        connection, on a change of presence, and when `can_subscribe` is asked again) sees None. The client chooses the
        data: check it.

        Raises:
            Refused: `BAD_REQUEST`, the data is not JSON. Clients of the protobuf form can send such data.
        """
        handled = _handled.get()
        return handled.data.value if handled is not None and handled.client is self else None

    @property
    def is_anonymous(self) -> bool:
        """Whether the connection has no signed-in user."""
        return bool(self.user.is_anonymous)

    @property
    def user_id(self) -> str:
        """The user's primary key as text, "" for an anonymous connection."""
        return "" if self.is_anonymous else str(self.user.pk)


class CommandData:
    """The data of a command, decoded at its first use."""

    __slots__ = ("_raw", "_value")

    def __init__(self, raw: Raw) -> None:
        self._raw: Raw | None = raw
        self._value: Any = None

    @property
    def value(self) -> Any:
        """Decoded JSON, None for no data.

        Raises:
            Refused: `BAD_REQUEST`, the bytes are not JSON.
        """
        if self._raw is not None:
            try:
                self._value = decode(self._raw)
            except (msgspec.MsgspecError, ValueError):
                raise Refused(Code.BAD_REQUEST, "data is not JSON") from None
            self._raw = None
        return self._value


class handling:  # noqa: N801 - reads as a statement: with handling(client, data)
    """Sets `client.data` and `client.user` within the block, for the current context only.

    Every call of a hook runs in its own block, so no hook sees the data or the user of another one.
    """

    __slots__ = ("_token", "client", "data", "user")

    def __init__(self, client: Client, data: CommandData) -> None:
        self.client = client
        self.data = data
        self.user: Any = None
        """The copy of the client's user for this call, None before the hook has asked for the user."""

    def __enter__(self) -> None:
        self._token = _handled.set(self)

    def __exit__(self, *_error: object) -> None:
        _handled.reset(self._token)


_handled: Final[ContextVar[handling | None]] = ContextVar("hotclub_handled", default=None)


def personal_channel(user: "AnyUser") -> str:
    """Return the name of a user's personal channel: `#` and the user's id, see `personal_name`.

    Raises:
        ValueError: the argument names no user; see `user_id_of`.
    """
    return personal_name(user_id_of(user))


def user_id_of(user: "AnyUser") -> str:
    """Return a user's primary key as text, which equals `Client.user_id` on the connections of this user.

    A key is given as it is (a number, a `UUID`) or as text, and must be valid for the primary key of the user model.
    The user need not exist. In a project with `HOTCLUB["TOKENS"]` any text is valid, as the `sub` claim of a token.

    Raises:
        ValueError: the argument is None, an anonymous or unsaved user, or no primary key of the user model.
    """
    key: Any = user.pk if hasattr(user, "pk") else user
    if key is None or key == "":
        raise ValueError(f"{user!r} has no primary key, so it names nobody")
    if hasattr(user, "pk") or (isinstance(key, str) and get_config().tokens is not None):
        return str(key)
    return str(_accepted(key))


def user_id_or_anonymous(user: "AnyUser | AnonymousUser | None") -> str:
    """Return `user_id_of(user)`, but "" for None, "" and an `AnonymousUser`. Raises the errors of `user_id_of`."""
    if user is None or user == "" or getattr(user, "is_anonymous", False):
        return ""
    return user_id_of(user)  # type: ignore[arg-type]  # anonymous ones are gone


def _accepted(key: Any) -> Any:
    """The key as a value of the user model's primary key. Raises ValueError for an invalid key."""
    model = get_user_model()
    try:
        found = model._meta.pk.to_python(key)  # noqa: SLF001 - public, by its documentation
    except (ValidationError, ValueError, TypeError, OverflowError):
        found = None
    # `to_python` makes keys of 1.5 and True.
    if found is None or isinstance(key, bool) or (not isinstance(key, str) and found != key):
        hint = "pass a user, or the primary key of one"
        raise ValueError(f"{key!r:.100} is no primary key of {model._meta.label}: {hint}")  # noqa: SLF001 - the same
    return found
