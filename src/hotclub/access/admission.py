"""Whose a connection is, and what its tokens allow: one-time tickets, JWTs and session cookies (protocol §2.1, §7).

A ticket or token that the client sends counts before its cookie. When it opens nothing, the server refuses the
connection, also where the cookie would have opened one.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare
from msgspec import Raw

from hotclub.access import overrides
from hotclub.access.ended import is_revoked
from hotclub.access.handshake import SESSION_STATE, URL_STATE
from hotclub.access.session import Login, authenticate, login_id
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
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.model import EMPTY
from hotclub.engine.observe import logger
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import RefreshGrant, SubscribeGrant
from hotclub.runtime.encoding import decode
from hotclub.runtime.pool import HookPool

LONGEST_IN_URL: Final = 600
"""The most seconds that a token in a URL may have left: logs and histories keep URLs."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A connection that may come in: its client, and what its token grants."""

    client: Client
    info: Raw
    channels: dict[str, SubscribeGrant]
    ttl: int = 0


class Admission:
    """Judges the tickets, tokens and cookies of connections."""

    def __init__(self, config: Config, inner: HookPool) -> None:
        """`inner` is the pool for database work that must not wait for hooks."""
        self._config = config
        self._inner = inner

    async def enter(self, client: EngineClient, token: str) -> Admitted:
        """The connection of a connect command with this token, "" for none.

        Raises:
            Disconnect: `INVALID_TOKEN`, the token opens nothing.
            Refused: `TOKEN_EXPIRED`, the time of the token is over, or the ticket has been used; `EXPIRED`, the
                `expire_at` of the token is over.
        """
        if token.startswith(PREFIX):
            key = await self._inner.run(redeem, token)
            if key is None:
                # An SDK that comes back sends its token again. This error makes it fetch another one.
                raise Refused(Code.TOKEN_EXPIRED)
            return _admitted(client, await self._login(key))
        if token:
            return await self._by_token(client, token)
        cookie = client.handshake.state.get(SESSION_STATE)
        return _admitted(client, await self._login(cookie if isinstance(cookie, str) else ""))

    def subscription_claims(self, token: str) -> SubscriptionClaims:
        """What a subscription token says. Where it names a login or has an id, `is_revoked` is still to be asked.

        Raises:
            Refused: `PERMISSION_DENIED`, the token opens nothing; `TOKEN_EXPIRED`, its time is over; `EXPIRED`, its
                `expire_at` is over.
        """
        with _subscribing():
            claims = verify_subscription(token, self._config.tokens)
            _life(claims)
            return claims

    def subscription_grant(
        self, claims: SubscriptionClaims, client: Client, channel: str, *, revoked: bool
    ) -> SubscribeGrant:
        """What a subscription token grants to this client.

        Raises:
            Disconnect: `INVALID_TOKEN`, it is for another channel, user or connection.
            Refused: as `subscription_claims`; `PERMISSION_DENIED` for one that was revoked.
        """
        with _subscribing():
            if revoked:
                raise InvalidToken("it was revoked")
            _check_bearer(claims, client, channel)
            return SubscribeGrant(
                info=claims.shown_info(),
                data=payload_of(claims.data, claims.b64data),
                ttl=_life(claims),
                overrides=overrides.read(claims.override),
            )

    async def refresh(self, client: Client, token: str) -> RefreshGrant:
        """A new connection token for a living connection.

        Raises:
            Disconnect: `BAD_REQUEST`, the connection was not opened by a token; `INVALID_TOKEN`, the new token opens
                nothing or is another user's; `CONNECTION_EXPIRED`, its time is over; `INSUFFICIENT_STATE`, it names
                other channels than the first one.
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
        """A new subscription token for a living subscription.

        Raises:
            Disconnect: `INVALID_TOKEN`, the token opens nothing or is for another subscription;
                `SUBSCRIPTION_EXPIRED`, its time is over.
        """
        try:
            claims = verify_subscription(token, self._config.tokens)
            ttl = _life(claims)
            await self._check_revoked(claims)
            _check_bearer(claims, client, channel)
            return RefreshGrant(ttl=ttl, info=claims.shown_info())
        except InvalidToken as error:
            raise _refused(error.reason) from None
        except ExpiredToken:
            raise Disconnect(Close.SUBSCRIPTION_EXPIRED) from None

    async def _login(self, session_key: str) -> Login | None:
        return await self._inner.run(authenticate, session_key) if session_key else None

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
            info=decode(info),
            meta=claims.meta,
            token_channels=frozenset(channels),
            password_proof=claims.pwh,
        )
        return Admitted(mine, info, channels, 0 if self._config.insecure else ttl)

    async def _bearer(self, claims: ConnectionClaims) -> Any:
        """The user that the token names.

        Raises:
            InvalidToken: the token or its login was revoked, or the user may not or no longer sign in with it.
        """
        if not claims.sub and not claims.sid:
            return AnonymousUser()
        return await self._inner.run(find_bearer, claims)

    async def _check_revoked(self, claims: SubscriptionClaims) -> None:
        if claims.sid:
            revoked = await self._inner.run(is_revoked, claims.sid)
            if revoked:
                raise InvalidToken("it was revoked")


@contextlib.contextmanager
def _subscribing() -> Iterator[None]:
    """Turn what is wrong with a subscription's token into the refusal of its subscribe command."""
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


