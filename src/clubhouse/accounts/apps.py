"""Configuration of the accounts app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Accounts, and how their owners want to see the site."""

    name = "clubhouse.accounts"
    verbose_name = _("Accounts")
