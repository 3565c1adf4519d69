"""Tokens: JWTs that open connections and subscriptions without a session (protocol §7), and how to make them.

A token is judged in this order: its form, its key, its signature, its claims, its time. What fails before the time is
`InvalidToken`; a token that is good but over, or not yet begun, is `ExpiredToken`, whose client gets itself another.
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
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac
from msgspec import UNSET, Raw, Struct, UnsetType

from hotclub.access.keys import candidates, signatures, signing_key
from hotclub.access.overrides import Override
from hotclub.access.session import session_id
from hotclub.conf.config import get_config
from hotclub.conf.token_keys import BadKey, TokenSettings
from hotclub.engine.errors import HotclubError, Refused
from hotclub.engine.model import EMPTY
from hotclub.engine.protocol.payload import check_payload
from hotclub.runtime.encoding import encode

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

TTL: Final = timedelta(minutes=10)
"""How long a token lives unless its maker says otherwise. SDKs fetch the next one in time by themselves."""
LONGEST: Final = timedelta(days=30)
"""How long a token that ends with its session may live: so long it is remembered that the session has ended."""

_NOT_YET: Final = 5.0
"""Seconds that two clocks may differ by, for a token that begins only now."""
_LARGEST: Final = 16_384
_REFUSED_HEADERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"})
"""With these a token would bring its own key, or change what is signed."""

Time = int | float
Options = Mapping[str, Any]


class InvalidToken(HotclubError):
    """The token is none of ours, or not for this. `reason` is for the log of the site, not for the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ExpiredToken(HotclubError):
    """The token is good, but its time is over or has not begun."""


class EndedToken(ExpiredToken):
    """The token is good, but what it grants has ended: its `expire_at` is over."""


class _Common(Struct, frozen=True, kw_only=True):
    sub: str = ""
    exp: Time | None = None
    expire_at: Time | None = None
    nbf: Time | None = None
    iss: str = ""
    aud: str | list[str] = ""
    jti: str = ""
    sid: str = ""
    """The login that the token ends with: a `Client.session_id`."""
    pwh: str = ""
    """A proof of the password that the user had, see `password_proof`."""
    info: Raw = EMPTY
    b64info: str = ""

    def life(self, now: float) -> int | None:
        """Seconds from now for which the token's bearer may stay, 0 for ever; None when that is over."""
        end = self.exp if self.expire_at is None else self.expire_at
        if not end:
            return 0
        return max(1, int(end - now)) if self.expire_at is None or end > now else None

    def shown_info(self) -> Raw:
        """`info` or `b64info`, as a payload. Raises InvalidToken for one that is none."""
        return payload_of(self.info, self.b64info)


class ServerSide(Struct, frozen=True, kw_only=True):
    """One entry of the `subs` claim."""

    info: Raw = EMPTY
    b64info: str = ""
    data: Raw = EMPTY
    b64data: str = ""
    override: Override | None = None


class ConnectionClaims(_Common, frozen=True, kw_only=True):
    """What a connection token says."""

    channels: list[str] = []
    subs: dict[str, ServerSide | None] = {}
    meta: Any = None
    channel: Any = UNSET

    @property
    def server_side(self) -> dict[str, ServerSide]:
        """The channels that the connection is subscribed to by the server; `subs` wins over `channels`."""
        named = {name: entry or ServerSide() for name, entry in self.subs.items()}
        return named or {name: ServerSide() for name in self.channels}


class SubscriptionClaims(_Common, frozen=True, kw_only=True):
    """What a subscription token says."""

    channel: str
    client: str | None = None
    data: Raw = EMPTY
    b64data: str = ""
    override: Override | None = None


class _Issuer(Struct):
    iss: str | UnsetType = UNSET


Claims = TypeVar("Claims", ConnectionClaims, SubscriptionClaims)


def verify_connection(token: str, settings: TokenSettings | None = None) -> ConnectionClaims:
    """The claims of a connection token.

    Raises:
        InvalidToken, ExpiredToken: it opens nothing.
    """
    claims = _verify(token, ConnectionClaims, settings)
    if claims.channel is not UNSET:
        raise InvalidToken("a subscription token opens no connection")
    return claims


def verify_subscription(token: str, settings: TokenSettings | None = None) -> SubscriptionClaims:
    """The claims of a subscription token.

    Raises:
        InvalidToken, ExpiredToken: it opens nothing.
    """
    claims = _verify(token, SubscriptionClaims, settings)
    if not claims.channel:
        raise InvalidToken("a subscription token names its channel")
    return claims


