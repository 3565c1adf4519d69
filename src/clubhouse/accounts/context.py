"""What every page's template knows of the reader's preferences."""

from django.conf import settings
from django.http import HttpRequest

from clubhouse.accounts.models import Theme, User

THEME_COOKIE = "clubhouse_theme"


def preferences(request: HttpRequest) -> dict[str, object]:
    """`theme`, and the choices of the two switches. Asks the database for nothing beyond the user."""
    user = getattr(request, "user", None)
    theme = user.theme if isinstance(user, User) else request.COOKIES.get(THEME_COOKIE)
    return {
        "theme": theme if theme in Theme.values else Theme.AUTO.value,
        "theme_choices": Theme.choices,
        "language_choices": settings.LANGUAGES,
    }
