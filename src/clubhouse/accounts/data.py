"""The shapes in which the front end gets accounts."""

from typing import TypedDict

from clubhouse.accounts.models import User


class Person(TypedDict):
    """What others may know of a user."""

    id: str
    name: str


def person(user: User) -> Person:
    """Return the user's id, as a string, and public name."""
    return {"id": str(user.pk), "name": user.public_name}
