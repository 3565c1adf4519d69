"""The site's user."""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from clubhouse.accounts import names
from clubhouse.accounts.names import ClaimedName

__all__ = ["Allowance", "ClaimedName", "Theme", "User"]


class Theme(models.TextChoices):
    """The colours of the pages; AUTO follows the device."""

    AUTO = "auto", _("Automatic")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class User(AbstractUser):
    """A person with an account."""

    display_name = models.CharField(
        _("display name"), max_length=50, blank=True, help_text=_("What others see. Empty means the user name.")
    )
    language = models.CharField(
        _("language"), max_length=10, blank=True, help_text=_("Empty means the language of the browser.")
    )
    theme = models.CharField(_("theme"), max_length=5, choices=Theme.choices, default=Theme.AUTO)

    class Meta(AbstractUser.Meta):
        """The options of Django's own user."""

    def __str__(self) -> str:
        return self.public_name

    @property
    def public_name(self) -> str:
        """The name that others see: the display name, or else the user name."""
        return self.display_name or self.get_username()

    @property
    def other_name(self) -> str:
        """The user name where the public name is another one, otherwise ""; pages show both.

        A user name is its owner's for good, and a display name may be changed.
        """
        username = self.get_username()
        return "" if self.public_name.casefold() == username.casefold() else username

    def clean(self) -> None:
        """Check the names that were changed.

        Raises:
            BadName: a name cannot be seen as it is, or looks like somebody else's.
        """
        super().clean()
        names.check_names(self, names.changed_names(self))

    def save(self, *args: Any, **options: Any) -> None:
        """Store the user, and claim the names that were changed. A name that stayed as it was is not judged again.

        Raises:
            BadName: a name cannot be seen as it is, or looks like somebody else's.
        """
        fields = options.get("update_fields")
        changed = {} if fields is not None and not {*fields} & {*names.FIELDS} else names.changed_names(self)
        if not changed:
            super().save(*args, **options)
            return
        with transaction.atomic():
            names.check_names(self, changed)
            with names.storing(self):
                super().save(*args, **options)
            names.claim_names(self, changed)

    def get_full_name(self) -> str:
        """Return the public name: the site asks nobody for a first and a last name."""
        return self.public_name


class Allowance(models.Model):
    """How much of something is used up, such as the tries to log in from one address: see `guard.limits`."""

    key = models.CharField(_("key"), max_length=64, primary_key=True)
    full_at = models.DateTimeField(_("full at"), db_index=True)

    class Meta:
        """The names in messages."""

        verbose_name = _("allowance")
        verbose_name_plural = _("allowances")

    def __str__(self) -> str:
        return self.key
