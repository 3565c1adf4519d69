"""The database goes to `CONFORMANCE_DATA_DIR`."""

import os
import tempfile
from pathlib import Path

SECRET_KEY = "known to everybody"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.conformance.project.urls"
ASGI_APPLICATION = "tests.conformance.project.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "hotclub",
    "tests.conformance.project",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
HOTCLUB = {
    "INSECURE": True,
    # The suites have tokens that were over only seconds ago, and want them refused.
    "TOKENS": {"HMAC_SECRET": "secret", "LEEWAY": 0},
    "API_PATH": "/api",
    "API_KEYS": ["test-api-key"],
    "POLL_SECRETS": ["test-poll-secret"],
}
_FOLDER = Path(os.environ.get("CONFORMANCE_DATA_DIR", tempfile.gettempdir()))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _FOLDER / "hotclub-conformance.sqlite3",
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL", "timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
