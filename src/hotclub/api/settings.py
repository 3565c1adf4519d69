"""API keys that stand in the settings."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from hotclub.engine.errors import command_error

HASHED: Final = "sha256:"

_FIELDS: Final = ("key", "name", "channels", "methods")


@dataclass(frozen=True, slots=True)
class Grant:
    """What the bearer of one key may do. Empty patterns and methods are all of them."""

    digest: str
    name: str = ""
    channels: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()

    def allows_method(self, method: str) -> bool:
        return not self.methods or method in self.methods

    def allows_channel(self, channel: str) -> bool:
        """Patterns are those of a shell: `*`, `?` and `[…]`."""
        return not self.channels or any(fnmatchcase(channel, pattern) for pattern in self.channels)

    def require(self, channel: str) -> None:
        """Raises CommandError 103 when the key is not for this channel."""
        if not self.allows_channel(channel):
            raise command_error(103, "the API key is not for this channel")

    def require_everything(self) -> None:
        """Raises CommandError 103 when the key is for some channels only."""
        if self.channels:
            raise command_error(103, "the API key is for some channels only")


def digest_of(key: str) -> str:
    """What is kept of a key. It is random and long, so a plain digest is enough."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def static_grant(entry: str | Mapping[str, Any]) -> Grant:
    """The grant of one entry of `API_KEYS`."""
    fields: Mapping[str, Any] = {"key": entry} if isinstance(entry, str) else entry
    key: str = fields["key"]
    return Grant(
        digest=key.removeprefix(HASHED) if key.startswith(HASHED) else digest_of(key),
        name=fields.get("name", "settings"),
        channels=tuple(fields.get("channels", ())),
        methods=tuple(fields.get("methods", ())),
    )


def key_problems(raw: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with an `API_KEYS` setting: each time the mistake and what to do."""
    hint = f'Write each key as "…", as "{HASHED}<digest>", or as {{"key": …, "channels": ["chat:*"], "methods": […]}}.'
    if not isinstance(raw, list | tuple):
        yield "HOTCLUB['API_KEYS'] is no list.", hint
        return
    for number, entry in enumerate(raw):
        fields = {"key": entry} if isinstance(entry, str) else entry
        if not isinstance(fields, Mapping) or not isinstance(fields.get("key"), str) or not fields["key"]:
            yield f"HOTCLUB['API_KEYS'][{number}] has no key.", hint
        elif set(fields) - set(_FIELDS):
            yield f"HOTCLUB['API_KEYS'][{number}] has unknown fields.", f"Known fields are {', '.join(_FIELDS)}."
        elif not all(is_list_of_text(fields.get(name, ())) for name in ("channels", "methods")):
            yield f"HOTCLUB['API_KEYS'][{number}] has channels or methods that are no list of text.", hint


def is_list_of_text(value: Any) -> bool:
    """Whether a value can stand for channels or methods."""
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
