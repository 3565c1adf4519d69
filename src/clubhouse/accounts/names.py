"""The names of people: no two people have names that look alike, and every name can be seen.

A name is a user name or a display name. `ClaimedName` has a row for each key of `lookalikes.keys_of`, so that the
database refuses a second one, however many requests come at the same time. `User.save` checks and claims;
`bulk_create()` and `update()` write past it, as past any `save`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_lazy as _

from clubhouse.accounts.claims import Claim, claim
from clubhouse.accounts.lookalikes import keys_of
from clubhouse.accounts.text import clean_line

if TYPE_CHECKING:
    from clubhouse.accounts.models import User

FIELDS = ("username", "display_name")
_TAKEN = _("This name is taken, or looks too much like somebody else’s.")


class BadName(ValidationError):
    """A name cannot be seen as it is, or somebody else has one that looks like it."""


class ClaimedName(Claim):
    """A key of a name, and the person who has the name."""

    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="claimed_names", verbose_name=_("user"))

    class Meta:
        """The names in messages."""

        app_label = "accounts"
        verbose_name = _("claimed name")
        verbose_name_plural = _("claimed names")


def changed_names(user: "User") -> dict[str, str]:
    """Return the user's names, by their fields, that differ from the stored ones."""
    stored = type(user)._default_manager.filter(pk=user.pk).values(*FIELDS).first() or {}  # noqa: SLF001 - public
    names = {field: getattr(user, field) for field in FIELDS}
    return {field: name for field, name in names.items() if name != stored.get(field)}


def check_names(user: "User", names: dict[str, str]) -> None:
    """Check names that the user wants to have.

    Raises:
        BadName: one of them has invisible characters, or looks like somebody else's.
    """
    errors = {}
    for field, name in names.items():
        if clean_line(name) != name:
            errors[field] = _("This name has characters that cannot be seen.")
        elif ClaimedName.objects.filter(key__in=keys_of(name)).exclude(user=user.pk).exists():
            errors[field] = _TAKEN
    if errors:
        raise BadName(errors)


@contextmanager
def storing(user: "User") -> Iterator[None]:
    """Turn the database's error about a user name that somebody else has just got into `BadName`."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        others = type(user)._default_manager.exclude(pk=user.pk)  # noqa: SLF001 - public
        if others.filter(username=user.username).exists():
            raise BadName({"username": _TAKEN}) from None
        raise


def claim_names(user: "User", changed: dict[str, str]) -> None:
    """Store that the user has the changed names, and no more the earlier ones, in the transaction that stores the user.

    Raises:
        BadName: somebody else has claimed one of them since it was checked.
    """
    try:
        claim(ClaimedName, changed.values(), kept=(user.username, user.display_name), user=user)
    except IntegrityError:
        raise BadName(_TAKEN) from None
