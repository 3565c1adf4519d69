"""The conformance project's, but secure and quick."""

from tests.conformance.project import settings as open_to_all
from tests.conformance.project.settings import *  # noqa: F403

INSTALLED_APPS = [*open_to_all.INSTALLED_APPS[:-1], "tests.conformance.guarded"]
HOTCLUB = {
    "ALLOW_ANONYMOUS": True,
    "TOKENS": {"hmac_secret": "secret", "leeway": 0},
    "API_KEYS": ["test-api-key"],
    "ON_CONNECT": "tests.conformance.guarded.channels.welcome",
    "LIMITS": {"ping_interval": 1, "pong_timeout": 0.5, "expiry_grace": 0.5, "position_check": 0.5},
}
