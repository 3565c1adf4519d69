"""Finds the user that a Django session signs in, and names the login behind a connection."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare, salted_hmac

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.sessions.base_session import AbstractBaseSession


@dataclass(frozen=True, slots=True)
class Login:
    """A session with its signed-in user. `auth_hash` is the session's hash of the password, see `is_current`."""

    user: "AbstractBaseUser"
    session_key: str
    auth_hash: str


def authenticate(session_key: str) -> Login | None:
    """Return the login of a session, None when the session signs nobody in.

    The rules are those of `django.contrib.auth.get_user`, but the session is only read. Synchronous; asks the session
    store and the database.
    """
    session = session_store(session_key)
    try:
        user_id = get_user_model()._meta.pk.to_python(session[SESSION_KEY])  # noqa: SLF001 - public, by its documentation
        backend_path = session[BACKEND_SESSION_KEY]
    except (KeyError, ValidationError):
        return None
    if backend_path not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = load_backend(backend_path).get_user(user_id)
    auth_hash = session.get(HASH_SESSION_KEY, "")
    if user is None or not is_current(user, auth_hash):
        return None
    return Login(user, session_key, auth_hash)


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


def login_id(session_key: str | None) -> str:
    """Return the name of a login, "" without a key. It is a hash of the session key, so logs may keep it."""
    if not session_key:
        return ""
    return salted_hmac("hotclub.session", session_key, algorithm="sha256").hexdigest()


def session_model() -> "type[AbstractBaseSession] | None":
    """Return the model of sessions, None for a session store without a model, such as a cache."""
    get_model_class = getattr(type(session_store()), "get_model_class", None)
    return None if get_model_class is None else get_model_class()
