"""The Django app: finds the channel classes, listens for logouts, registers the checks."""

import sys
from typing import Any

from django.apps import AppConfig, apps
from django.core.signals import setting_changed
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

from hotclub.channels.registry import Declarations, Registry
from hotclub.conf.config import get_config, reset_config
from hotclub.http_api.keys import FailedKeys
from hotclub.runtime.files import watch_files
from hotclub.runtime.tables import look_anew


class HotclubConfig(AppConfig):
    """The app config of `hotclub`. It holds the channels and procedures that the installed apps declare."""

    name = "hotclub"
    label = "hotclub"
    verbose_name = _("Live channels")
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        self.declarations = Declarations()
        self._registry: Registry | None = None
        self.failed_keys = FailedKeys()
        """The limit on bad keys of the HTTP API."""

    @property
    def registry(self) -> Registry:
        """The routes of the declared channels and procedures under the current settings.

        Raises:
            ImproperlyConfigured: the `HOTCLUB` setting holds a mistake.
        """
        if self._registry is None:
            self._registry = Registry(self.declarations, get_config())
        return self._registry

    def ready(self) -> None:
        """Import each app's `channels.py`, register the checks and connect the signals."""
        # These modules import models, which Django has loaded before it calls `ready`.
        from hotclub.checks.registration import register_checks  # noqa: PLC0415
        from hotclub.revocation.deleted import watch_statements  # noqa: PLC0415
        from hotclub.revocation.signals import connect_signals  # noqa: PLC0415
        from hotclub.serving.wsgi import watch_for_wsgi  # noqa: PLC0415

        autodiscover_modules("channels")
        names = (f"{app.name}.channels" for app in apps.get_app_configs() if app is not self)
        self.declare(Declarations.collect(sys.modules[name] for name in names if name in sys.modules))
        register_checks()
        if apps.is_installed("django.contrib.auth") and apps.is_installed("django.contrib.sessions"):
            connect_signals()
            watch_statements()
        watch_for_wsgi()
        watch_files()
        setting_changed.connect(self._setting_changed, dispatch_uid="hotclub.setting_changed")
        post_migrate.connect(self._migrated, sender=self, dispatch_uid="hotclub.migrated")

    def declare(self, declarations: Declarations) -> None:
        """Replace the declared channels and procedures. A running node keeps those with which it started."""
        self.declarations = declarations
        self._registry = None

    def _setting_changed(self, *, setting: str, **_kwargs: Any) -> None:
        if setting in ("HOTCLUB", "DATABASES"):
            reset_config()
            self._registry = None
            self.failed_keys = FailedKeys()

    def _migrated(self, *, using: str, **_kwargs: Any) -> None:
        look_anew(using)
