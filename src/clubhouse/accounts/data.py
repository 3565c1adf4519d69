"""The shapes in which the front end gets accounts."""

from typing import NotRequired, TypedDict

from clubhouse.accounts.models import User


class PublicNames(TypedDict):
    """A user's public name, and the user name if it is another one."""

    name: str
    username: NotRequired[str]


class Person(TypedDict):
    """What others may know of a user. `username` is left out when `name` is the user name."""

    id: str
    name: str
    username: NotRequired[str]


def person(user: User) -> Person:
    """Return the user's id, as a string, public name and user name."""
    return {"id": str(user.pk), **public_names(user)}


def public_names(user: User) -> PublicNames:
    """Return the names under which others know the user."""
    names: PublicNames = {"name": user.public_name}
    if user.other_name:
        names["username"] = user.other_name
    return names
