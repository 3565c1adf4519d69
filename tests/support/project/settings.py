"""SQLite in PROJECT_DATA_DIR, or PROJECT_DATABASE_URL."""

import json
import os
from pathlib import Path

import dj_database_url

SECRET_KEY = "known to everybody who reads the tests of this project, and long"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "tests.support.project.urls"
ASGI_APPLICATION = "tests.support.project.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "hotclub",
    "tests.support.project",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
HOTCLUB = {"ALLOW_ANONYMOUS": True, **json.loads(os.environ.get("PROJECT_HOTCLUB", "{}"))}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ["PROJECT_DATA_DIR"]) / "project.sqlite3",
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        },
    }
}
if "PROJECT_DATABASE_URL" in os.environ:
    DATABASES["default"] = {**dj_database_url.parse(os.environ["PROJECT_DATABASE_URL"])}
