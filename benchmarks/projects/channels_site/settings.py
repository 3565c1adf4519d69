"""A project on Django Channels with its in-memory layer, as the tutorial of Channels sets it up."""

from benchmarks.projects.common import *  # noqa: F403
from benchmarks.projects.common import DJANGO_APPS

INSTALLED_APPS = [*DJANGO_APPS, "channels"]
ROOT_URLCONF = "benchmarks.projects.channels_site.urls"
ASGI_APPLICATION = "benchmarks.projects.channels_site.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
