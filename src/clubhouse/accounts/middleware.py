"""Chooses the language of each request."""

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.translation import check_for_language

from clubhouse.accounts.models import User


class LanguageMiddleware(LocaleMiddleware):
    """Takes the language of the account, or else that of the cookie, or else that of the browser."""

    def process_request(self, request: HttpRequest) -> None:
        """Activate the language. The middleware that sets `request.user` must come first."""
        user = request.user
        if isinstance(user, User) and user.language and check_for_language(user.language):
            translation.activate(user.language)
            request.LANGUAGE_CODE = translation.get_language()
        else:
            super().process_request(request)
