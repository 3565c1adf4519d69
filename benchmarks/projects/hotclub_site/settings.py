"""An ordinary project on Hotclub. What differs from the defaults: anonymous clients may connect, and one publishing
client may send as fast as it can, from this machine."""

from benchmarks.projects.common import *  # noqa: F403
from benchmarks.projects.common import DJANGO_APPS

INSTALLED_APPS = [*DJANGO_APPS, "hotclub", "benchmarks.projects.hotclub_site"]
ROOT_URLCONF = "benchmarks.projects.hotclub_site.urls"
ASGI_APPLICATION = "benchmarks.projects.hotclub_site.asgi.application"
HOTCLUB = {
    "ENGINE": "memory://",
    "ALLOW_ANONYMOUS": True,
    "LIMITS": {"COMMANDS_RATE": 1_000_000.0, "COMMANDS_BURST": 1_000_000},
    # All of them come from this machine.
    "RATES": dict.fromkeys(
        ("CONNECTS", "CONNECTS_PER_ADDRESS", "CONNECTIONS_PER_ADDRESS", "PUBLISHES_PER_USER", "SUBSCRIBES_PER_USER")
    ),
}
