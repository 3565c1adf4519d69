"""What ended before its time: logins and token ids whose tokens open nothing any more."""

import hashlib
from datetime import timedelta
from typing import Final

from django.utils import timezone

from hotclub.access.tokens import LONGEST
from hotclub.runtime.tables import revocations

MARGIN: Final = timedelta(minutes=5)
"""For the leeway that expired tokens have."""


def revoke_login(login_id: str) -> None:
    """No token that ends with this login (`Client.login_id`) opens anything from now on. Idempotent."""
    _remember(f"sid:{login_id}")


def revoke_token(jti: str) -> None:
    """The token with this id (its `jti` claim) opens nothing from now on, though what it has opened lives on.

    Kept for 30 days: do not rely on it for tokens that live longer.
    """
    _remember(_of_token(jti))


def is_revoked(sid: str, jti: str) -> bool:
    """Whether a token of this login or of this id has been revoked. Synchronous; one query."""
    return bool(revoked_logins({sid}, also=[_of_token(jti)] if jti else []))


def revoked_logins(login_ids: set[str], also: list[str] | None = None) -> set[str]:
    """Which of these logins, and of the keys in `also`, are revoked. Synchronous; one query."""
    keys = [f"sid:{sid}" for sid in login_ids if sid] + (also or [])
    if not keys:
        return set()
    rows = revocations().filter(key__in=keys, until__gt=timezone.now())
    return {key.removeprefix("sid:") for key in rows.values_list("key", flat=True)}


def _of_token(jti: str) -> str:
    # Whoever makes the tokens chooses their ids, and so how long they are.
    return f"jti:{hashlib.sha256(jti.encode(errors='surrogatepass')).hexdigest()}"


def _remember(key: str) -> None:
    rows = revocations()
    now = timezone.now()
    rows.filter(until__lt=now).delete()
    rows.update_or_create(key=key, defaults={"until": now + LONGEST + MARGIN})
