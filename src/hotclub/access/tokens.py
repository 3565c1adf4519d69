"""Verifies and makes tokens: JWTs that open connections and subscriptions without a cookie (protocol §7, RFC 7519).

The server judges a token's form, key, signature, claims and time, in this order. A token with a wrong time is an
`ExpiredToken`, and its client fetches another one. A token with any other fault is an `InvalidToken`.
"""

import base64
import binascii
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import jwt
import msgspec
from django.contrib.auth import SESSION_KEY
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac
from msgspec import UNSET, Raw, Struct, UnsetType, field

from hotclub.access.ended import LONGEST
from hotclub.access.keys import candidates, signatures, signing_key
from hotclub.access.overrides import Override
from hotclub.access.sealing import seal, unseal
from hotclub.access.session import keeps_no_sessions, login_of
from hotclub.channels.client import AnyUser, user_id_or_anonymous
from hotclub.conf.config import get_config
from hotclub.conf.token_keys import BadKey, TokenSettings
from hotclub.engine.errors import HotclubError, Refused
from hotclub.engine.model import EMPTY
from hotclub.engine.names import normal
from hotclub.engine.protocol.payload import check_payload
from hotclub.runtime.encoding import encode

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser
    from django.http import HttpRequest

TTL: Final = timedelta(minutes=10)
"""The life of a token without an explicit `ttl`. SDKs fetch the next token in time."""

_NOT_YET: Final = 5.0
"""Seconds before its `nbf` at which a token is good, because the clocks of two machines may differ."""
_LARGEST: Final = 16_384
_REFUSED_HEADERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"})
"""Headers that would bring the token's own key, or change the signed bytes."""

Time = int | float
Options = Mapping[str, Any]


class InvalidToken(HotclubError):
    """The token opens nothing at any time. `reason` is for the site's log, and the client does not get it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ExpiredToken(HotclubError):
    """The token is good, but has expired or is not valid yet."""


class EndedToken(ExpiredToken):
    """The token is good, but its `expire_at`, the end of what it grants, is over."""


class _Common(Struct, frozen=True, kw_only=True):
    sub: str = ""
    exp: Time | None = None
    expire_at: Time | None = None
    nbf: Time | None = None
    iss: str = ""
    aud: str | list[str] = ""
    jti: str = ""
    sid: str = ""
    """The login that the token ends with: a `Client.login_id`."""
    sealed_session: str = field(name="hotclub_session", default="")
    """The sealed key of the session that the token ends with, see `seal`."""
    pwh: str = ""
    """A proof of the password that the user had, see `password_proof`."""
    info: Raw = EMPTY
    b64info: str = ""

    def life(self, now: float) -> int | None:
        """Return the seconds that the connection or subscription may last, 0 for ever, None when its time is over.

        `now` is in seconds since 1970.
        """
        end = self.exp if self.expire_at is None else self.expire_at
        if not end:
            return 0
        return max(1, int(end - now)) if self.expire_at is None or end > now else None

    @property
    def has_login(self) -> bool:
        """Whether the token ends with a login."""
        return bool(self.sid or self.sealed_session)

    @property
    def session_key(self) -> str:
        """The key of the session that the token ends with, "" without one, or when it is sealed by another site."""
        return (unseal(self.sealed_session) or "") if self.sealed_session else ""

    def shown_info(self) -> Raw:
        """Return `info` or `b64info` as a payload. Raises InvalidToken for a claim that is not a payload."""
        return payload_of(self.info, self.b64info)


class ServerSide(Struct, frozen=True, kw_only=True):
    """One entry of the `subs` claim: the terms of a subscription that the server makes."""

    info: Raw = EMPTY
    b64info: str = ""
    data: Raw = EMPTY
    b64data: str = ""
    override: Override | None = None


class ConnectionClaims(_Common, frozen=True, kw_only=True):
    """The claims of a connection token."""

    channels: list[str] = []
    subs: dict[str, ServerSide | None] = {}
    meta: Any = None
    channel: Any = UNSET

    @property
    def server_side(self) -> dict[str, ServerSide]:
        """The terms of the subscriptions that the server makes, by channel. `channels` counts only without `subs`."""
        named = {normal(name): entry or ServerSide() for name, entry in self.subs.items()}
        return named or {normal(name): ServerSide() for name in self.channels}


class SubscriptionClaims(_Common, frozen=True, kw_only=True):
    """The claims of a subscription token. `client` is the id of the one connection that may use it."""

    channel: str
    client: str | None = None
    data: Raw = EMPTY
    b64data: str = ""
    override: Override | None = None


class _Issuer(Struct):
    iss: str | UnsetType = UNSET


Claims = TypeVar("Claims", ConnectionClaims, SubscriptionClaims)


def verify_connection(token: str, settings: TokenSettings | None = None) -> ConnectionClaims:
    """Verify a connection token, and return its claims.

    Args:
        token: the token.
        settings: the `TOKENS` setting, None for the project's own.

    Raises:
        InvalidToken: the token opens nothing.
        ExpiredToken: the token has expired or is not valid yet.
    """
    claims = _verify(token, ConnectionClaims, settings)
    if claims.channel is not UNSET:
        raise InvalidToken("a subscription token opens no connection")
    return claims


def verify_subscription(token: str, settings: TokenSettings | None = None) -> SubscriptionClaims:
    """Verify a subscription token, and return its claims.

    Args:
        token: the token.
        settings: the `TOKENS` setting, None for the project's own.

    Raises:
        InvalidToken: the token opens nothing.
        ExpiredToken: the token has expired or is not valid yet.
    """
    claims = _verify(token, SubscriptionClaims, settings)
    if not claims.channel:
        raise InvalidToken("a subscription token names its channel")
    return claims


def channel_of(token: str) -> str:
    """Return the channel of a subscription token, even of an expired one; "" if no key of the project signed it."""
    settings = get_config().tokens
    try:
        payload = b"" if settings is None else _signed_payload(token, settings)
        return msgspec.json.decode(payload, type=SubscriptionClaims).channel
    except (InvalidToken, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def payload_of(plain: Raw, base64_text: str) -> Raw:
    """Return the payload of a pair of claims such as `info` and `b64info`, EMPTY without either.

    Args:
        plain: the claim as JSON.
        base64_text: the claim with a payload in base64, which wins.

    Raises:
        InvalidToken: the claim is not a valid payload.
    """
    try:
        data = base64.b64decode(base64_text, validate=True) if base64_text else bytes(plain)
        return check_payload(data, get_config().limits) if data not in (b"", b"null") else EMPTY
    except (binascii.Error, Refused) as error:
        raise InvalidToken(f"a claim holds no payload: {error}") from None


def password_proof(user: "AbstractBaseUser") -> str:
    """Return a value that changes with the user's password and does not reveal it, "" for a user without a password."""
    if not hasattr(user, "get_session_auth_hash"):
        return ""
    return salted_hmac("hotclub.token", user.get_session_auth_hash(), algorithm="sha256").hexdigest()[:32]


