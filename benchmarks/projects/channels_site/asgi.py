"""The ASGI application of this project."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.projects.channels_site.settings")
django_application = get_asgi_application()

from benchmarks.projects.channels_site.consumers import BenchmarkConsumer  # noqa: E402 - Django is set up first

patterns = [path("ws/", BenchmarkConsumer.as_asgi())]
application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(patterns))),
    }
)
