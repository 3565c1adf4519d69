"""Settings of the site. Environment variables, whose names begin with `CLUBHOUSE_`, change what deployments differ in.

Without them the site expects HTTPS, answers on the host names of the local machine, and stores its SQLite database and
all other files in `var/`.
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONCE, NONE, SELF

from clubhouse import environment

DATA_DIR = environment.private_folder(Path(os.environ.get("CLUBHOUSE_DATA_DIR", "var")).absolute())

DEBUG = environment.flag("CLUBHOUSE_DEBUG", False)
HTTPS = environment.flag("CLUBHOUSE_HTTPS", not DEBUG)
SECRET_KEY = environment.secret_key("CLUBHOUSE_SECRET_KEY", DATA_DIR)
ALLOWED_HOSTS = environment.words("CLUBHOUSE_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])

INSTALLED_APPS = [
    "hotclub",
    "clubhouse.ui",
    "clubhouse.accounts",
    "clubhouse.chat",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
]
MIDDLEWARE = [
    "clubhouse.ui.middleware.PrivatePagesMiddleware",
    "clubhouse.ui.middleware.EncodingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "clubhouse.ui.middleware.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "clubhouse.accounts.middleware.LanguageMiddleware",
    "clubhouse.accounts.guard.middleware.GuardMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "clubhouse.ui.middleware.FrontEndMiddleware",
]
ROOT_URLCONF = "clubhouse.urls"
ASGI_APPLICATION = "clubhouse.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "clubhouse.ui.context_processors.page",
                "clubhouse.accounts.context_processors.preferences",
            ],
        },
    },
]

HOTCLUB: dict[str, Any] = {
    "ON_CONNECT": "clubhouse.accounts.connections.on_connect",
    "READY_PATH": "/readyz",
}

# Data


def _database(url: str) -> dict[str, Any]:
    # The path of the folder must not go through a URL, in which "#", "?" and "%" mean something else.
    default = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "clubhouse.sqlite3")}
    database: dict[str, Any] = {**dj_database_url.parse(url)} if url else default
    if database["ENGINE"] == "django.db.backends.sqlite3":
        if database["NAME"] != ":memory:":
            environment.private_database(Path(database["NAME"]))
        # IMMEDIATE takes the write lock when a transaction begins. A transaction that reads before it asks for the lock
        # fails when another one has written meanwhile, whatever the busy time-out is.
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;",
            **database.get("OPTIONS", {}),
        }
    return database


DATABASES = {"default": _database(os.environ.get("CLUBHOUSE_DATABASE_URL", ""))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Accounts

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "clubhouse.accounts.guard.attempts.LogInLimits",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "clubhouse.accounts.guard.hashing.BoundedPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "chat:rooms"
LOGOUT_REDIRECT_URL = "ui:home"

LOG_IN_RATE = environment.rate("CLUBHOUSE_LOG_IN_RATE", "6/600")
"""The failed log-ins to one account from one address, and the seconds in which; None: there is no limit."""

LOG_IN_RATE_PER_ADDRESS = environment.rate("CLUBHOUSE_LOG_IN_RATE_PER_ADDRESS", "30/600")
"""The failed log-ins from one address, to whatever accounts, and the seconds in which."""

LOG_IN_RATE_PER_ACCOUNT = environment.rate("CLUBHOUSE_LOG_IN_RATE_PER_ACCOUNT", "60/3600")
"""The failed log-ins to one account, from whatever addresses, and the seconds in which. Browsers in which the account
has been used before have LOG_IN_RATE instead, so nobody can lock an account's owner out of them."""

SIGN_UP_RATE = environment.rate("CLUBHOUSE_SIGN_UP_RATE", "60/3600")
"""The sign-up forms from one address, and the seconds in which."""

PASSWORD_HASHES_AT_ONCE = environment.number("CLUBHOUSE_PASSWORD_HASHES_AT_ONCE", environment.processors_to_spare())
"""The passwords that are hashed at the same time in each process. Others wait up to ten seconds for their turn."""

# Languages and time

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LANGUAGE_COOKIE_NAME = "clubhouse_language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SAMESITE = "Lax"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

# Static files: before `collectstatic` under their own names, afterwards under names with a hash.

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "clubhouse.ui.storage.CollectedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not (STATIC_ROOT / "staticfiles.json").is_file()

# Security

TRUSTED_PROXIES = environment.words("CLUBHOUSE_TRUSTED_PROXIES", ["127.0.0.1", "::1"])
"""The proxies in front, which say where a client is and whether it came over HTTPS. From others Hotclub leaves these
headers out before Django sees them."""
HOTCLUB["TRUSTED_PROXIES"] = TRUSTED_PROXIES
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = environment.header("CLUBHOUSE_PROXY_SSL_HEADER", "X-Forwarded-Proto: https")
CSRF_TRUSTED_ORIGINS = environment.words("CLUBHOUSE_TRUSTED_ORIGINS", [])
"""The origins whose pages may post forms and open connections, beside the site's own as the proxy tells it."""
HOTCLUB["ALLOWED_ORIGINS"] = CSRF_TRUSTED_ORIGINS
# Browsers take a cookie with this prefix from the host itself alone, over HTTPS. No other host of the domain sets it.
_COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{_COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}csrftoken"
BROWSER_COOKIE_NAME = f"{_COOKIE_PREFIX}clubhouse_browser"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "clubhouse.ui.errors.csrf_failure"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = False
SECURE_SSL_REDIRECT = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF, "data:"],
        "connect-src": [SELF],
        "form-action": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}

# Chat

CHAT_RATE = environment.rate("CLUBHOUSE_CHAT_RATE", "10/5")
"""The number of messages that a person may post to a room, and the seconds in which; None: there is no limit."""
CHAT_ROOMS_PER_PERSON = environment.limit("CLUBHOUSE_CHAT_ROOMS_PER_PERSON", 50)
"""The most rooms that a person may have made, deleted ones left out; None: there is no limit."""
CHAT_MEMBERSHIPS_PER_PERSON = environment.limit("CLUBHOUSE_CHAT_MEMBERSHIPS_PER_PERSON", 500)
"""The most rooms that a person may be in; None: there is no limit."""
