"""The Django project that the tests run in: SQLite in a file, as a small site would have it.

The database lives in a file because the tests are about what several threads and processes see of it.
"""

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "clubhouse.urls"
STATIC_URL = "/static/"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# The default one is slow by intention, and the tests make users by the dozen.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    *(
        name
        for name in ("hotclub", "clubhouse.accounts", "clubhouse.ui", "clubhouse.chat")
        if find_spec(f"{name}.models")
    ),
]
AUTH_USER_MODEL = "accounts.User" if find_spec("clubhouse.accounts.models") else "auth.User"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
_DATABASE = Path(tempfile.gettempdir()) / f"hotclub-tests-{os.getpid()}.sqlite3"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _DATABASE,
        "TEST": {"NAME": _DATABASE},
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        },
    }
}