def connection_token(
    user: "AnyUser | AnonymousUser | None",
    *,
    ttl: timedelta | float | None = TTL,
    info: Any = None,
    channels: Iterable[str] = (),
    meta: Any = None,
    request: "HttpRequest | None" = None,
    claims: Options | None = None,
) -> str:
    """Make a token with which a client connects as a user, without a cookie.

    Args:
        user: the user, or a primary key; None or an `AnonymousUser` for an anonymous connection.
        ttl: how long the token lives, in seconds or as a timedelta. None is for ever, so only a new key of the project
            surely ends such a token.
        info: JSON that members of a channel see of the connection.
        channels: the channels that the server subscribes the connection to, without asking `can_subscribe`.
        meta: JSON for the hooks, as `Client.meta`. Signed and not encrypted: the client can read it.
        request: the request of a signed-in browser. The token then ends with that login.
        claims: further claims, such as `aud` and `iss`.

    Returns:
        The token, for the client.

    Raises:
        ImproperlyConfigured: `HOTCLUB["TOKENS"]` has no key to sign with.
        TypeError: JSON cannot hold an argument.
        ValueError: JSON cannot hold an argument, the user is unsaved or not a primary key, the request has no session,
            or a token with a request has a `ttl` of more than 30 days or None.
    """
    names = [normal(name) for name in channels]
    more = {"info": info, "channels": names or None, "meta": meta}
    return _mint(user, ttl, request, {**more, **(claims or {})})


def subscription_token(  # noqa: PLR0913 - each parameter is a claim
    user: "AnyUser | AnonymousUser | None",
    channel: str,
    *,
    ttl: timedelta | float | None = TTL,
    info: Any = None,
    data: Any = None,
    client: str | None = None,
    request: "HttpRequest | None" = None,
    claims: Options | None = None,
) -> str:
    """Make a token with which a connection of a user subscribes to one channel.

    Args:
        user: the user of the connection, as for `connection_token`.
        channel: the channel's name.
        ttl: how long the token lives. The subscription ends with it unless the client sends a new token.
        info: JSON that the channel's members see of the subscriber (`chan_info`).
        data: JSON for the subscriber.
        client: the `Client.id` of the one connection that may use the token; None for any connection of the user.
        request: as for `connection_token`.
        claims: further claims, such as `aud` and `iss`.

    Returns:
        The token, for the client.

    Raises:
        ImproperlyConfigured, TypeError, ValueError: as `connection_token`.
    """
    more = {"channel": normal(channel), "info": info, "data": data, "client": client}
    return _mint(user, ttl, request, {**more, **(claims or {})})


