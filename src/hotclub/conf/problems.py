"""Finds the mistakes in a `HOTCLUB` setting."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.module_loading import import_string

from hotclub.conf.token_keys import TOKEN_FIELDS, BadKey, TokenSettings, make_key
from hotclub.conf.values import (
    API_KEY_FIELDS,
    API_METHODS,
    HASHED,
    OPAQUE,
    UNIX,
    Rate,
    RateLimits,
    ServerLimits,
    is_digest,
    is_list_of_text,
    is_number,
    is_positive,
    is_rate,
    parse_network,
    parse_origin,
    rights_of,
    suggest,
)
from hotclub.engine.limits import Limits
from hotclub.engine.names import LONGEST

ENGINES: Final = ("memory",)
"""The schemes that `ENGINE` may have without a `BACKEND`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the settings: the number of its system check, such as `E007`, a message, and a hint what to do."""

    check: str
    message: str
    hint: str


def problems(raw: Any) -> Iterator[Problem]:
    """Yield every mistake in a `HOTCLUB` setting. `raw` is the setting as the project has written it."""
    if not isinstance(raw, Mapping):
        yield Problem("E001", "HOTCLUB is not a dictionary.", 'Write HOTCLUB = {"ENGINE": "memory://"}.')
        return
    for name, value in raw.items():
        check = _url if name == "ENGINE" and raw.get("BACKEND") else SETTINGS.get(name)
        if check is None:
            yield Problem("E002", f"HOTCLUB has an unknown key {name!r}.", suggest(name, SETTINGS))
        else:
            yield from check(name, value)


def _boolean(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield _wrong(name, value, "Use True or False.")


def _seconds(name: str, value: Any) -> Iterator[Problem]:
    if not is_positive(value, int | float):
        yield _wrong(name, value, "Use a number of seconds greater than 0.")


def _threads(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 256:
        yield _wrong(name, value, "Use a whole number from 1 to 256.")


def _bytes(name: str, value: Any) -> Iterator[Problem]:
    if not is_positive(value, int):
        yield _wrong(name, value, "Use a whole number of bytes greater than 0.")


def _most_threads(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 4_096:
        yield _wrong(name, value, "Use a whole number from 1 to 4096. Below THREADS it has no effect.")


def _text(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield _wrong(name, value, "Use a string.")


def _dotted_path(name: str, value: Any) -> Iterator[Problem]:
    if value is not None and (not isinstance(value, str) or "." not in value):
        yield _wrong(name, value, 'Use the dotted path of a function, such as "shop.live.on_connect", or None.')


def _secrets(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, list | tuple) or not all(isinstance(secret, str) and secret for secret in value):
        # The value holds secrets, so the message does not show it.
        hint = "List the newest secret first, or leave the setting out."
        yield Problem("E007", f"HOTCLUB[{name!r}] is not a list of strings.", hint)


def _database(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or value not in settings.DATABASES:
        yield _wrong(name, value, f"Use one of the aliases in DATABASES: {', '.join(settings.DATABASES)}.")


def _url(name: str, value: Any) -> Iterator[Problem]:
    """Check the `ENGINE` of a project's own back end. Only the back end knows which URLs it takes."""
    if not isinstance(value, str) or "://" not in value:
        yield Problem("E003", f"HOTCLUB[{name!r}] is {value!r}, which is not a URL.", "Write scheme://address.")


def _engine(_name: str, value: Any) -> Iterator[Problem]:
    scheme, separator, _rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    if not separator:
        yield Problem("E003", f"HOTCLUB['ENGINE'] is {value!r}, which is not a URL.", 'Use "memory://".')
    elif scheme not in ENGINES:
        known = ", ".join(f"{name}://" for name in ENGINES)
        yield Problem(
            "E004",
            f"HOTCLUB['ENGINE'] asks for an unknown engine {scheme!r}.",
            f"This version knows {known}.",
        )
    elif scheme == "memory" and urlsplit(value).netloc + urlsplit(value).path:
        yield Problem("E003", f"HOTCLUB['ENGINE'] is {value!r}, but memory has no address.", 'Use "memory://".')


