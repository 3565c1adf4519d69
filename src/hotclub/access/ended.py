"""Revokes logins, so that their tokens open nothing any more."""

from datetime import timedelta
from typing import Final

from django.utils import timezone

from hotclub.access.tokens import LONGEST
from hotclub.runtime.tables import revocations

MARGIN: Final = timedelta(minutes=5)
"""How much longer than the longest token a revocation is kept, because an expired token has a leeway."""


def revoke_login(login_id: str) -> None:
    """Revoke the tokens of a login (`Client.login_id`). Synchronous, idempotent. Expired revocations are deleted."""
    rows, now = revocations(), timezone.now()
    rows.filter(until__lt=now).delete()
    rows.update_or_create(key=f"sid:{login_id}", defaults={"until": now + LONGEST + MARGIN})


def is_revoked(login_id: str) -> bool:
    """Return whether the tokens of this login were revoked, False for "". Synchronous; at most one query."""
    return bool(revoked_logins({login_id}))


def revoked_logins(login_ids: set[str]) -> set[str]:
    """Return those of the logins whose tokens were revoked. Synchronous; at most one query."""
    keys = [f"sid:{login_id}" for login_id in login_ids if login_id]
    if not keys:
        return set()
    rows = revocations().filter(key__in=keys, until__gt=timezone.now())
    return {key.removeprefix("sid:") for key in rows.values_list("key", flat=True)}
