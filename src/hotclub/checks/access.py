"""System checks of access: the insecure mode, tokens, API keys and rates."""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from hotclub.conf.config import raw_settings
from hotclub.conf.problems import problems
from hotclub.conf.token_keys import BadKey, TokenSettings, token_settings
from hotclub.conf.values import HASHED, Rate

SHORT_KEY: Final = 20
"""An API key with fewer characters than this can be guessed."""


def check_access(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the insecure mode, tokens, API keys and rates: E022, E023, W008-W010. Finds nothing while `check_settings`
    reports a mistake."""
    raw = raw_settings()
    if not isinstance(raw, Mapping) or any(problems(raw)):
        return []
    return [*_insecure(raw), *_weak_keys(raw), *_api_keys(raw), *_classes(raw)]


def _insecure(raw: Mapping[str, Any]) -> Iterator[CheckMessage]:
    if raw.get("INSECURE"):
        hint = "Remove it wherever somebody else than you can connect."
        yield Warning("HOTCLUB['INSECURE'] lets anybody do nearly everything.", hint=hint, id="hotclub.W008")


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
            yield Warning(message, hint=hint, id="hotclub.W009")


def _api_keys(raw: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for number, entry in enumerate(raw.get("API_KEYS", ())):
        key = entry if isinstance(entry, str) else entry["KEY"]
        if not key.startswith(HASHED) and len(key) < SHORT_KEY:
            hint = "Make keys with `manage.py hotclub_api_key create`; they need no place in the settings."
            yield Warning(f"HOTCLUB['API_KEYS'][{number}] can be guessed.", hint=hint, id="hotclub.W010")


def _classes(raw: Mapping[str, Any]) -> Iterator[CheckMessage]:
    declarations: Any = apps.get_app_config("hotclub")
    for cls in declarations.declarations.channels:
        name = f"{cls.__module__}.{cls.__qualname__}"
        if cls.token and not raw.get("TOKENS") and not raw.get("INSECURE"):
            hint = 'Set HOTCLUB["TOKENS"], or remove `token`.'
            message = "This channel class wants subscription tokens, and no token is known."
            yield Error(message, hint=hint, obj=name, id="hotclub.E022")
        if cls.rate is not None and not _is_rate(cls.rate):
            yield Error("rate is no Rate.", hint="Write rate = Rate(20, per=2).", obj=name, id="hotclub.E023")


def _is_rate(value: Any) -> bool:
    return isinstance(value, Rate) and value.count >= 1 and value.per > 0