def _backend(name: str, value: Any) -> Iterator[Problem]:
    if value is None:
        return
    hint = 'Name a class or a function that takes the ENGINE URL and the limits, such as "shop.live.Backend".'
    try:
        make = import_string(value)
    except (ImportError, AttributeError, TypeError) as error:
        yield Problem("E007", f"HOTCLUB[{name!r}] {value!r} cannot be imported: {error}.", hint)
        return
    if not callable(make):
        yield Problem("E007", f"HOTCLUB[{name!r}] {value!r} cannot be called.", hint)


def _origins(_name: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        yield _wrong("ALLOWED_ORIGINS", value, 'Use a list, such as ["https://shop.example.com"].')
        return
    for origin in value:
        if not isinstance(origin, str) or (origin != OPAQUE and parse_origin(origin) is None):
            yield Problem(
                "E005",
                f"HOTCLUB['ALLOWED_ORIGINS'] holds {origin!r}, which no browser sends as an origin.",
                'Write "https://host" or "https://host:port", without path or "*", or "null" for pages from files.',
            )


def _personal_history(name: str, value: Any) -> Iterator[Problem]:
    hint = "Use (size, seconds), such as (100, 600)."
    if not isinstance(value, list | tuple) or len(value) != 2:
        yield _wrong(name, value, hint)
        return
    size, ttl = value
    if not isinstance(size, int) or isinstance(size, bool) or size < 1 or not is_positive(ttl, int | float):
        yield _wrong(name, value, hint)


def _limits(_name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem("E006", "HOTCLUB['LIMITS'] is not a dictionary.", 'Write {"MESSAGE_BYTES": 65536}.')
        return
    types = {item.name.upper(): item.type for item in dataclasses.fields(Limits)}
    for name, limit in value.items():
        if name not in types:
            yield Problem("E006", f"HOTCLUB['LIMITS'] has an unknown key {name!r}.", suggest(name, types))
        elif not is_number(limit) or limit <= 0 or (types[name] is int and not isinstance(limit, int)):
            kind = "a whole number" if types[name] is int else "a number"
            yield Problem("E006", f"HOTCLUB['LIMITS'][{name!r}] is {limit!r}.", f"Use {kind} greater than 0.")
    given = {name.lower(): limit for name, limit in value.items() if name in types and is_number(limit)}
    yield from _contradictions(Limits(**given))


def _contradictions(limits: Limits) -> Iterator[Problem]:
    if limits.channel_bytes > LONGEST:
        yield Problem(
            "E006",
            f"HOTCLUB['LIMITS'] has CHANNEL_BYTES {limits.channel_bytes}.",
            f"The tables hold names of at most {LONGEST} bytes.",
        )
    for smaller, larger in (
        ("PONG_TIMEOUT", "PING_INTERVAL"),
        ("PRESENCE_REFRESH", "PRESENCE_TTL"),
        ("EPHEMERAL_BYTES", "OUTBOX_BYTES"),
        ("MESSAGE_BYTES", "OUTBOX_BYTES"),
    ):
        low, high = getattr(limits, smaller.lower()), getattr(limits, larger.lower())
        if low >= high:
            yield Problem(
                "E006",
                f"HOTCLUB['LIMITS'] has {smaller} {low} and {larger} {high}.",
                f"Keep {smaller} below {larger}.",
            )


def _explained(
    check: str,
    explain: Callable[[Any], Iterator[tuple[str, str]]],
) -> Callable[[str, Any], Iterator[Problem]]:
    """Make a check from a function that yields pairs of a message and a hint."""
    return lambda _name, value: (Problem(check, message, hint) for message, hint in explain(value))


def _wrong(name: str, value: Any, hint: str) -> Problem:
    return Problem("E007", f"HOTCLUB[{name!r}] is {value!r}.", hint)


def rate_problems(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in a `RATES` setting, as (message, hint)."""
    if not isinstance(raw, Mapping):
        yield "HOTCLUB['RATES'] is not a dictionary.", 'Write {"CONNECTS_PER_ADDRESS": (1000, 10)}.'
        return
    types = {item.name.upper(): item.type for item in fields(RateLimits)}
    for name, value in raw.items():
        if name not in types:
            yield f"HOTCLUB['RATES'] has an unknown key {name!r}.", suggest(name, types)
        elif value is not None and types[name] == int | None and not is_positive(value, int):
            yield f"HOTCLUB['RATES'][{name!r}] is {value!r}.", "Use a whole number greater than 0, or None."
        elif value is not None and types[name] == Rate | None and not is_rate(value):
            yield f"HOTCLUB['RATES'][{name!r}] is {value!r}.", "Use (count, seconds), such as (100, 10), or None."


def server_problems(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in a `SERVER` setting, as (message, hint)."""
    if not isinstance(raw, Mapping):
        yield "HOTCLUB['SERVER'] is not a dictionary.", 'Write {"BODY_BYTES": 10_485_760}.'
        return
    types = {item.name.upper(): item.type for item in fields(ServerLimits)}
    for name, value in raw.items():
        if name not in types:
            yield f"HOTCLUB['SERVER'] has an unknown key {name!r}.", suggest(name, types)
        elif types[name] == int | None and value is not None and not is_positive(value, int):
            yield f"HOTCLUB['SERVER'][{name!r}] is {value!r}.", "Use a whole number greater than 0, or None."
        elif types[name] is int and not is_positive(value, int):
            yield f"HOTCLUB['SERVER'][{name!r}] is {value!r}.", "Use a whole number greater than 0."
        elif types[name] is float and not is_positive(value, int | float):
            yield f"HOTCLUB['SERVER'][{name!r}] is {value!r}.", "Use a number of seconds greater than 0."


def proxy_problems(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in a `TRUSTED_PROXIES` setting, as (message, hint)."""
    hint = 'Use a list of addresses and networks, such as ["127.0.0.1", "10.0.0.0/8", "unix"].'
    if isinstance(raw, str) or not isinstance(raw, Sequence):
        yield f"HOTCLUB['TRUSTED_PROXIES'] is {raw!r}.", hint
        return
    for entry in raw:
        if entry != UNIX and (not isinstance(entry, str) or parse_network(entry) is None):
            yield f"HOTCLUB['TRUSTED_PROXIES'] holds {entry!r}, which is not a network.", hint


def key_problems(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in an `API_KEYS` setting, as (message, hint)."""
    hint = f'Write each key as "…", as "{HASHED}<digest>", or as {{"KEY": …, "CHANNELS": ["chat:*"], "METHODS": […]}}.'
    if not isinstance(raw, list | tuple):
        yield "HOTCLUB['API_KEYS'] is not a list.", hint
        return
    digests: set[str] = set()
    for number, entry in enumerate(raw):
        fields = {"KEY": entry} if isinstance(entry, str) else entry
        place = f"HOTCLUB['API_KEYS'][{number}]"
        if not isinstance(fields, Mapping):
            yield f"{place} is neither a key nor a dictionary.", hint
        elif unknown := [name for name in fields if name not in API_KEY_FIELDS]:
            yield f"{place} has an unknown key {unknown[0]!r}.", suggest(unknown[0], API_KEY_FIELDS)
        elif mistake := _key_mistake(fields):
            yield f"{place} {mistake}", hint
        elif unknown := [name for name in fields.get("METHODS", ()) if name not in API_METHODS]:
            yield f"{place} has an unknown method {unknown[0]!r}.", f"The methods are {', '.join(sorted(API_METHODS))}."
        elif (digest := rights_of(fields).digest) in digests:
            yield f"{place} holds the key of an earlier entry.", "Give each key once, with all of its rights."
        else:
            digests.add(digest)


def _key_mistake(fields: Mapping[str, Any]) -> str:
    """The mistake in the types of an entry of `API_KEYS`, "" for none. Shows no part of a key."""
    key, name = fields.get("KEY"), fields.get("NAME", "settings")
    if not isinstance(key, str) or not key:
        return "has no KEY."
    if key.startswith(HASHED) and not is_digest(key.removeprefix(HASHED)):
        return f"has a KEY with {HASHED} before something that is no digest of 64 hexadecimal digits."
    if not isinstance(name, str) or not name:
        return "has a NAME that is no text."
    if not all(is_list_of_text(fields.get(field, ())) for field in ("CHANNELS", "METHODS")):
        return "has CHANNELS or METHODS that are not a list of strings."
    return ""


def token_problems(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in a `TOKENS` setting, as (message, hint)."""
    hint = 'Write {"HMAC_SECRET": "…"}, or {"KEYS": [{"ALGORITHM": "ES256", "KEY": "-----BEGIN PUBLIC KEY-----…"}]}.'
    if raw is None:
        return
    if not isinstance(raw, Mapping):
        yield "HOTCLUB['TOKENS'] is not a dictionary.", hint
        return
    for name in raw:
        if name not in TOKEN_FIELDS:
            yield f"HOTCLUB['TOKENS'] has an unknown key {name!r}.", suggest(name, TOKEN_FIELDS)
    if not any(raw.get(name) for name in ("HMAC_SECRET", "KEYS", "JWKS_FILE")):
        yield "HOTCLUB['TOKENS'] names no key, so no token can be verified.", hint
    for name in ("AUDIENCE", "ISSUER"):
        value = raw.get(name, "")
        if value is not None and not isinstance(value, str) and not is_list_of_text(value):
            yield f"HOTCLUB['TOKENS'][{name!r}] is {value!r}.", "Use a string, or a list of strings."
    leeway = raw.get("LEEWAY", 0)
    if not isinstance(leeway, int | float) or isinstance(leeway, bool) or not 0 <= leeway <= 300:
        yield f"HOTCLUB['TOKENS']['LEEWAY'] is {leeway!r}.", "Use a number of seconds from 0 to 300."
    yield from _key_problems(raw)


def _key_problems(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    hint = "One entry holds one key for one algorithm: the PEM text of a public key, or a secret for HS256."
    if not isinstance(raw.get("KEYS", ()), list | tuple):
        yield "HOTCLUB['TOKENS']['KEYS'] is not a list.", hint
        return
    secret = raw.get("HMAC_SECRET")
    entries = [("HMAC_SECRET", {"ALGORITHM": "HS256", "KEY": secret})] if secret else []
    entries += [(f"KEYS[{number}]", entry) for number, entry in enumerate(raw.get("KEYS", ()))]
    for name, entry in entries:
        try:
            make_key(entry)
        except BadKey as error:
            yield f"HOTCLUB['TOKENS'] has a bad key, {name}: {error}.", hint
    if raw.get("JWKS_FILE"):
        try:
            TokenSettings(jwks_file=os.fspath(raw["JWKS_FILE"])).all_keys()
        except (BadKey, TypeError, ValueError) as error:
            yield f"HOTCLUB['TOKENS']['JWKS_FILE'] cannot be used: {error}.", "Name a file with a JSON Web Key Set."


SETTINGS: Final[dict[str, Callable[[str, Any], Iterator[Problem]]]] = {
    "ENGINE": _engine,
    "BACKEND": _backend,
    "ALLOWED_ORIGINS": _origins,
    "PATH": _text,
    "EMULATION_PATH": _text,
    "READY_PATH": _text,
    "ON_CONNECT": _dotted_path,
    "ON_DISCONNECT": _dotted_path,
    "ALLOW_ANONYMOUS": _boolean,
    "COMPRESSION": _boolean,
    "INSECURE": _boolean,
    "TOKENS": _explained("E009", token_problems),
    "RATES": _explained("E006", rate_problems),
    "TRUSTED_PROXIES": _explained("E007", proxy_problems),
    "API_PATH": _text,
    "API_KEYS": _explained("E009", key_problems),
    "API_KEY_IN_QUERY": _boolean,
    "API_BODY_BYTES": _bytes,
    "API_RPC": _dotted_path,
    "POLL_SECRETS": _secrets,
    "THREADS": _threads,
    "THREADS_MAX": _most_threads,
    "HOOK_TIMEOUT": _seconds,
    "LOG_PERIOD": _seconds,
    "LIMITS": _limits,
    "SERVER": _explained("E006", server_problems),
    "PERSONAL_CHANNEL": _boolean,
    "PERSONAL_HISTORY": _personal_history,
    "RELAY_INTERVAL": _seconds,
    "PRUNE_INTERVAL": _seconds,
    "LOGIN_CHECK": _seconds,
    "DATABASE": _database,
}
"""Each key with the function that yields the mistakes in its value."""
