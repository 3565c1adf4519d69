"""Signatures over keys: who may follow which keys of which shared poll, and how long (protocol §2.14).

Pure: the caller brings the secrets and the time (seconds since 1970).
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Final

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
