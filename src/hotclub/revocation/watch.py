"""The regular look at the logins of connections. It finds the ends of logins that no signal tells of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from hotclub.access.ended import revoked_logins
from hotclub.access.session import is_current, keeps_no_sessions, living_sessions
from hotclub.access.tokens import password_proof
from hotclub.channels.client import Client, TokenUser
from hotclub.conf.config import get_config
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.revocation.signals import SIGNED_OUT
from hotclub.runtime.primary import on_primary

CHUNK: Final = 500
"""The most connections to look at, and to judge, at one time: that holds the event loop for a few milliseconds."""
_SOON: Final = timedelta(seconds=5)
"""Connections that are due within this time per second of `LOGIN_CHECK` are asked for by their own moment. The regular
look comes to the others in time."""


@dataclass(frozen=True, slots=True)
class Look:
    """The result of one look at the logins of some connections."""

    gone: list[tuple[Client, Disconnect]] = field(default_factory=list)
    """The clients whose logins are over, each with the reason to disconnect it with."""
    ends: dict[Client, datetime] = field(default_factory=dict)
    """When the sessions of the other clients expire. Clients without a known time are missing."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """When a connection is due, and why.

    `due` None waits for the regular look. With `ends` the session expires at `due`. With `suspect` the session was not
    found at the last look. `doubts` is how often every login had been doubted before.
    """

    due: datetime | None = None
    ends: bool = False
    suspect: bool = False
    doubts: int = 0

    def has_ended(self, now: datetime) -> bool:
        """Whether the time of the session is over."""
        return self.ends and self.due is not None and self.due <= now


class SessionWatch:
    """The signed-in connections of this process, and when to look at their logins. Belongs to the event loop."""

    def __init__(self) -> None:
        # The references are weak because `remove` is not called for a connection that breaks off while it connects.
        self._watched: WeakKeyDictionary[Client, _Watched] = WeakKeyDictionary()
        self._soon: WeakSet[Client] = WeakSet()
        """The connections that may be due before the regular look comes to them."""
        self._doubts = 0
        self._is_doubted = False

    @property
    def doubts(self) -> int:
        """How often every login has been doubted."""
        return self._doubts

    def add(self, client: Client, ends: datetime | None = None, *, doubts: int | None = None) -> None:
        """Watch a connection from the end of its session on; without a known end the connection is due at once.

        An order to end one login that arrives while the connection is decided on applies to the decision. A doubt of
        every login does not, so the connection is also due at once when `doubts` has grown meanwhile.

        Args:
            client: the connection.
            ends: when its session expires.
            doubts: what `doubts` was before the login was looked up; None for what it is now.
        """
        if doubts is None or doubts == self._doubts:
            self._note(client, ends or timezone.now(), ends=ends is not None)
        else:
            self._watched[client] = _Watched(timezone.now(), doubts=doubts)
            self._soon.add(client)

    def remove(self, client: Client) -> None:
        """Stop watching a connection, which has ended. Idempotent."""
        self._watched.pop(client, None)
        self._soon.discard(client)

    def _note(self, client: Client, due: datetime | None, *, ends: bool = False, suspect: bool = False) -> None:
        self._watched[client] = _Watched(due, ends, suspect, self._doubts)
        if due is not None and due <= timezone.now() + _SOON * get_config().login_check:
            self._soon.add(client)
        else:
            self._soon.discard(client)

    def clients(self) -> list[Client]:
        """Return all watched connections, for the regular look."""
        return list(self._watched)

    def doubt(self) -> None:
        """Have every connection looked at soon. Connections whose session is gone end at that look."""
        self._is_doubted = True
        self._doubts += 1

    def due(self) -> list[Client]:
        """Return the connections to look at now: the new ones, and those whose session has expired or was not found."""
        if self._is_doubted:
            self._is_doubted = False
            return self.clients()
        now = timezone.now()
        return [client for client in self._soon if (due := self._watched[client].due) is not None and due <= now]

    def judge(self, clients: Iterable[Client], look: Look) -> list[tuple[Client, Disconnect]]:
        """Return the connections to end now, each with the reason for its client, and note when the others are due.

        A connection whose session is gone too early ends only at its second look. If the user has signed out in another
        process, an order with the better reason is on its way here.

        Args:
            clients: the connections that were looked at.
            look: the result of `check` for them.
        """
        now = timezone.now()
        reasons, ending = dict(look.gone), []
        for client in clients:
            watched, reason = self._watched.get(client), reasons.get(client)
            if watched is None:
                continue
            is_doubted = watched.suspect or watched.doubts < self._doubts
            if reason is None:
                end = look.ends.get(client)
                self._note(client, end, ends=end is not None)
            elif is_doubted or watched.has_ended(now) or not reason.reconnects:
                ending.append((client, reason))
            else:
                self._note(client, now, suspect=True)
        return ending

    @staticmethod
    def check(clients: Sequence[Client]) -> Look:
        """Look at the logins of connections, and renew the `user` of each connection that may stay.

        Synchronous; up to three queries per 500 connections. A session store without a model is asked once per session.
        """
        look = Look()
        for start in range(0, len(clients), CHUNK):
            chunk = clients[start : start + CHUNK]
            known = {client.user.pk for client in chunk if _has_row(client)}
            users = on_primary(get_user_model()).in_bulk(known)
            lives = _lives(chunk)
            for client in chunk:
                reason = _verdict(client, users.get(client.user.pk), ended=client not in lives)
                if reason is not None:
                    look.gone.append((client, reason))
                elif (end := lives[client]) is not None:
                    look.ends[client] = end
        return look


def _verdict(client: Client, user: AbstractBaseUser | None, *, ended: bool) -> Disconnect | None:
    if not _has_row(client):
        return Disconnect(Close.FORCE_RECONNECT) if ended else None
    if user is None or not user.is_active:
        return Disconnect(Close.FORCE_DISCONNECT, SIGNED_OUT)
    if ended or not _has_same_password(client, user):
        return Disconnect(Close.FORCE_RECONNECT)
    client.user = user
    return None


def _has_row(client: Client) -> bool:
    """Whether the user of a connection is a row of the user model."""
    return not client.is_anonymous and not isinstance(client.user, TokenUser)


def _has_same_password(client: Client, user: AbstractBaseUser) -> bool:
    if client.token_channels is None:
        return is_current(user, client.auth_hash)
    return client.password_proof in ("", password_proof(user))


def _lives(clients: Sequence[Client]) -> dict[Client, datetime | None]:
    """Return the clients whose login is not over, each with the time at which its session expires, if that is known.

    A login is over when its session is gone. The logins of tokens and of signed cookies, which outlive a log-out, are
    also over when they were revoked.
    """
    alive = living_sessions({client.session_key for client in clients if client.session_key})
    outliving = clients if keeps_no_sessions() else [client for client in clients if client.token_channels is not None]
    revoked = revoked_logins({client.login_id for client in outliving})
    return {
        client: alive.get(client.session_key)
        for client in clients
        if client.login_id not in revoked and (not client.session_key or client.session_key in alive)
    }
