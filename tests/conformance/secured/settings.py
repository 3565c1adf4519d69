"""The conformance project's settings, secured. A token may be over for one second only."""

from tests.conformance.project import settings as project

SECRET_KEY = project.SECRET_KEY
ALLOWED_HOSTS = project.ALLOWED_HOSTS
USE_TZ = True
ROOT_URLCONF = project.ROOT_URLCONF
ASGI_APPLICATION = project.ASGI_APPLICATION
DEFAULT_AUTO_FIELD = project.DEFAULT_AUTO_FIELD
INSTALLED_APPS = [*project.INSTALLED_APPS[:-1], "tests.conformance.secured"]
MIDDLEWARE = project.MIDDLEWARE
DATABASES = project.DATABASES
HOTCLUB = {
    **project.HOTCLUB,
    "INSECURE": False,
    "ON_CONNECT": "tests.conformance.secured.channels.welcome",
    "LIMITS": {"expiry_grace": 1.0},
}
