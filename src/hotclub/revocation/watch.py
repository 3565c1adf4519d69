"""The regular look at logins: finds what no signal tells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from weakref import WeakKeyDictionary

from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from hotclub.access.ended import revoked_logins
from hotclub.access.session import is_current, session_model, session_store
from hotclub.access.tokens import password_proof
from hotclub.channels.client import Client, TokenUser
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.revocation.signals import SIGNED_OUT

_CHUNK: Final = 500


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
            users = get_user_model()._default_manager.in_bulk(known)  # noqa: SLF001 - public, by its documentation
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
        return Disconnect(Close.FORCE_RECONNECT) if ended else None
    if user is None or not user.is_active:
        return Disconnect(Close.FORCE_DISCONNECT, SIGNED_OUT)
    if ended or not _has_same_password(client, user):
        return Disconnect(Close.FORCE_RECONNECT)
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
    revoked = revoked_logins({client.login_id for client in clients if client.token_channels is not None})
    return {
        client: alive.get(client.session_key) if client.token_channels is None else None
        for client in clients
        if (client.session_key in alive if client.token_channels is None else client.login_id not in revoked)
    }


def _living_sessions(keys: set[str]) -> Mapping[str, datetime | None]:
    model = session_model()
    if model is None:
        return {key: None for key in keys if session_store(key).get(SESSION_KEY) is not None}
    rows = model._default_manager.filter(session_key__in=keys, expire_date__gt=timezone.now())  # noqa: SLF001 - the same
    return dict(rows.values_list("session_key", "expire_date"))
