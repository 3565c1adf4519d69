"""The reader's preferences, for the templates of all pages."""

from django.conf import settings
from django.http import HttpRequest

from clubhouse.accounts.models import Theme, User

THEME_COOKIE = "clubhouse_theme"


def preferences(request: HttpRequest) -> dict[str, object]:
    """The reader's `theme`, `theme_choices` and `language_choices`. Needs no query but the user's."""
    user = getattr(request, "user", None)
    theme = user.theme if isinstance(user, User) else request.COOKIES.get(THEME_COOKIE)
    return {
        "theme": theme if theme in Theme.values else Theme.AUTO.value,
        "theme_choices": Theme.choices,
        "language_choices": settings.LANGUAGES,
    }
