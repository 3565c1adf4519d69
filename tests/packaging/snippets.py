"""What the documentation's blocks take as given: names of the reader's own project, by page, for the type checkers."""

from typing import Final

PYTHON: Final[dict[str, str]] = {
    "": """
from pathlib import Path
from typing import Any, Callable
import hotclub
import hotclub.polls
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from hotclub import Channel, MapChannel, SharedPollChannel
from hotclub.maps import map_publish, map_state
from hotclub.polls import Polled
from datetime import timedelta
INSTALLED_APPS: list[str]
MIDDLEWARE: list[str]
DATABASES: dict[str, dict[str, Any]]
BASE_DIR: Path
""",
    "docs/reference/checks.md": """
from django.core.asgi import get_asgi_application
""",
    "docs/how-to/channels-consumers.md": """
from typing import Any
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from hotclub.engine.transports.base import ASGIApplication
django_application: ASGIApplication
live: ASGIApplication
TokenAuthMiddleware: Any
ThumbnailConsumer: Any
""",
    "docs/how-to/mobile-clients.md": """
from django.contrib.auth.models import AnonymousUser, User
def may_bid(user: User | AnonymousUser, channel: str) -> bool: ...
""",
    "docs/how-to/shared-polls.md": """
from typing import Any
import requests
from django.contrib.auth.models import AnonymousUser, User
SCORES_URL: str
match: Any
def may_see(user: User | AnonymousUser, key: str) -> bool: ...
""",
    "docs/how-to/standalone-server.md": """
from typing import Any
settings: Any
""",
    "docs/how-to/tokens.md": """
import os
""",
}
"""Page → a module of declarations; `""` is for all pages."""

MODULES: Final[dict[str, str]] = {
    "myapp/models.pyi": """
from django.db import models
class Membership(models.Model):
    objects: models.Manager["Membership"]
    room: models.ForeignKey[models.Model, models.Model]
    user: models.ForeignKey[models.Model, models.Model]
""",
    "shop/models.pyi": """
from django.db import models
class Product(models.Model):
    objects: models.Manager["Product"]
    sku: models.CharField[str, str]
    price: models.DecimalField[float, float]
    revision: models.IntegerField[int, int]
""",
    "myapp/routing.pyi": "from typing import Any\nwebsocket_urlpatterns: list[Any]\n",
    "chat/consumers.pyi": "from typing import Any\nChatConsumer: Any\n",
    "chat/routing.pyi": "from typing import Any\nwebsocket_urlpatterns: list[Any]\n",
    "chat/views.pyi": """
from django.http import HttpRequest, HttpResponse
def lobby(request: HttpRequest) -> HttpResponse: ...
""",
    "uvicorn_worker.pyi": """
from typing import Any
class UvicornWorker:
    CONFIG_KWARGS: dict[str, Any]
""",
}
"""Modules of the reader's project, and packages that are not installed here."""

TYPESCRIPT: Final = """
declare const Centrifuge: typeof import("centrifuge").Centrifuge;
declare const client: import("centrifuge").Centrifuge;
declare const client_id: string;
declare function show(...values: any[]): void;
declare function drawAll(entries: any): void;
declare function hide(key: string): void;
declare function move(key: string, data: any): void;
declare function post(path: string, body: object): Promise<any>;
declare function reload(): void;
declare function loadEverything(): void;
"""
"""Global names for the blocks of JavaScript and TypeScript."""

TYPESCRIPT_MODULES: Final[dict[str, str]] = {
    "channels.ts": """
export interface Channels { Room: { publication: { text: string } } }
export interface Procedures { "chat.mark_read": { arguments: { room_id: number; offset: number } } }
export const channels = { Room: (values: { room_id: number }): string => `chat:${values.room_id}` };
"""
}
"""Files that blocks import from the folder that they are in."""
