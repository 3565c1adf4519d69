"""Browsers in which an account has been used before have tries of their own.

Otherwise an attacker with many addresses could use up the tries of an account, and lock its owner out for as long as
the attack lasts. A browser that has logged in carries a signed cookie, which names the accounts by a digest.
"""

from typing import Any, Final

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import get_random_string, salted_hmac

_SALT: Final = "clubhouse.accounts.browser"
_MOST_ACCOUNTS: Final = 5
_AGE: Final = 365 * 24 * 3600


def browser_of(request: HttpRequest | None, account: str) -> str:
    """Return the id of the browser if the account has been used in it, otherwise ""."""
    browser, accounts = _read(request)
    return browser if _digest(account) in accounts else ""


def remember(request: HttpRequest, response: HttpResponseBase, account: str) -> None:
    """Have the browser remember, for a year, that the account has been used in it."""
    browser, accounts = _read(request)
    digest = _digest(account)
    newest = [digest, *(other for other in accounts if other != digest)][:_MOST_ACCOUNTS]
    response.set_cookie(
        settings.BROWSER_COOKIE_NAME,
        signing.dumps([browser or get_random_string(22), newest], salt=_SALT),
        max_age=_AGE,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _read(request: HttpRequest | None) -> tuple[str, list[str]]:
    cookie = "" if request is None else request.COOKIES.get(settings.BROWSER_COOKIE_NAME, "")
    try:
        value: Any = signing.loads(cookie, salt=_SALT, max_age=_AGE)
    except signing.BadSignature:
        return "", []
    browser, accounts = value
    return browser, accounts


def _digest(account: str) -> str:
    return salted_hmac(_SALT, account, algorithm="sha256").hexdigest()[:32]
