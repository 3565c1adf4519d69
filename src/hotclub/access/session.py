"""Finds the user that a Django session signs in, and names the login behind a connection.

A login has a name of its own in its session. So the login stays the same when the session gets another key, and when
signed cookies write the session anew.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from hotclub.access.ended import is_revoked
from hotclub.runtime.primary import on_primary, primary

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.sessions.base_session import AbstractBaseSession

LOGIN_KEY: Final = "_hotclub_login"
"""The key of a session under which its login has its name."""

Data = Mapping[str, Any] | SessionBase
"""What a session holds. A `SessionBase` is read at the first use."""


@dataclass(frozen=True, slots=True)
class Login:
    """A session with its signed-in user.

    `auth_hash` is the session's hash of the password, see `is_current`. `id` is the `Client.login_id`.
    """

    user: "AbstractBaseUser"
    session_key: str
    auth_hash: str
    id: str


def authenticate(session_key: str) -> Login | None:
    """Return the login of a session, None when the session signs nobody in.

    The rules are those of `django.contrib.auth.get_user`, but the session is only read, and everything comes from the
    primary databases. Synchronous; asks the session store and the database.
    """
    session = read_session(session_key)
    try:
        user_id = get_user_model()._meta.pk.to_python(session[SESSION_KEY])  # noqa: SLF001 - public, by its documentation
        backend_path = session[BACKEND_SESSION_KEY]
    except (KeyError, ValidationError):
        return None
    if backend_path not in settings.AUTHENTICATION_BACKENDS:
        return None
    name = login_of(session, session_key)
    if keeps_no_sessions() and is_revoked(name):
        return None
    with primary():
        user = load_backend(backend_path).get_user(user_id)
    auth_hash = session.get(HASH_SESSION_KEY, "")
    if user is None or not is_current(user, auth_hash):
        return None
    return Login(user, session_key, auth_hash, name)


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


def read_session(session_key: str) -> Data:
    """Return what the session with this key holds, nothing for a session that is over. Synchronous.

    Of a store with a model the row in the primary database counts, also where a cache stands in front of it.
    """
    store, model = session_store(session_key), session_model()
    if model is None or store.session_key is None:
        return store
    row = on_primary(model).filter(session_key=session_key, expire_date__gt=timezone.now()).first()
    data: dict[str, Any] = {} if row is None else store.decode(row.session_data)
    return data


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
