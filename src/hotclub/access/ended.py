"""Logins and token ids that were revoked: their tokens open nothing any more."""

import hashlib
from datetime import timedelta
from typing import Final

from django.utils import timezone

from hotclub.access.tokens import LONGEST
from hotclub.runtime.tables import revocations

MARGIN: Final = timedelta(minutes=5)
"""How much longer than any token a revocation is remembered: expired tokens have a leeway."""


def revoke_login(login_id: str) -> None:
    """Make the tokens of this login (`Client.login_id`) open nothing from now on. Synchronous, idempotent."""
    _remember(f"sid:{login_id}")


def revoke_token(jti: str) -> None:
    """Make the token with this id (its `jti` claim) open nothing from now on. What it has opened lives on.

    The server remembers the id for 30 days, so this does not end a token that lives longer. Synchronous, idempotent.
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
    # The maker of a token chooses its id, which may be of any length; a digest has one length.
    return f"jti:{hashlib.sha256(jti.encode(errors='surrogatepass')).hexdigest()}"


def _remember(key: str) -> None:
    rows = revocations()
    now = timezone.now()
    rows.filter(until__lt=now).delete()
    rows.update_or_create(key=key, defaults={"until": now + LONGEST + MARGIN})
