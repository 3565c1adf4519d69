"""The function that a project's `asgi.py` calls. Importing this module does not need the apps to be loaded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from hotclub.conf.config import NOT_INSTALLED
from hotclub.engine.transports.base import ASGIApplication

if TYPE_CHECKING:
    from hotclub.serving.application import HotclubApplication


def application(
    django_app: ASGIApplication, websocket_urlpatterns: Sequence[Any] | ASGIApplication | None = None
) -> "HotclubApplication":
    """Make the ASGI application of a project, for its `asgi.py`.

    Args:
        django_app: the application that `get_asgi_application()` returns. Call that function first: it loads the apps.
        websocket_urlpatterns: the WebSockets of Django Channels: its URL patterns, which Hotclub serves with the usual
            stack (allowed hosts, session, user), or a whole ASGI application. None refuses other WebSockets with 404.

    Returns:
        An ASGI application. It serves `/connection/websocket` (see the `PATH` setting) and Hotclub's other paths, and
        passes other requests to `django_app`. It starts and stops with the server's lifespan; on a server without
        lifespan it starts at the first connection or API request.

    Raises:
        ImproperlyConfigured: `"hotclub"` is missing from `INSTALLED_APPS`.
        AppRegistryNotReady: `get_asgi_application()` was not called first.
    """
    if not apps.is_installed("hotclub"):
        raise ImproperlyConfigured(NOT_INSTALLED)
    # The implementation imports models, which exist once `get_asgi_application()` has loaded the apps.
    from hotclub.serving.application import HotclubApplication  # noqa: PLC0415

    consumers = websocket_urlpatterns
    if consumers is not None and not callable(consumers):
        consumers = _channels_stack(consumers)
    return HotclubApplication(django_app, consumers)


def _channels_stack(patterns: Sequence[Any]) -> ASGIApplication:
    # Channels is an optional dependency.
    from channels.auth import AuthMiddlewareStack  # noqa: PLC0415
    from channels.routing import URLRouter  # noqa: PLC0415
    from channels.security.websocket import AllowedHostsOriginValidator  # noqa: PLC0415

    stack: ASGIApplication = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(list(patterns))))
    return stack
