"""A project on Hotclub. Anonymous clients may connect, and no rate limits a client; the rest are defaults."""

from benchmarks.projects.common import *  # noqa: F403
from benchmarks.projects.common import DJANGO_APPS

INSTALLED_APPS = [*DJANGO_APPS, "hotclub", "benchmarks.projects.hotclub_site"]
ROOT_URLCONF = "benchmarks.projects.hotclub_site.urls"
ASGI_APPLICATION = "benchmarks.projects.hotclub_site.asgi.application"
HOTCLUB = {
    "ENGINE": "memory://",
    "ALLOW_ANONYMOUS": True,
    "LIMITS": {"COMMANDS_RATE": 1_000_000.0, "COMMANDS_BURST": 1_000_000},
    # The load generator opens all connections from one address.
    "RATES": dict.fromkeys(
        ("CONNECTS", "CONNECTS_PER_ADDRESS", "CONNECTIONS_PER_ADDRESS", "PUBLISHES_PER_USER", "SUBSCRIBES_PER_USER")
    ),
}
