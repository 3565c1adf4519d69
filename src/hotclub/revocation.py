"""Signing out ends sockets: at once by Django's signals, and by a regular look for what no signal tells.

Who is ended how:

- A logout, a deactivated and a deleted user: 3503 "signed out", which is final. The page shows it.
- Anything that may leave the browser signed in (a rotated session key, a new password, a session that has vanished):
  3011 "force reconnect". The page comes back with the cookie it has now; when that is worth nothing, connecting is
  refused with the final code 3501, so nothing loops.
"""

# ruff: noqa: ARG001, SLF001 - receivers get what the signal sends; the underscored names are documented Django API

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db.models.signals import post_delete, post_save, pre_save
from django.http import HttpRequest
from django.utils import timezone

from hotclub.access.ended import revoke_session, revoked_sessions
from hotclub.access.session import is_current, session_id, session_store
from hotclub.access.tokens import password_proof
from hotclub.channels.client import Client, TokenUser
from hotclub.conf.config import get_config
from hotclub.control import disconnect
from hotclub.engine.errors import Disconnect
from hotclub.engine.errors import disconnect as table_disconnect
from hotclub.runtime.node import after_commit

SIGNED_OUT: Final = "signed out"

_CHUNK: Final = 500
_BEFORE: Final = "_hotclub_before"


def connect_signals() -> None:
    """Listen to what ends a login. Called once, when the apps are ready."""
    user_model = get_user_model()
    user_logged_out.connect(_logged_out, dispatch_uid="hotclub.logged_out")
    pre_save.connect(_before_save, sender=user_model, dispatch_uid="hotclub.before_save")
    post_save.connect(_user_saved, sender=user_model, dispatch_uid="hotclub.user_saved")
    post_delete.connect(_user_deleted, sender=user_model, dispatch_uid="hotclub.user_deleted")
    if (model := session_model()) is not None:
        post_delete.connect(_session_deleted, sender=model, dispatch_uid="hotclub.session_deleted")


