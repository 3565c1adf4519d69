"""Configuration of the app that all pages are built on."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UiConfig(AppConfig):
    """The base template, the home and error pages, and the front end's bundles and translations."""

    name = "clubhouse.ui"
    verbose_name = _("Look and feel")
