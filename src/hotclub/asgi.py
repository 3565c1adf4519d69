"""What a project's `asgi.py` imports, at its top like any other module: nothing here needs the apps to be loaded."""

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
    """What `asgi.py` gives to the server.

    Args:
        django_app: what `get_asgi_application()` returns; call that first, it loads the apps.
        websocket_urlpatterns: for Django Channels: either its URL patterns, which are served with its usual stack
            (allowed hosts, session, user), or a whole ASGI application of your own making.

    Returns:
        An ASGI application. It serves `/connection/websocket` (see the `PATH` setting) and starts and stops with the
        server's lifespan; on a server without lifespan it starts at the first connection.

    Raises:
        ImproperlyConfigured: `"hotclub"` is missing from `INSTALLED_APPS`.
        AppRegistryNotReady: `get_asgi_application()` was not called first.
    """
    if not apps.is_installed("hotclub"):
        raise ImproperlyConfigured(NOT_INSTALLED)
    # By now `get_asgi_application()` has loaded the apps, which the implementation imports.
    from hotclub.serving.application import HotclubApplication  # noqa: PLC0415

    consumers = websocket_urlpatterns
    if consumers is not None and not callable(consumers):
        consumers = _channels_stack(consumers)
    return HotclubApplication(django_app, consumers)


def _channels_stack(patterns: Sequence[Any]) -> ASGIApplication:
    # Channels is an extra.
    from channels.auth import AuthMiddlewareStack  # noqa: PLC0415
    from channels.routing import URLRouter  # noqa: PLC0415
    from channels.security.websocket import AllowedHostsOriginValidator  # noqa: PLC0415

    stack: ASGIApplication = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(list(patterns))))
    return stack