def session_model() -> type[AbstractBaseSession] | None:
    """The table of sessions, when the project keeps them in one."""
    get_model_class = getattr(type(session_store()), "get_model_class", None)
    return None if get_model_class is None else get_model_class()


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at some connections has found."""

    gone: list[tuple[Client, Disconnect]] = field(default_factory=list)
    """Whose logins do not stand, and how they have to go."""
    ends: dict[Client, datetime] = field(default_factory=dict)
    """When the sessions of the others end, as far as it is known."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """When to look next, None for the regular look; and why: its session `ends` then, or seems to be gone."""

    due: datetime | None = None
    ends: bool = False
    suspect: bool = False


class SessionWatch:
    """The live connections of this process that come from a session, and what has become of their logins."""

    def __init__(self) -> None:
        # Weak: a connection that breaks off while connecting is never reported as ended.
        self._watched: WeakKeyDictionary[Client, _Watched] = WeakKeyDictionary()

    def add(self, client: Client) -> None:
        """Watch a connection from now on. It is due at once: its login may have ended while it connected."""
        self._watched[client] = _Watched(due=timezone.now())

    def remove(self, client: Client) -> None:
        """The connection has ended. Idempotent."""
        self._watched.pop(client, None)

    def clients(self) -> list[Client]:
        """The connections to look at regularly."""
        return list(self._watched)

    def due(self) -> list[Client]:
        """Those to look at now: nobody has yet, their session should be over, or it seemed to be gone."""
        now = timezone.now()
        return [client for client, watched in self._watched.items() if watched.due is not None and watched.due <= now]

    def judge(self, clients: Iterable[Client], look: Look) -> list[tuple[Client, Disconnect]]:
        """Which of these, at which somebody has looked, are to end now, and how.

        A session that is gone before its time is looked at once more: if somebody has signed out in another process,
        that is on its way here, and tells the client more than that it shall come back.
        """
        now = timezone.now()
        reasons, ending = dict(look.gone), []
        for client in clients:
            watched, reason = self._watched.get(client), reasons.get(client)
            if watched is None:
                continue
            over = watched.suspect or (watched.ends and watched.due is not None and watched.due <= now)
            if reason is None:
                end = look.ends.get(client)
                self._watched[client] = _Watched(due=end, ends=end is not None)
            elif over or not reason.reconnects:
                ending.append((client, reason))
            else:
                self._watched[client] = _Watched(due=now, suspect=True)
        return ending

    @staticmethod
    def check(clients: Sequence[Client]) -> Look:
        """Look at these, and renew the `user` of those that may stay.

        Synchronous; two queries per 500 logins.
        """
        look = Look()
        for start in range(0, len(clients), _CHUNK):
            chunk = clients[start : start + _CHUNK]
            known = {client.user.pk for client in chunk if not isinstance(client.user, TokenUser)}
            users = get_user_model()._default_manager.in_bulk(known)
            lives = _lives(chunk)
            for client in chunk:
                reason = _verdict(client, users.get(client.user.pk), ended=client not in lives)
                if reason is not None:
                    look.gone.append((client, reason))
                elif (end := lives[client]) is not None:
                    look.ends[client] = end
        return look


def _verdict(client: Client, user: AbstractBaseUser | None, *, ended: bool) -> Disconnect | None:
    if isinstance(client.user, TokenUser):
        return table_disconnect(3011) if ended else None
    if user is None or not user.is_active:
        return Disconnect(3503, SIGNED_OUT)
    if ended or not _has_same_password(client, user):
        return table_disconnect(3011)
    client.user = user
    return None


def _has_same_password(client: Client, user: AbstractBaseUser) -> bool:
    if client.token_channels is None:
        return is_current(user, client.auth_hash)
    return client.password_proof in ("", password_proof(user))


def _lives(clients: Sequence[Client]) -> dict[Client, datetime | None]:
    """Those whose login stands, and until when if that is known: the session of a cookie is there, and that of a token
    was not revoked."""
    alive = _living_sessions({client.session_key for client in clients if client.token_channels is None})
    revoked = revoked_sessions({client.session_id for client in clients if client.token_channels is not None})
    return {
        client: alive.get(client.session_key) if client.token_channels is None else None
        for client in clients
        if (client.session_key in alive if client.token_channels is None else client.session_id not in revoked)
    }


def _living_sessions(keys: set[str]) -> Mapping[str, datetime | None]:
    model = session_model()
    if model is None:
        return {key: None for key in keys if session_store(key).get(SESSION_KEY) is not None}
    rows = model._default_manager.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return dict(rows.values_list("session_key", "expire_date"))


def _logged_out(sender: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        _end_tokens(session.session_key)
        _after_commit(session=session_id(session.session_key), code=3503, reason=SIGNED_OUT)


def _session_deleted(sender: Any, instance: AbstractBaseSession, **kwargs: Any) -> None:
    # Logging in deletes the anonymous session, and `clearsessions` expired ones by the thousand: neither has
    # connections.
    if instance.expire_date > timezone.now() and SESSION_KEY in instance.get_decoded():
        _end_tokens(instance.session_key)
        _reconnect(session=session_id(instance.session_key))


def _before_save(
    sender: type[AbstractBaseUser], instance: AbstractBaseUser, update_fields: Iterable[str] | None, **kwargs: Any
) -> None:
    instance.__dict__.pop(_BEFORE, None)
    if instance._state.adding or (update_fields is not None and not {"password", "is_active"} & set(update_fields)):
        return
    before = sender._base_manager.filter(pk=instance.pk).first()
    if before is not None:
        instance.__dict__[_BEFORE] = (before.get_session_auth_hash(), before.is_active)


def _user_saved(sender: Any, instance: AbstractBaseUser, **kwargs: Any) -> None:
    before: tuple[str, bool] | None = instance.__dict__.pop(_BEFORE, None)
    if before is None:
        return
    auth_hash, was_active = before
    if was_active and not instance.is_active:
        _after_commit(user=str(instance.pk), code=3503, reason=SIGNED_OUT)
    elif auth_hash != instance.get_session_auth_hash():
        _reconnect(user=str(instance.pk))


def _user_deleted(sender: Any, instance: AbstractBaseUser, **kwargs: Any) -> None:
    _after_commit(user=str(instance.pk), code=3503, reason=SIGNED_OUT)


def _end_tokens(session_key: str) -> None:
    """Tokens that end with this session open nothing any more; in the caller's transaction, like the logout itself."""
    if get_config().tokens is not None:
        revoke_session(session_id(session_key))


def _reconnect(**target: str) -> None:
    reason = table_disconnect(3011)
    _after_commit(**target, code=reason.code, reason=reason.reason)


def _after_commit(**order: Any) -> None:
    """The order is no part of the caller's transaction, and its failure no failure of the logout: the regular look
    finds what it missed."""
    after_commit(lambda: disconnect(**order))
