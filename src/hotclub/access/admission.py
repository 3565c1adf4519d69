"""Judges the one-time tickets, tokens and session cookies of connections and subscriptions (protocol §2.1, §7).

If the client sends a ticket or token, the server ignores its cookie. A ticket or token that opens nothing refuses the
connection, even if the cookie would have opened one.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare
from msgspec import Raw

from hotclub.access import overrides
from hotclub.access.ended import is_revoked
from hotclub.access.handshake import SESSION_STATE, URL_STATE
from hotclub.access.logins import Logins
from hotclub.access.session import Login, authenticate, living_sessions
from hotclub.access.tickets import PREFIX, redeem
from hotclub.access.tokens import (
    ConnectionClaims,
    EndedToken,
    ExpiredToken,
    InvalidToken,
    ServerSide,
    SubscriptionClaims,
    password_proof,
    payload_of,
    verify_connection,
    verify_subscription,
)
from hotclub.channels.client import Client, TokenUser
from hotclub.conf.config import Config
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, HotclubError, Refused
from hotclub.engine.model import EMPTY
from hotclub.engine.names import normal
from hotclub.engine.observe import logger
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import RefreshGrant, SubscribeGrant
from hotclub.runtime.encoding import decode
from hotclub.runtime.pool import HookPool
from hotclub.runtime.primary import on_primary

LONGEST_IN_URL: Final = 600
"""The longest remaining life of a token in a URL, in seconds. It is short because logs and histories keep URLs."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """An admitted connection: its client, and what its token grants.

    `info` is the connection's `conn_info`. `channels` are the subscriptions that the token grants. `ttl` is the life of
    the connection in seconds, 0 for ever. `ends` is when its session expires, None for an unknown time.
    """

    client: Client
    info: Raw
    channels: dict[str, SubscribeGrant]
    ttl: int = 0
    ends: datetime | None = None


class Admission:
    """Judges the tickets, tokens and cookies of connections."""

    def __init__(self, config: Config, inner: HookPool) -> None:
        """`inner` is the thread pool for the database, apart from the hooks, so that slow hooks do not delay it."""
        self._config = config
        self._inner = inner
        self._logins = Logins(inner)

    async def enter(self, client: EngineClient, token: str) -> Admitted:
        """Judge the credentials of a connect command.

        Args:
            client: the connection.
            token: the token or ticket of the command, "" for the session cookie of the handshake.

        Raises:
            Disconnect: `INVALID_TOKEN`, the token opens nothing.
            Refused: `TOKEN_EXPIRED`, the token or the session that it belongs to is over, or the ticket was used, does
                not exist, or it or its login is over; `EXPIRED`, the `expire_at` of the token is over.

        A cancelled call may have used up the ticket.
        """
        if token.startswith(PREFIX):
            return _admitted(client, await self._inner.run(_redeemed, token))
        if token:
            return await self._by_token(client, token)
        cookie = client.handshake.state.get(SESSION_STATE)
        login = await self._logins.find(cookie) if isinstance(cookie, str) and cookie else None
        return _admitted(client, login, by_cookie=login is not None)

    def subscription_claims(self, token: str) -> SubscriptionClaims:
        """Return the claims of a subscription token. If the claims name a login, the caller asks `login_fault` next.

        Raises:
            Refused: `PERMISSION_DENIED`, the token opens nothing; `TOKEN_EXPIRED`, it has expired; `EXPIRED`, its
                `expire_at` is over.
        """
        with _subscribing():
            claims = verify_subscription(token, self._config.tokens)
            _life(claims)
            return claims

    def subscription_grant(
        self, claims: SubscriptionClaims, client: Client, channel: str, fault: HotclubError | None
    ) -> SubscribeGrant:
        """Return what a subscription token grants to a client.

        Args:
            claims: the claims of the token.
            client: the client that sent the token.
            channel: the name of the channel.
            fault: what `login_fault` has found.

        Raises:
            Disconnect: `INVALID_TOKEN`, the token is for another channel, user or connection.
            Refused: `PERMISSION_DENIED`, the token was revoked or has a malformed payload; `TOKEN_EXPIRED`, its session
                is over; `EXPIRED`, its `expire_at` is over.
        """
        with _subscribing():
            if fault is not None:
                raise fault
            _check_bearer(claims, client, channel)
            return SubscribeGrant(
                info=claims.shown_info(),
                data=payload_of(claims.data, claims.b64data),
                ttl=_life(claims),
                overrides=overrides.read(claims.override),
            )

    async def refresh(self, client: Client, token: str) -> RefreshGrant:
        """Judge a new connection token for a live connection (protocol §7), and return the terms on which it goes on.

        Raises:
            Disconnect: `BAD_REQUEST`, the connection was not opened by a token; `INVALID_TOKEN`, the new token opens
                nothing or is another user's; `CONNECTION_EXPIRED`, the new token has expired; `INSUFFICIENT_STATE`, it
                names other channels than the first token.

        A cancelled call leaves nothing behind.
        """
        if client.token_channels is None:
            raise Disconnect(Close.BAD_REQUEST, why="a refresh of a connection that was not opened by a token")
        try:
            claims = verify_connection(token, self._config.tokens)
            ttl = _life(claims)
            await self._bearer(claims)
            info = claims.shown_info()
        except InvalidToken as error:
            raise _refused(error.reason) from None
        except ExpiredToken:
            raise Disconnect(Close.CONNECTION_EXPIRED) from None
        if claims.sub != client.user_id:
            raise _refused("the token of another user")
        if frozenset(claims.server_side) != client.token_channels:
            raise Disconnect(Close.INSUFFICIENT_STATE)
        return RefreshGrant(ttl=0 if self._config.insecure else ttl, info=info)

    async def refresh_subscription(self, client: Client, channel: str, token: str) -> RefreshGrant:
        """Judge a new subscription token for a live subscription, and return the terms on which it goes on.

        Raises:
            Disconnect: `INVALID_TOKEN`, the token opens nothing or is for another subscription;
                `SUBSCRIPTION_EXPIRED`, it has expired.

        A cancelled call leaves nothing behind.
        """
        try:
            claims = verify_subscription(token, self._config.tokens)
            ttl = _life(claims)
            await self._check_login(claims)
            _check_bearer(claims, client, channel)
            return RefreshGrant(ttl=ttl, info=claims.shown_info())
        except InvalidToken as error:
            raise _refused(error.reason) from None
        except ExpiredToken:
            raise Disconnect(Close.SUBSCRIPTION_EXPIRED) from None

    async def _by_token(self, client: EngineClient, token: str) -> Admitted:
        try:
            claims = verify_connection(token, self._config.tokens)
            ttl = _life(claims)
            if client.handshake.state.get(URL_STATE) and not self._config.insecure:
                _check_url(claims)
            user = await self._bearer(claims)
            channels = {name: _server_side(entry) for name, entry in claims.server_side.items()}
            info = claims.shown_info()
        except InvalidToken as error:
            raise _refused(error.reason) from None
        except ExpiredToken as error:
            raise Refused(Code.EXPIRED if isinstance(error, EndedToken) else Code.TOKEN_EXPIRED) from None
        mine = Client(
            id=client.id,
            user=user,
            headers=client.handshake.headers,
            address=client.handshake.address,
            login_id=claims.sid,
            session_key=claims.session_key,
            info=decode(info),
            meta=claims.meta,
            token_channels=frozenset(channels),
            password_proof=claims.pwh,
        )
        return Admitted(mine, info, channels, 0 if self._config.insecure else ttl)

    async def _bearer(self, claims: ConnectionClaims) -> Any:
        """Return the user that the token names, see `find_bearer`."""
        if not claims.sub and not claims.sid and not claims.sealed_session:
            return AnonymousUser()
        return await self._inner.run(find_bearer, claims)

    async def _check_login(self, claims: SubscriptionClaims) -> None:
        if claims.has_login and (fault := await self._inner.run(login_fault, claims)) is not None:
            raise fault


@contextlib.contextmanager
def _subscribing() -> Iterator[None]:
    """Turn an error of a subscription token into the refusal of the subscribe command."""
    try:
        yield
    except InvalidToken as error:
        logger.info("Refused a token: %s", error.reason)
        raise Refused(Code.PERMISSION_DENIED, why=error.reason) from None
    except ExpiredToken as error:
        raise Refused(Code.EXPIRED if isinstance(error, EndedToken) else Code.TOKEN_EXPIRED) from None


def _life(claims: ConnectionClaims | SubscriptionClaims) -> int:
    ttl = claims.life(time.time())
    if ttl is None:
        raise EndedToken
    return ttl


def _redeemed(ticket: str) -> Login | None:
    """Use up a ticket, and return its login, None for the ticket of a visitor without one.

    Raises:
        Refused: `TOKEN_EXPIRED`, the ticket opens nothing. An SDK that reconnects sends the used ticket again, and this
            error makes the SDK fetch another one.
    """
    session_key = redeem(ticket)
    if session_key is None:
        raise Refused(Code.TOKEN_EXPIRED)
    login = authenticate(session_key) if session_key else None
    if session_key and login is None:
        # As an anonymous connection the client would not learn of the log-out.
        raise Refused(Code.TOKEN_EXPIRED, why="the login of the ticket is over")
    return login


def login_fault(claims: ConnectionClaims | SubscriptionClaims) -> HotclubError | None:
    """Return why the login of a token is over: `InvalidToken` or `ExpiredToken`; None when it is not, or without one.

    A log-out is final. A session that is gone may have got another key, so its client fetches another token.
    Synchronous; up to two queries.
    """
    if is_revoked(claims.sid):
        return InvalidToken("it was revoked")
    if claims.sealed_session and claims.session_key not in living_sessions({claims.session_key}):
        return ExpiredToken("its session is over")
    return None


def find_bearer(claims: ConnectionClaims) -> Any:
    """Return the user that a connection token names, an `AnonymousUser` without `sub`. Synchronous; asks the database.

    Raises:
        InvalidToken: the token's login was revoked, or its user is inactive, has another password or is gone.
        ExpiredToken: the token's session is over.
    """
    if (fault := login_fault(claims)) is not None:
        raise fault
    if not claims.sub:
        return AnonymousUser()
    user = find_user(claims.sub)
    if claims.pwh and (isinstance(user, TokenUser) or not constant_time_compare(claims.pwh, password_proof(user))):
        raise InvalidToken("its user has another password, or is gone")
    if not user.is_active:
        raise InvalidToken("its user is not active")
    return user


def find_user(user_id: str) -> Any:
    """Return the project's user with this primary key, or a `TokenUser` if no user has it. Synchronous; one query."""
    model = get_user_model()
    try:
        key = model._meta.pk.to_python(user_id)  # noqa: SLF001 - public, by its documentation
        # PostgreSQL refuses a query with NUL.
        user = None if "\0" in user_id else on_primary(model).filter(pk=key).first()
    except (ValidationError, ValueError, OverflowError):
        user = None
    # Another spelling of a key, such as "007", would be a second `sub` of the same user.
    return user if user is not None and str(user.pk) == user_id else TokenUser(user_id)


