"""System checks of access: the insecure mode, tokens, API keys and rates."""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core.checks import CheckMessage

from hotclub.checks.base import Apps, declared, make_error, make_warning
from hotclub.conf.config import raw_settings
from hotclub.conf.problems import problems
from hotclub.conf.token_keys import BadKey, TokenSettings, token_settings
from hotclub.conf.values import HASHED, Rate

SHORT_KEY: Final = 20
"""An API key with fewer characters than this can be guessed."""


def check_access(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the insecure mode, tokens, API keys and rates: E022, E023, W008-W010. Finds nothing while `check_settings`
    reports a mistake."""
    raw = raw_settings()
    if not isinstance(raw, Mapping) or any(problems(raw)):
        return []
    return [*_insecure(raw), *_weak_keys(raw), *_api_keys(raw), *_classes(raw)]


def _insecure(raw: Mapping[str, Any]) -> Iterator[CheckMessage]:
    if raw.get("INSECURE"):
        hint = "Remove it wherever somebody else than you can connect."
        yield make_warning(8, "HOTCLUB['INSECURE'] lets anybody do nearly everything.", hint)


def _weak_keys(raw: Mapping[str, Any]) -> Iterator[CheckMessage]:
    try:
        settings = token_settings(raw["TOKENS"]) if raw.get("TOKENS") else TokenSettings()
        keys = settings.all_keys()
    except BadKey:
        return
    for number, key in enumerate(keys):
        if key.weakness:
            message = f"Key {key.kid or number} of HOTCLUB['TOKENS'] can be found out: {key.weakness}."
            hint = "A secret is made by: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
            yield make_warning(9, message, hint)


def _api_keys(raw: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for number, entry in enumerate(raw.get("API_KEYS", ())):
        key = entry if isinstance(entry, str) else entry["KEY"]
        if not key.startswith(HASHED) and len(key) < SHORT_KEY:
            hint = "Make keys with `manage.py hotclub_api_key create`; they need no place in the settings."
            yield make_warning(10, f"HOTCLUB['API_KEYS'][{number}] can be guessed.", hint)


def _classes(raw: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for cls in declared().channels:
        if cls.token and not raw.get("TOKENS") and not raw.get("INSECURE"):
            hint = 'Set HOTCLUB["TOKENS"], or remove `token`.'
            message = "This channel class wants subscription tokens, and no token is known."
            yield make_error(22, message, hint, cls)
        if cls.rate is not None and not _is_rate(cls.rate):
            yield make_error(23, "rate is no Rate.", "Write rate = Rate(20, per=2).", cls)


def _is_rate(value: Any) -> bool:
    return isinstance(value, Rate) and value.count >= 1 and value.per > 0
