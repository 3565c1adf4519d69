"""Revokes logins, so that their tokens and their signed cookies open nothing any more."""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from hotclub.runtime.tables import revocations

LONGEST: Final = timedelta(days=30)
"""The longest life of a token that ends with its login."""
MARGIN: Final = timedelta(days=1)
"""How much longer a revocation is kept than anything that it ends. An expired token has a leeway, and the clock of a
server may be wrong by hours: a revocation that is deleted too early sets a token free."""


def revoke_login(login_id: str) -> None:
    """Revoke the tokens and signed cookies of a login (`Client.login_id`).

    Synchronous, idempotent. Expired revocations are deleted.
    """
    rows, now = revocations(), timezone.now()
    rows.filter(until__lt=now - MARGIN).delete()
    until = now + max(LONGEST, timedelta(seconds=settings.SESSION_COOKIE_AGE)) + MARGIN
    rows.update_or_create(key=f"sid:{login_id}", defaults={"until": until})


def is_revoked(login_id: str) -> bool:
    """Return whether a login was revoked, False for "". Synchronous; at most one query."""
    return bool(revoked_logins({login_id}))


def revoked_logins(login_ids: set[str]) -> set[str]:
    """Return those of the logins that were revoked. Synchronous; at most one query."""
    # PostgreSQL refuses a query with NUL, which a foreign token may name.
    keys = [f"sid:{login_id}" for login_id in login_ids if login_id and "\0" not in login_id]
    if not keys:
        return set()
    # Clocks differ, so a login is revoked for as long as the row is there.
    rows = revocations().filter(key__in=keys)
    return {key.removeprefix("sid:") for key in rows.values_list("key", flat=True)}
