"""Signatures over keys: who may follow which keys of which shared poll, and how long (protocol §2.14).

Pure: the caller brings the secrets and the time (seconds since 1970).
"""

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
"""Seconds that a signature may be over: a client begins to renew it exactly then."""
_FORM: Final = re.compile(r"(\d{1,12}):(\d{1,12}):([0-9a-f]{64})", re.ASCII)


class BadSignature(Exception):
    """The signature does not allow these keys."""


class ExpiredSignature(Exception):
    """It did once."""


def sign(secret: bytes, user: str, channel: str, keys: Sequence[str], *, issued: int, expires: int) -> str:
    """A signature that allows exactly this list of keys, in this order, to this user."""
    return f"{issued}:{expires}:{_digest(secret, user, channel, keys, issued, expires)}"


def check(signature: str, secrets: Iterable[bytes], user: str, channel: str, keys: Sequence[str], now: float) -> int:
    """For how many seconds the signature is good, at least 1; any of the secrets may have made it.

    Raises:
        BadSignature: it is none, or one for somebody or something else.
        ExpiredSignature: it is over by more than the grace.
    """
    found = _FORM.fullmatch(signature)
    if found is None:
        raise BadSignature
    issued, expires = int(found[1]), int(found[2])
    # Every secret is tried, so that the time tells nothing.
    good = [hmac.compare_digest(found[3], _digest(secret, user, channel, keys, issued, expires)) for secret in secrets]
    if not any(good):
        raise BadSignature
    if expires + GRACE <= now:
        raise ExpiredSignature
    return max(1, int(expires - now))


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
    """Allow a user to follow keys of a shared poll. Decide first whether this user may.

    The signature is good for exactly this list, in this order: a view answers a client's request for one with both.

    Args:
        user: the user or the primary key; None, "" or an `AnonymousUser` for connections that are not signed in.
        channel: the name of a `SharedPollChannel`.
        keys: what the user may follow.
        ttl: how long; the client asks for another signature then.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is no shared poll.
        ValueError: this is nobody: an unsaved or anonymous user, or no primary key.
    """
    if not isinstance(get_registry().route(channel).channel, SharedPollChannel):
        raise Refused(Code.NOT_AVAILABLE, "this channel is no shared poll")
    issued = int(time())
    return sign(
        poll_secrets(get_config())[0],
        user_id_or_anonymous(user),
        channel,
        keys,
        issued=issued,
        expires=issued + int(ttl.total_seconds()),
    )


def poll_secrets(config: Config) -> list[bytes]:
    """The secrets that sign keys; the first one signs, the others are still good."""
    if config.poll_secrets:
        return [secret.encode() for secret in config.poll_secrets]
    return [
        salted_hmac("hotclub.signing", "keys of shared polls", secret=secret, algorithm="sha256").digest()
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ]
