"""A project on Hotclub. Anonymous clients may connect, and no rate limits a client; the rest are defaults."""

from benchmarks.projects.common import *  # noqa: F403
from benchmarks.projects.common import DJANGO_APPS

INSTALLED_APPS = [*DJANGO_APPS, "hotclub", "benchmarks.projects.hotclub_site"]
ROOT_URLCONF = "benchmarks.projects.hotclub_site.urls"
ASGI_APPLICATION = "benchmarks.projects.hotclub_site.asgi.application"
HOTCLUB = {
    "ENGINE": "memory://",
    "ALLOW_ANONYMOUS": True,
    "LIMITS": {"commands_rate": 1_000_000.0, "commands_burst": 1_000_000},
    # The load generator opens all connections from one address.
    "RATES": dict.fromkeys(
        ("connects", "connects_per_address", "connections_per_address", "publishes_per_user", "subscribes_per_user")
    ),
}
