"""Answers the requests that the guard refuses, and has browsers remember who has logged in."""

from collections.abc import Callable

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from clubhouse.accounts.guard import browsers
from clubhouse.accounts.guard.attempts import account_of, give_back
from clubhouse.accounts.guard.errors import TooBusy, TooManyAttempts, TryLater
from clubhouse.accounts.guard.hashing import asking
from clubhouse.accounts.guard.limits import address_of

_LOGGED_IN = "logged_in_account"


class GuardMiddleware:
    """Turns `TryLater` into a page with the time to wait, in every view of the site."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on, and give the browser its cookie when the request has logged somebody in."""
        with asking(address_of(request)):
            response = self.get_response(request)
        account = getattr(request, _LOGGED_IN, None)
        if account is not None:
            browsers.remember(request, response, account)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the page for `TryLater`; None for other exceptions, which Django then handles."""
        if not isinstance(exception, TryLater):
            return None
        if isinstance(exception, TooBusy):
            give_back(request)
        context = {
            "seconds": exception.seconds,
            "minutes": -(-exception.seconds // 60),
            "too_many": isinstance(exception, TooManyAttempts),
        }
        response = render(request, "accounts/try_later.html", context, status=exception.status)
        response["Retry-After"] = str(exception.seconds)
        response["Cache-Control"] = "no-store"
        return response


def on_log_in(request: HttpRequest | None, user: AbstractBaseUser, **_: object) -> None:
    """Give the tries back. A receiver of Django's signal `user_logged_in`."""
    give_back(request)
    if request is not None:
        setattr(request, _LOGGED_IN, account_of(user.get_username()))
