"""The Django session behind a connection: which user it signs in, and whether it still does."""

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
    """A session that a user is signed in with."""

    user: "AbstractBaseUser"
    session_key: str
    auth_hash: str


def authenticate(session_key: str) -> Login | None:
    """Who is signed in with a session: Django's own rules, but the session is only read.

    Synchronous; asks the session store and the database.
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
    """Whether a session with this hash was made with the user's present password."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    if constant_time_compare(auth_hash, user.get_session_auth_hash()):
        return True
    return any(constant_time_compare(auth_hash, fallback) for fallback in user.get_session_auth_fallback_hash())


def session_store(session_key: str | None = None) -> SessionBase:
    """The session with this key, in the project's store; a new one for None."""
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    return store


def login_id(session_key: str | None) -> str:
    """The name of a login: a hash of the session key, safe to log and to send to other processes; "" without a key."""
    if not session_key:
        return ""
    return salted_hmac("hotclub.session", session_key, algorithm="sha256").hexdigest()


def session_model() -> "type[AbstractBaseSession] | None":
    """The model of sessions, None when the project keeps sessions elsewhere."""
    get_model_class = getattr(type(session_store()), "get_model_class", None)
    return None if get_model_class is None else get_model_class()
