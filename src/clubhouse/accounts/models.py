"""The site's user."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class Theme(models.TextChoices):
    """How the pages are coloured."""

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
        """Nothing beyond what Django's own user has."""

    def __str__(self) -> str:
        return self.public_name

    @property
    def public_name(self) -> str:
        """What others see: the display name, or the user name."""
        return self.display_name or self.get_username()

    def get_full_name(self) -> str:
        """The public name; first and last names are not asked for."""
        return self.public_name
