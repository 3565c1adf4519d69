"""The site's user."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


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
