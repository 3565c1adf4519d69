"""Signs the keys of a shared poll that a user may follow, for a limited time (protocol §2.14)."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from time import time
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils.crypto import salted_hmac

from hotclub.channels.client import AnyUser, user_id_or_anonymous
from hotclub.channels.polls import SharedPollChannel
from hotclub.channels.registry import get_registry
from hotclub.conf.config import Config, get_config
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

GRACE: Final = 5
"""Seconds for which an expired signature is still good, because a client asks for a new one only at the expiry."""
_FORM: Final = re.compile(r"(\d{1,12}):(\d{1,12}):([0-9a-f]{64})", re.ASCII)


class BadSignature(Exception):
    """The signature does not allow these keys to this user."""


class ExpiredSignature(Exception):
    """The signature allows these keys, and has expired."""


def sign(secret: bytes, user: str, channel: str, keys: Sequence[str], *, issued: int, expires: int) -> str:
    """Return a signature that allows a user exactly this list of keys, in this order.

    Args:
        secret: the key of the HMAC.
        user: the user's id, "" for anonymous connections.
        channel: the name of the shared poll.
        keys: the keys.
        issued: the present time, in seconds since 1970.
        expires: the end of the signature, in seconds since 1970.

    Raises:
        ValueError: there is no key, a key is empty, or a text holds NUL, which stands between the signed texts.
    """
    if not _is_unambiguous(user, channel, keys):
        raise ValueError("a signature is for one key or more; no key is empty, and no text holds NUL")
    return f"{issued}:{expires}:{_digest(secret, user, channel, keys, issued, expires)}"


def check(signature: str, secrets: Iterable[bytes], user: str, channel: str, keys: Sequence[str], now: float) -> int:
    """Check a signature, and return the seconds for which it is still good, at least 1.

    Args:
        signature: the text from the client.
        secrets: the secrets, of which any one may have made the signature.
        user: the user's id, "" for anonymous connections.
        channel: the name of the shared poll.
        keys: the keys from the client, in its order.
        now: the present time, in seconds since 1970.

    Raises:
        BadSignature: the text is not a signature, or is for another user, channel or list of keys.
        ExpiredSignature: the signature expired longer ago than `GRACE`.
    """
    found = _FORM.fullmatch(signature)
    if found is None or not _is_unambiguous(user, channel, keys):
        raise BadSignature
    issued, expires = int(found[1]), int(found[2])
    # Every secret is tried, so that the time of the answer does not show which secret fits.
    good = [hmac.compare_digest(found[3], _digest(secret, user, channel, keys, issued, expires)) for secret in secrets]
    if not any(good):
        raise BadSignature
    if expires + GRACE <= now:
        raise ExpiredSignature
    return max(1, int(expires - now))


def _is_unambiguous(user: str, channel: str, keys: Sequence[str]) -> bool:
    """Whether no other texts are signed by the same bytes. The protocol joins the texts by NUL (§2.14)."""
    return "\0" not in user and "\0" not in channel and bool(keys) and all(key and "\0" not in key for key in keys)


def _digest(secret: bytes, user: str, channel: str, keys: Sequence[str], issued: int, expires: int) -> str:
    listed = hashlib.sha256("\x00".join(keys).encode()).hexdigest()
    signed = "\x00".join((str(issued), str(expires), user, channel, listed))
    return hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest()


_HOUR: Final = timedelta(hours=1)


def sign_keys(
    user: "AnyUser | AnonymousUser | None",
    channel: str,
    keys: Sequence[str],
    *,
    ttl: timedelta = _HOUR,
) -> str:
    """Sign keys of a shared poll, so that a connection of the user may follow them.

    No hook is called, so check before whether the user may follow the keys.

    Args:
        user: the user or the primary key; None, "" or an `AnonymousUser` for connections that are not signed in.
        channel: the name of a `SharedPollChannel`.
        keys: the keys that the user may follow.
        ttl: how long the signature is good. The client asks for another signature when it expires.

    Returns:
        The signature. It is good for exactly this list in this order, so give the client the list, too.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is not a shared poll.
        ValueError: the user is unsaved or not a primary key, there is no key, or a key is empty or holds NUL.
    """
    route = get_registry().route(channel)
    if not isinstance(route.channel, SharedPollChannel):
        raise Refused(Code.NOT_AVAILABLE, "this channel is not a shared poll")
    issued = int(time())
    return sign(
        poll_secrets(get_config())[0],
        user_id_or_anonymous(user),
        route.name,
        keys,
        issued=issued,
        expires=issued + int(ttl.total_seconds()),
    )


def poll_secrets(config: Config) -> list[bytes]:
    """Return the secrets for the keys of shared polls. The first one signs, and each of them verifies."""
    if config.poll_secrets:
        return [secret.encode() for secret in config.poll_secrets]
    return [
        salted_hmac("hotclub.signing", "keys of shared polls", secret=secret, algorithm="sha256").digest()
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ]
