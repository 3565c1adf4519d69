"""The site as an ASGI application: Django's pages and Hotclub's connections."""

import os
from typing import Any, cast

from django.core.asgi import get_asgi_application

import hotclub.asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clubhouse.settings")

application = hotclub.asgi.application(cast("Any", get_asgi_application()))
