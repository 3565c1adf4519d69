"""The limits of each form that takes a password."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpRequest

from clubhouse.accounts.guard import limits
from clubhouse.accounts.guard.browsers import browser_of
from clubhouse.accounts.guard.errors import TooManyAttempts
from clubhouse.accounts.guard.limits import Bucket, address_of, bucket, take
from clubhouse.accounts.guard.log import log_refusal

_TAKEN = "log_in_tries"


class LogInLimits:
    """An authentication back end that lets nobody in, and stands before the one that does.

    Every log-in of the site comes here first, the admin site's too. It takes the tries before the password is looked
    at, because tries that run side by side would all see a count from before the first failure. A log-in gets them
    back. Names without an account are counted in the same way.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **fields: Any
    ) -> None:
        """Take a try of the account and of the address.

        Raises:
            TooManyAttempts: one of them has none left.
        """
        name = fields.get(get_user_model().USERNAME_FIELD) if username is None else username
        if name is None or password is None:
            return
        tries = _log_in_tries(request, str(name))
        try:
            take(tries)
        except TooManyAttempts as refused:
            log_refusal(request, str(name), refused)
            raise
        if request is not None:
            setattr(request, _TAKEN, tries)

    async def aauthenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """See `authenticate`, which runs in a thread."""
        await sync_to_async(self.authenticate)(request, **credentials)


def give_back(request: HttpRequest | None) -> None:
    """Give back the tries of the request: it has logged somebody in."""
    limits.give_back(getattr(request, _TAKEN, ()))
    if request is not None:
        setattr(request, _TAKEN, ())


def take_sign_up(request: HttpRequest) -> None:
    """Count a sent sign-up form, accepted or not: a refused one tells which names are taken.

    Raises:
        TooManyAttempts: the address has sent too many.
    """
    take(bucket(settings.SIGN_UP_RATE, "sign up", address_of(request)))


def password_tries(user_id: str) -> Sequence[Bucket]:
    """Return the tries at the old password in the form that changes it."""
    return bucket(settings.LOG_IN_RATE, "change password", user_id)


def account_of(name: str) -> str:
    """Return the name of an account in the form in which its tries are counted, case and width folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name[:256]).casefold())


def _log_in_tries(request: HttpRequest | None, name: str) -> Sequence[Bucket]:
    account, address = account_of(name), address_of(request)
    browser = browser_of(request, account)
    if browser:
        return bucket(settings.LOG_IN_RATE, "known browser", account, browser)
    by_account = bucket(settings.LOG_IN_RATE_PER_ACCOUNT, "account", account)
    if not address:
        return by_account
    return [
        *bucket(settings.LOG_IN_RATE_PER_ADDRESS, "address", address),
        *bucket(settings.LOG_IN_RATE, "account from address", account, address),
        *by_account,
    ]
