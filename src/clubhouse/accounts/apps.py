"""Configuration of the accounts app."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Accounts, and how their owners want to see the site."""

    name = "clubhouse.accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        """Connect the guard to log-ins. Its modules import the models, which are loaded now."""
        from clubhouse.accounts.guard.log import Sparingly, log_failure, logger  # noqa: PLC0415
        from clubhouse.accounts.guard.middleware import on_log_in  # noqa: PLC0415

        logger.addFilter(Sparingly())
        user_login_failed.connect(log_failure, dispatch_uid="clubhouse.accounts.failure")
        user_logged_in.connect(on_log_in, dispatch_uid="clubhouse.accounts.log_in")
