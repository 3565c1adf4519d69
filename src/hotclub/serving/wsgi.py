"""Logs a warning in a process that serves the site through WSGI, which has no live connections."""

from typing import Any, Final

from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started

from hotclub.engine.observe import logger

_UID: Final = "hotclub.wsgi"


def watch_for_wsgi() -> None:
    """Log the warning at this process's first request through WSGI, and only then. Requests through ASGI cost
    nothing."""
    request_started.connect(_warn_once, sender=WSGIHandler, dispatch_uid=_UID)


def _warn_once(**_kwargs: Any) -> None:
    # When several threads arrive at once, only one of them disconnects the receiver and logs.
    if request_started.disconnect(sender=WSGIHandler, dispatch_uid=_UID):
        logger.warning(
            "This process serves the site through WSGI, which has no live connections: every path of Hotclub is 404 "
            "here. Serve the site through ASGI, with `manage.py hotclub_serve`, or with an ASGI server and what "
            "hotclub.asgi.application() returns."
        )
