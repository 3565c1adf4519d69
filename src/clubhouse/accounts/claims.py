"""Claims on names: a row for each key of `lookalikes.keys_of`, so that the database refuses a name that looks alike.

Each kind of owner has a table of its own, whose rows name the owner in one more field.
"""

from collections.abc import Iterable
from typing import Any, Final

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from clubhouse.accounts.lookalikes import LONGEST, keys_of

_BATCH: Final = 500


class Claim(models.Model):
    """A key of a name. Subclasses add the owner that has the name."""

    key = models.CharField(_("key"), max_length=LONGEST, primary_key=True)

    class Meta:
        """Subclasses have the tables."""

        abstract = True

    def __str__(self) -> str:
        return self.key


def claim(claims: type[Claim], names: Iterable[str], kept: Iterable[str] = (), **owner: models.Model) -> None:
    """Store that an owner has these names, and none but these and the kept ones, in the transaction of the caller.

    Args:
        claims: the table.
        names: names that the owner gets or has.
        kept: further names of the owner. They are not claimed where they are not claimed yet.
        owner: the owner, by its field of the table.

    Raises:
        IntegrityError: another owner has claimed a name that looks like one of `names`.
    """
    wanted = _keys(names)
    own = claims._default_manager.filter(**owner)  # noqa: SLF001 - public, by its documentation
    own.exclude(key__in=wanted | _keys(kept)).delete()
    missing = wanted.difference(own.values_list("key", flat=True))
    with transaction.atomic():
        claims._default_manager.bulk_create([claims(key=key, **owner) for key in sorted(missing)])  # noqa: SLF001 - the same


def claim_existing(claims: Any, field: str, names: Iterable[tuple[Any, str]]) -> None:
    """Claim names that exist already, for a migration. Of names that look alike the first one gets the claim.

    Args:
        claims: the table, as the migration knows it.
        field: the field of the table with the owner's primary key.
        names: the primary key and a name of each owner.
    """
    rows: list[Any] = []
    for pk, name in names:
        rows.extend(claims(key=key, **{field: pk}) for key in sorted(keys_of(name)))
        if len(rows) > _BATCH:
            claims.objects.bulk_create(rows, ignore_conflicts=True)
            rows = []
    claims.objects.bulk_create(rows, ignore_conflicts=True)


def _keys(names: Iterable[str]) -> frozenset[str]:
    return frozenset[str]().union(*map(keys_of, names))
