"""`PRESENCE=off` leaves presence out; `CONFORMANCE_DATA_DIR` is where the database goes."""

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
    "TOKENS": {"hmac_secret": "secret"},
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
PRESENCE = os.environ.get("PRESENCE") != "off"
POLL_BACKEND = os.environ.get("POLL_BACKEND", "http://127.0.0.1:3010/refresh")
POLL_BACKEND_PROTOBUF = os.environ.get("POLL_BACKEND_PROTOBUF", "http://127.0.0.1:3011/refresh")
