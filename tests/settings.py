"""The Django project that the tests run in: the site, with a database and a data folder of the test run's own.

The database is SQLite in a file, because the tests are about what several threads and processes see of it.
"""

import os
import tempfile
from pathlib import Path

_FOLDER = Path(tempfile.gettempdir()) / f"hotclub-tests-{os.getuid()}"
os.environ["CLUBHOUSE_DATA_DIR"] = str(_FOLDER)
os.environ["CLUBHOUSE_SECRET_KEY"] = "only for tests"
os.environ["CLUBHOUSE_HTTPS"] = "0"
os.environ.pop("CLUBHOUSE_DATABASE_URL", None)

from clubhouse.settings import *  # noqa: E402, F403
from clubhouse.settings import DATABASES  # noqa: E402

ALLOWED_HOSTS = ["*"]
# The default one is slow by intention, and the tests make users by the dozen.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["TEST"] = {"NAME": _FOLDER / f"tests-{os.getpid()}.sqlite3"}