def channel_of(token: str) -> str:
    """The channel that a subscription token is for, also when its time is over; "" for a token that is none of ours."""
    settings = get_config().tokens
    try:
        payload = b"" if settings is None else _signed_payload(token, settings)
        return msgspec.json.decode(payload, type=SubscriptionClaims).channel
    except (InvalidToken, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def payload_of(plain: Raw, base64_text: str) -> Raw:
    """What a pair of claims such as `info` and `b64info` holds, EMPTY for nothing.

    Raises:
        InvalidToken: it cannot be shown to clients.
    """
    try:
        data = base64.b64decode(base64_text, validate=True) if base64_text else bytes(plain)
        return check_payload(data, get_config().limits) if data not in (b"", b"null") else EMPTY
    except (binascii.Error, Refused) as error:
        raise InvalidToken(f"a claim holds no payload: {error}") from None


def password_proof(user: "AbstractBaseUser") -> str:
    """A value that changes with the user's password and tells nothing of it."""
    if not hasattr(user, "get_session_auth_hash"):
        return ""
    return salted_hmac("hotclub.token", user.get_session_auth_hash(), algorithm="sha256").hexdigest()[:32]


def connection_token(
    user: "AbstractBaseUser | int | str | None",
    *,
    ttl: timedelta | float | None = TTL,
    info: Any = None,
    channels: Iterable[str] = (),
    meta: Any = None,
    request: "HttpRequest | None" = None,
    claims: Options | None = None,
) -> str:
    """A token with which a client connects as this user, without a cookie.

    Args:
        user: the user, or a primary key; None or an `AnonymousUser` for somebody anonymous.
        ttl: how long it lives, in seconds or as a timedelta; None for ever, which nothing but a new key takes back.
        info: JSON that members of a channel see of the connection.
        channels: what the server subscribes the connection to. They are not asked `can_subscribe`.
        meta: JSON for the hooks, as `Client.meta`. Signed and not encrypted: the client can read it.
        request: the request of a signed-in browser. The token then ends with its session.
        claims: further claims, such as `aud` and `iss`.

    Raises:
        ImproperlyConfigured: `HOTCLUB["TOKENS"]` has no key to sign with.
        TypeError, ValueError: JSON cannot hold an argument, or the token would outlive what is known of its session.
    """
    names = list(channels)
    more = {"info": info, "channels": names or None, "meta": meta}
    return _mint(user, ttl, request, {**more, **(claims or {})})


def subscription_token(  # noqa: PLR0913 - every one of them is a claim
    user: "AbstractBaseUser | int | str | None",
    channel: str,
    *,
    ttl: timedelta | float | None = TTL,
    info: Any = None,
    data: Any = None,
    client: str | None = None,
    request: "HttpRequest | None" = None,
    claims: Options | None = None,
) -> str:
    """A token with which a connection of this user subscribes to one channel.

    Args:
        user: the user of the connection, as for `connection_token`.
        channel: the channel's name.
        ttl: how long it lives; the subscription ends with it unless it is refreshed.
        info: JSON that the channel's members see of the subscriber (`chan_info`).
        data: JSON for the subscriber.
        client: the one connection that may use it.
        request: as for `connection_token`.
        claims: further claims.

    Raises:
        As `connection_token`.
    """
    more = {"channel": channel, "info": info, "data": data, "client": client}
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
    """The claims' JSON, when a key of ours has signed it."""
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
    """Who the token says it is from: chooses among our keys, and is checked together with the signature."""
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
    user: "AbstractBaseUser | int | str | None",
    ttl: timedelta | float | None,
    request: "HttpRequest | None",
    claims: Options,
) -> str:
    now = int(time.time())
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    everything: dict[str, Any] = {"sub": _subject(user), "iat": now, "jti": uuid.uuid4().hex}
    if seconds is not None:
        everything["exp"] = now + max(1, int(seconds))
    if user is not None and not isinstance(user, int | str) and user.is_authenticated:
        everything["pwh"] = password_proof(user)
    if request is not None:
        everything["sid"] = _session_of(request, seconds)
    everything |= claims
    payload = encode({name: value for name, value in everything.items() if value is not None and value != ""})
    return _sign(bytes(payload))


def _subject(user: "AbstractBaseUser | int | str | None") -> str:
    if user is None:
        return ""
    if isinstance(user, int | str):
        return str(user)
    return "" if user.pk is None else str(user.pk)


def _session_of(request: "HttpRequest", seconds: float | None) -> str:
    if seconds is None or seconds > LONGEST.total_seconds():
        raise ValueError(f"A token that ends with its session lives at most {LONGEST.days} days")
    key: str | None = request.session.session_key
    if key is None:
        raise ValueError("The request has no session that the token could end with")
    return session_id(key)


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
