"""Finds the user that a Django session signs in, and names the login behind a connection.

A login has a name of its own in its session. So the login stays the same when the session gets another key, and when
signed cookies write the session anew.
"""

import contextlib
import secrets
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.module_loading import import_string

from hotclub.access.ended import is_revoked
from hotclub.runtime.primary import on_primary, primary

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.sessions.base_session import AbstractBaseSession

LOGIN_KEY: Final = "_hotclub_login"
"""The key of a session under which its login has its name."""

MOST_TOGETHER: Final = 200
"""The most logins that are read with one query."""

Data = Mapping[str, Any] | SessionBase
"""What a session holds. A `SessionBase` is read at the first use."""


class Kept(NamedTuple):
    """What a session holds, and when the session expires, None for an unknown time."""

    data: Data
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A session with its signed-in user.

    `auth_hash` is the session's hash of the password, see `is_current`. `id` is the `Client.login_id`. `ends` is when
    the session expires, None for an unknown time.
    """

    user: "AbstractBaseUser"
    session_key: str
    auth_hash: str
    id: str
    ends: datetime | None = None


def authenticate(session_key: str) -> Login | None:
    """Return the login of a session, None when the session signs nobody in. Synchronous. See `authenticate_all`."""
    return authenticate_all({session_key}).get(session_key)


def authenticate_all(session_keys: AbstractSet[str]) -> dict[str, Login]:
    """Return the logins of sessions by their keys. Sessions that sign nobody in are missing.

    The rules are those of `django.contrib.auth.get_user`, but the sessions are only read, and everything comes from the
    primary databases. Synchronous; two queries, where `reads_together` is true.

    Args:
        session_keys: at most `MOST_TOGETHER` keys.

    Raises:
        Exception: an error of the session store, of a backend of `AUTHENTICATION_BACKENDS`, or of the database.
    """
    named: dict[str, dict[str, Any]] = {}
    sessions = read_sessions(session_keys)
    for key, (data, _ends) in sessions.items():
        with contextlib.suppress(KeyError, ValidationError):
            user_id = get_user_model()._meta.pk.to_python(data[SESSION_KEY])  # noqa: SLF001 - public, by its documentation
            named.setdefault(data[BACKEND_SESSION_KEY], {})[key] = user_id
    logins: dict[str, Login] = {}
    for path, user_ids in named.items():
        if path not in settings.AUTHENTICATION_BACKENDS:
            continue
        users = _users(load_backend(path), {*user_ids.values()})
        given: set[Any] = set()
        for key, user_id in user_ids.items():
            # Connections of one user must not share an object that their threads write to.
            user = copy(users.get(user_id)) if user_id in given else users.get(user_id)
            given.add(user_id)
            if user is not None and (login := _login(key, sessions[key], user)) is not None:
                logins[key] = login
    return logins


def reads_together() -> bool:
    """Return whether many logins take as many queries as one: sessions are rows, and the backends find users by their
    primary keys or not at all."""
    backends = map(load_backend, settings.AUTHENTICATION_BACKENDS)
    return session_model() is not None and all(_asks_by_key(backend) or _asks_nothing(backend) for backend in backends)


def _asks_by_key(backend: Any) -> bool:
    """Return whether the backend finds users by their primary keys, as Django's own backend does."""
    stock = import_string("django.contrib.auth.backends.ModelBackend")
    return getattr(type(backend), "get_user", None) is stock.get_user


def _asks_nothing(backend: Any) -> bool:
    """Return whether the backend knows no users, as a backend that only refuses log-ins or grants permissions."""
    base = import_string("django.contrib.auth.backends.BaseBackend")
    return getattr(type(backend), "get_user", base.get_user) is base.get_user


def _users(backend: Any, user_ids: AbstractSet[Any]) -> "Mapping[Any, AbstractBaseUser]":
    """Return the users that a backend knows and lets in, by their primary keys."""
    if _asks_by_key(backend):
        found = on_primary(get_user_model()).in_bulk(user_ids)
        return {key: user for key, user in found.items() if backend.user_can_authenticate(user)}
    with primary():
        asked = {user_id: backend.get_user(user_id) for user_id in user_ids}
    return {user_id: user for user_id, user in asked.items() if user is not None}


