"""Loads the ASGI application that `hotclub_serve` and `runserver` serve."""

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management.base import CommandError
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from hotclub.asgi import application


def load_application() -> Callable[..., Any]:
    """Return the project's ASGI application: `ASGI_APPLICATION`, or without that setting Hotclub around Django.

    Raises:
        CommandError: the path in `ASGI_APPLICATION` cannot be imported.
    """
    path: str | None = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        return application(cast("Any", get_asgi_application()))
    try:
        loaded: Callable[..., Any] = import_string(path)
    except ImportError as error:
        raise CommandError(
            _("ASGI_APPLICATION %(path)r cannot be imported: %(error)s") % {"path": path, "error": error}
        ) from error
    return loaded
