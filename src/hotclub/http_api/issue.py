"""Makes and revokes API keys. Synchronous."""

import secrets
from collections.abc import Sequence
from typing import Final

from django.utils import timezone

from hotclub.conf.values import digest_of
from hotclub.models import ApiKey

PREFIX: Final = "hc_"
"""The beginning of every key. Secret scanners find leaked keys by it."""

_SHOWN: Final = 8


def issue_key(row: ApiKey) -> str:
    """Make a key for a new row, and save the row.

    Returns:
        The key. The row stores its digest only, so the key cannot be read again.

    Raises:
        IntegrityError: the name of the row is taken.
    """
    key = PREFIX + secrets.token_urlsafe(32)
    row.beginning = key[:_SHOWN]
    row.digest = digest_of(key)
    row.save()
    return key


def new_key(name: str, *, channels: Sequence[str] = (), methods: Sequence[str] = ()) -> str:
    """Make a key and return it.

    Args:
        name: a unique name for people.
        channels: shell patterns of the channels that the key may use; none allow all channels.
        methods: the API methods that the key may call; none allow all methods.

    Raises:
        IntegrityError: the name is taken.
    """
    return issue_key(ApiKey(name=name, channels=list(channels), methods=list(methods)))


def revoke_key(name: str) -> bool:
    """Make every later request with this key fail. Return False when no unrevoked key has the name."""
    return bool(ApiKey.objects.filter(name=name, revoked=None).update(revoked=timezone.now()))
