"""Making and revoking API keys. Synchronous."""

import secrets
from collections.abc import Sequence
from typing import Final

from django.utils import timezone

from hotclub.conf.values import digest_of
from hotclub.models import ApiKey

PREFIX: Final = "hc_"
"""The beginning of every key, by which scanners find leaked ones."""

_SHOWN: Final = 8


def issue_key(row: ApiKey) -> str:
    """Give a new row its key and save it. The key is returned here and never again."""
    key = PREFIX + secrets.token_urlsafe(32)
    row.beginning = key[:_SHOWN]
    row.digest = digest_of(key)
    row.save()
    return key


def new_key(name: str, *, channels: Sequence[str] = (), methods: Sequence[str] = ()) -> str:
    """Make a key and return it. Raises IntegrityError when the name is taken."""
    return issue_key(ApiKey(name=name, channels=list(channels), methods=list(methods)))


def revoke_key(name: str) -> bool:
    """End a key for every later request; False when there is no such key."""
    return bool(ApiKey.objects.filter(name=name, revoked=None).update(revoked=timezone.now()))
