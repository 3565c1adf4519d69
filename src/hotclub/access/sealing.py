"""Seals session keys, so that a copy outside of this process opens no session.

Whoever has a session key is the user. A sealed key is Fernet text (AES and HMAC) under a key derived from `SECRET_KEY`.
"""

import base64
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

_PURPOSE: Final = "hotclub.sealing"


def seal(session_key: str) -> str:
    """Return the sealed key. Each call returns another text."""
    return _sealer(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(session_key.encode()).decode()


def unseal(text: str) -> str | None:
    """Return the key that `seal` has sealed, None for any other text. `SECRET_KEY_FALLBACKS` count, too."""
    try:
        return _sealer(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).decrypt(text.encode()).decode()
    except (InvalidToken, UnicodeError):
        return None


@lru_cache(maxsize=1)
def _sealer(*secrets: str | bytes) -> MultiFernet:
    """Return the object that seals and unseals. The first secret seals."""
    keys = (salted_hmac(_PURPOSE, "session keys", secret=secret, algorithm="sha256").digest() for secret in secrets)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])
