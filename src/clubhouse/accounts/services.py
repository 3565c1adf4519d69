"""What other apps may know of accounts, and the actions on one's own."""

from typing import TypedDict

from clubhouse.accounts.models import Theme, User
from clubhouse.accounts.text import clean_line

__all__ = ["Person", "Theme", "User", "clean_line", "person", "set_language", "set_theme"]


class Person(TypedDict):
    """A user as the front end sees one."""

    id: str
    name: str


def person(user: User) -> Person:
    """The user's id and public name: all that others may know."""
    return {"id": str(user.pk), "name": user.public_name}


def set_language(user: User, language: str) -> None:
    """Remember the language on the account; "" follows the browser."""
    User.objects.filter(pk=user.pk).update(language=language)
    user.language = language


def set_theme(user: User, theme: Theme) -> None:
    """Remember the theme on the account."""
    User.objects.filter(pk=user.pk).update(theme=theme)
    user.theme = theme
