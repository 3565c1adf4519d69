"""The app that every page stands on."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UiConfig(AppConfig):
    """The base template, the front end's bundles, the catalog of its texts, home and error pages."""

    name = "clubhouse.ui"
    verbose_name = _("Look and feel")
