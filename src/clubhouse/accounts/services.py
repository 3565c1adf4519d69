"""The actions on an account, and the names of this app that other apps may use."""

from clubhouse.accounts.claims import Claim, claim, claim_existing
from clubhouse.accounts.data import Person, person
from clubhouse.accounts.lookalikes import keys_of
from clubhouse.accounts.models import Theme, User
from clubhouse.accounts.text import clean_line, is_blank

__all__ = [
    "Claim",
    "Person",
    "Theme",
    "User",
    "claim",
    "claim_existing",
    "clean_line",
    "is_blank",
    "keys_of",
    "person",
    "set_language",
    "set_theme",
]


def set_language(user: User, language: str) -> None:
    """Store the language on the account; "" means the language of the browser."""
    User.objects.filter(pk=user.pk).update(language=language)
    user.language = language


def set_theme(user: User, theme: Theme) -> None:
    """Store the theme on the account."""
    User.objects.filter(pk=user.pk).update(theme=theme)
    user.theme = theme
