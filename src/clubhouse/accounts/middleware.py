"""The language of each request."""

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.translation import check_for_language

from clubhouse.accounts.models import User


class LanguageMiddleware(LocaleMiddleware):
    """A signed-in user's own choice first; then the cookie, then what the browser asks for."""

    def process_request(self, request: HttpRequest) -> None:
        """Activate the language; needs `request.user`."""
        user = request.user
        if isinstance(user, User) and user.language and check_for_language(user.language):
            translation.activate(user.language)
            request.LANGUAGE_CODE = translation.get_language()
        else:
            super().process_request(request)
