"""Settings of both projects, which differ only in what serves their connections."""

import os
from pathlib import Path
from typing import Any

DATA = Path(os.environ["BENCHMARK_DATA"])

SECRET_KEY = "only for measurements on this machine"  # noqa: S105 - it protects nothing
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DJANGO_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
# Only the middleware that sets Content-Length: the time of the publishing requests counts as time of the deliveries.
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL", "timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
