"""Explains why no pattern matches a name, and suggests similar patterns."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from django.urls.resolvers import RoutePattern

from hotclub.engine.names import fault

_CAPTURED: Final = re.compile(r"<[^<>]*>")
_SHOWN: Final = 100
_SUGGESTIONS: Final = 3
_SIMILAR: Final = 0.5


def explain(name: str, patterns: Sequence[RoutePattern]) -> str:
    """Return the reason why no pattern matches the name, in one clause. The text is printable and of bounded length."""
    if reason := fault(name):
        return f"{shown(name)} is no channel's name: {reason}"
    if not patterns:
        return f"nothing is called {shown(name)}: no installed app declares a channel in its channels.py"
    near = _nearest(name, [str(pattern) for pattern in patterns])
    if not near:
        return f"no pattern matches {shown(name)}"
    return f"no pattern matches {shown(name)}; near it: {', '.join(map(shown, near))}"


def shown(text: str) -> str:
    """Return a name or a pattern for a message: quoted, escaped, and cut after 100 characters."""
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _nearest(name: str, patterns: Sequence[str]) -> list[str]:
    """The patterns that begin like the name, then the patterns that resemble the name most."""
    begins = [pattern for pattern in patterns if (start := pattern.partition("<")[0]) and name.startswith(start)]
    bare = [_CAPTURED.sub("1", pattern) for pattern in patterns]
    close = get_close_matches(name, set(bare), n=_SUGGESTIONS, cutoff=_SIMILAR)
    alike = [pattern for item in close for pattern, plain in zip(patterns, bare, strict=True) if plain == item]
    return list(dict.fromkeys([*begins, *alike]))[:_SUGGESTIONS]