def _login(session_key: str, kept: Kept, user: "AbstractBaseUser") -> Login | None:
    name, auth_hash = login_of(kept.data, session_key), kept.data.get(HASH_SESSION_KEY, "")
    if (keeps_no_sessions() and is_revoked(name)) or not is_current(user, auth_hash):
        return None
    return Login(user, session_key, auth_hash, name, kept.ends)


def is_current(user: "AbstractBaseUser", auth_hash: str) -> bool:
    """Return whether a session with this hash was made with the user's present password.

    True for a user model without passwords.
    """
    if not hasattr(user, "get_session_auth_hash"):
        return True
    if constant_time_compare(auth_hash, user.get_session_auth_hash()):
        return True
    return any(constant_time_compare(auth_hash, fallback) for fallback in user.get_session_auth_fallback_hash())


def session_store(session_key: str | None = None) -> SessionBase:
    """Return the session with this key in the project's store, a new session for None. It is read at the first use."""
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    return store


def read_sessions(session_keys: AbstractSet[str]) -> dict[str, Kept]:
    """Return what sessions hold, nothing for a session that is over, by their keys. Synchronous.

    Of a store with a model the rows in the primary database count, also where a cache stands in front of them.
    """
    stores, model = {key: session_store(key) for key in session_keys}, session_model()
    if model is None:
        return {key: Kept(store) for key, store in stores.items()}
    longest = model._meta.get_field("session_key").max_length  # noqa: SLF001 - public, by its documentation
    # A store drops a key that cannot be one. PostgreSQL refuses a query with NUL, which an escape in a cookie makes.
    valid = [
        key
        for key, store in stores.items()
        if store.session_key is not None and "\0" not in key and len(key) <= (longest or len(key))
    ]
    rows = on_primary(model).filter(session_key__in=valid, expire_date__gt=timezone.now())
    found = {row.session_key: row for row in rows}
    return {
        key: Kept(stores[key].decode(row.session_data), row.expire_date) if (row := found.get(key)) else Kept({})
        for key in session_keys
    }


def living_sessions(session_keys: set[str]) -> Mapping[str, datetime | None]:
    """Return the sessions that are not over, each with its end, if that is known. Synchronous.

    One query to the primary database for any number of keys; a session store without a model is asked once per key.
    """
    model = session_model()
    if model is None:
        return {key: None for key in session_keys if session_store(key).get(SESSION_KEY) is not None}
    if not session_keys:
        return {}
    rows = on_primary(model).filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    return dict(rows.values_list("session_key", "expire_date"))


def session_model() -> "type[AbstractBaseSession] | None":
    """Return the model of sessions, None for a session store without a model, such as a cache."""
    get_model_class = getattr(_store_class(), "get_model_class", None)
    return None if get_model_class is None else get_model_class()


def keeps_no_sessions() -> bool:
    """Return whether sessions are signed cookies, which open the session even after the log-out."""
    return issubclass(_store_class(), SignedCookies)


def _store_class() -> type[SessionBase]:
    return type(session_store())


def name_login(session: SessionBase) -> None:
    """Give the login of a session its name, unless it has one. A session that signs nobody in gets none."""
    if SESSION_KEY in session and LOGIN_KEY not in session:
        session[LOGIN_KEY] = secrets.token_urlsafe(16)


def login_of(session: Data, session_key: str | None) -> str:
    """Return the `Client.login_id` of a session, "" without a key.

    It is a hash of the login's name, so logs may keep it. A login from before Hotclub was installed has no name, and is
    named by a hash of the session key.
    """
    if name := session.get(LOGIN_KEY):
        return salted_hmac("hotclub.login", str(name), algorithm="sha256").hexdigest()
    return salted_hmac("hotclub.session", session_key, algorithm="sha256").hexdigest() if session_key else ""
