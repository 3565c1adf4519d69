"""The conformance project's, but secure and quick."""

from tests.conformance.project import settings as open_to_all
from tests.conformance.project.settings import *  # noqa: F403

INSTALLED_APPS = [*open_to_all.INSTALLED_APPS[:-1], "tests.conformance.secured"]
HOTCLUB = {
    **open_to_all.HOTCLUB,
    "INSECURE": False,
    "ON_CONNECT": "tests.conformance.secured.channels.welcome",
    # As short as the tests want to wait, as long as a busy machine takes to answer.
    "LIMITS": {"PING_INTERVAL": 1, "PONG_TIMEOUT": 0.9, "EXPIRY_GRACE": 1.0, "POSITION_CHECK": 0.5},
}
