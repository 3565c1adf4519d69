"""What the two projects share, so that only the way to the sockets differs."""

import os
from pathlib import Path
from typing import Any

DATA = Path(os.environ["BENCHMARK_DATA"])

SECRET_KEY = "only for measurements on this machine"  # noqa: S105 - a secret of nothing
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DJANGO_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
# What tells the length of an answer and no more: requests that publish are counted into the deliveries.
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL", "timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
