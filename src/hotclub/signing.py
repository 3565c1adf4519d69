"""Signing keys of shared polls in a view (protocol §2.14)."""

from collections.abc import Sequence
from datetime import timedelta
from time import time
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils.crypto import salted_hmac

from hotclub.channels.client import user_id_of
from hotclub.channels.polls import SharedPollChannel
from hotclub.channels.registry import get_registry
from hotclub.conf.config import Config, get_config
from hotclub.engine.errors import command_error
from hotclub.signatures import sign

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

_HOUR: Final = timedelta(hours=1)


def sign_keys(
    user: "AbstractBaseUser | AnonymousUser | int | str | None",
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
        CommandError: 102, no such channel; 108, the channel is no shared poll.
        ValueError: the user has no primary key.
    """
    if not isinstance(get_registry().route(channel).channel, SharedPollChannel):
        raise command_error(108, "this channel is no shared poll")
    anonymous = user is None or user == "" or getattr(user, "is_anonymous", False)
    issued = int(time())
    return sign(
        poll_secrets(get_config())[0],
        "" if anonymous else user_id_of(user),  # type: ignore[arg-type]
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