def _verify(token: str, kind: type[Claims], settings: TokenSettings | None) -> Claims:
    settings = settings or get_config().tokens
    if settings is None:
        raise InvalidToken("HOTCLUB['TOKENS'] is not set, so no token is known")
    payload = _signed_payload(token, settings)
    try:
        claims = msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidToken(f"its claims are malformed: {error}") from None
    _check_names(claims, settings)
    _check_times(claims, settings)
    return claims


def _signed_payload(token: str, settings: TokenSettings) -> bytes:
    """Return the JSON of the claims.

    Raises:
        InvalidToken: the token is malformed, or no key of the settings has signed it.
    """
    if len(token) > _LARGEST or not token.isascii():
        raise InvalidToken("it is too long or no ASCII")
    try:
        header = _signatures().get_unverified_header(token)
        keys = candidates(settings, _issuer(token), header.get("kid", ""), str(header.get("alg")))
    except (jwt.PyJWTError, BadKey, RecursionError) as error:
        raise InvalidToken(f"it is no token: {error}") from None
    refused = _REFUSED_HEADERS.intersection(header)
    if refused:
        raise InvalidToken(f"its header has {', '.join(sorted(refused))}")
    for key in keys:
        try:
            payload: bytes = _signatures().decode(token, key.public, algorithms=[key.algorithm])
        except jwt.PyJWTError:
            continue
        return payload
    raise InvalidToken("no key of HOTCLUB['TOKENS'] has signed it")


def _issuer(token: str) -> str:
    """Return the issuer that the token names, "" without one. It only chooses keys; their signature proves it."""
    body = token.split(".")[1]
    try:
        iss = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=_Issuer).iss
    except (ValueError, msgspec.DecodeError, RecursionError):
        return ""
    return iss if isinstance(iss, str) else ""


def _check_names(claims: _Common, settings: TokenSettings) -> None:
    audience = {claims.aud} if isinstance(claims.aud, str) else set(claims.aud)
    if settings.audience and not audience & set(settings.audience):
        raise InvalidToken("it is for another audience")
    if settings.issuer and claims.iss not in settings.issuer:
        raise InvalidToken("it is from another issuer")


def _check_times(claims: _Common, settings: TokenSettings) -> None:
    now = time.time()
    if claims.exp is not None and claims.exp + settings.leeway <= now:
        raise ExpiredToken
    if claims.nbf is not None and claims.nbf - _NOT_YET > now:
        raise ExpiredToken


def _mint(
    user: "AnyUser | AnonymousUser | None",
    ttl: timedelta | float | None,
    request: "HttpRequest | None",
    claims: Options,
) -> str:
    now = int(time.time())
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    everything: dict[str, Any] = {"sub": user_id_or_anonymous(user), "iat": now, "jti": uuid.uuid4().hex}
    if seconds is not None:
        everything["exp"] = now + max(1, int(seconds))
    if getattr(user, "is_authenticated", False):
        everything["pwh"] = password_proof(user)  # type: ignore[arg-type]
    if request is not None:
        everything |= _login_claims(request, seconds)
    everything |= claims
    payload = encode({name: value for name, value in everything.items() if value is not None and value != ""})
    return _sign(bytes(payload))


def _login_claims(request: "HttpRequest", seconds: float | None) -> Options:
    if seconds is None or seconds > LONGEST.total_seconds():
        raise ValueError(f"A token that ends with its session lives at most {LONGEST.days} days")
    key: str | None = request.session.session_key
    if key is None:
        raise ValueError("The request has no session that the token could end with")
    # A signed cookie cannot be looked for, and is long.
    is_kept = SESSION_KEY in request.session and not keeps_no_sessions()
    return {"sid": login_of(request.session, key), "hotclub_session": seal(key) if is_kept else ""}


def _sign(payload: bytes) -> str:
    settings = get_config().tokens or TokenSettings()
    try:
        key = signing_key(settings)
    except BadKey as error:
        raise ImproperlyConfigured(str(error)) from None
    headers = {"kid": key.kid} if key.kid else None
    return _signatures().encode(payload, key.private, algorithm=key.algorithm, headers=headers)


@cache
def _signatures() -> jwt.PyJWS:
    return signatures()