def find_bearer(claims: ConnectionClaims) -> Any:
    """The user that a connection token names, an `AnonymousUser` for nobody. Synchronous; asks the database.

    Raises:
        InvalidToken: see `Admission._bearer`.
    """
    if is_revoked(claims.sid):
        raise InvalidToken("it was revoked")
    if not claims.sub:
        return AnonymousUser()
    user = find_user(claims.sub)
    if claims.pwh and (isinstance(user, TokenUser) or not constant_time_compare(claims.pwh, password_proof(user))):
        raise InvalidToken("its user has another password, or is gone")
    if not user.is_active:
        raise InvalidToken("its user is not active")
    return user


def find_user(user_id: str) -> Any:
    """The project's user with this primary key, a `TokenUser` when there is none. Synchronous."""
    model = get_user_model()
    try:
        key = model._meta.pk.to_python(user_id)  # noqa: SLF001 - public, by its documentation
        user = model._default_manager.filter(pk=key).first()  # noqa: SLF001 - the same
    except (ValidationError, ValueError, OverflowError):
        user = None
    # A second spelling of a key ("007") is not that user.
    return user if user is not None and str(user.pk) == user_id else TokenUser(user_id)


def _admitted(client: EngineClient, login: Login | None) -> Admitted:
    mine = Client(
        id=client.id,
        user=AnonymousUser() if login is None else login.user,
        headers=client.handshake.headers,
        address=client.handshake.address,
        login_id="" if login is None else login_id(login.session_key),
        session_key="" if login is None else login.session_key,
        auth_hash="" if login is None else login.auth_hash,
    )
    return Admitted(mine, EMPTY, {})


def _server_side(entry: ServerSide) -> SubscribeGrant:
    return SubscribeGrant(
        info=payload_of(entry.info, entry.b64info),
        data=payload_of(entry.data, entry.b64data),
        overrides=overrides.read(entry.override),
    )


def _check_bearer(claims: SubscriptionClaims, client: Client, channel: str) -> None:
    if claims.channel != channel:
        raise _refused("a subscription token for another channel")
    if claims.sub != client.user_id:
        raise _refused("a subscription token of another user")
    if claims.client is not None and claims.client not in ("", client.id):
        raise _refused("a subscription token of another connection")


def _check_url(claims: ConnectionClaims) -> None:
    if claims.exp is None or claims.exp - time.time() > LONGEST_IN_URL:
        raise InvalidToken(f"it stands in a URL and lives longer than {LONGEST_IN_URL} s; use hotclub.tokens.ticket()")


def _refused(reason: str) -> Disconnect:
    """What is wrong with a token stands in the line of the log that tells of the connection's end."""
    return Disconnect(Close.INVALID_TOKEN, why=reason)