def _admitted(client: EngineClient, login: Login | None, *, by_cookie: bool = False) -> Admitted:
    mine = Client(
        id=client.id,
        user=AnonymousUser() if login is None else login.user,
        headers=client.handshake.headers,
        address=client.handshake.address,
        login_id="" if login is None else login.id,
        by_cookie=by_cookie,
        session_key="" if login is None else login.session_key,
        auth_hash="" if login is None else login.auth_hash,
    )
    return Admitted(mine, EMPTY, {}, ends=None if login is None else login.ends)


def _server_side(entry: ServerSide) -> SubscribeGrant:
    return SubscribeGrant(
        info=payload_of(entry.info, entry.b64info),
        data=payload_of(entry.data, entry.b64data),
        overrides=overrides.read(entry.override),
    )


def _check_bearer(claims: SubscriptionClaims, client: Client, channel: str) -> None:
    if normal(claims.channel) != channel:
        raise _refused("a subscription token for another channel")
    if claims.sub != client.user_id:
        raise _refused("a subscription token of another user")
    if claims.client is not None and claims.client not in ("", client.id):
        raise _refused("a subscription token of another connection")


def _check_url(claims: ConnectionClaims) -> None:
    if claims.exp is None or claims.exp - time.time() > LONGEST_IN_URL:
        raise InvalidToken(f"it stands in a URL and lives longer than {LONGEST_IN_URL} s; use hotclub.tokens.ticket()")


def _refused(reason: str) -> Disconnect:
    """Return the end of the connection. The log gets the reason, and the client does not."""
    return Disconnect(Close.INVALID_TOKEN, why=reason)
