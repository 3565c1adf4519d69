"""Reads the licences of dependencies, and says which ones a project under a permissive licence may use."""

import re
from importlib.metadata import Distribution
from typing import Final

_ALLOWED: Final = frozenset(
    {
        "0bsd",
        "apache-2.0",
        "blueoak-1.0.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "isc",
        "mit",
        "mit-0",
        "psf-2.0",
        "python-2.0",
        "unlicense",
        "zlib",
        # Weak: they ask something for changes of the package itself, and nothing of programs that import it.
        "lgpl-2.1-only",
        "lgpl-2.1-or-later",
        "lgpl-3.0-only",
        "lgpl-3.0-or-later",
        "mpl-2.0",
    }
)
_NAMES: Final = {
    "3-clause bsd license": "bsd-3-clause",
    "apache 2.0": "apache-2.0",
    "apache software license": "apache-2.0",
    "bsd": "bsd-3-clause",
    "bsd license": "bsd-3-clause",
    "isc license (iscl)": "isc",
    "mit license": "mit",
    "mozilla public license 2.0 (mpl 2.0)": "mpl-2.0",
    "python software foundation license": "psf-2.0",
}
"""What packages without an SPDX expression write."""
_TOKEN: Final = re.compile(r"[()]|[^\s()]+")


def is_allowed(licence: str) -> bool:
    """Whether an SPDX expression, or a usual name of a licence, lets this project use the package.

    A licence that is not known is not allowed, so a new one is looked at by a person.
    """
    known = _NAMES.get(licence.strip().lower())
    tokens = [known] if known else _TOKEN.findall(licence.lower())
    try:
        allowed = _either(tokens)
    except IndexError:
        return False
    return allowed and not tokens


def _either(tokens: list[str]) -> bool:
    allowed = _both(tokens)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        allowed = _both(tokens) or allowed
    return allowed


def _both(tokens: list[str]) -> bool:
    allowed = _one(tokens)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        allowed = _one(tokens) and allowed
    return allowed


def _one(tokens: list[str]) -> bool:
    token = tokens.pop(0)
    if token != "(":
        return token in _ALLOWED
    allowed = _either(tokens)
    return tokens.pop(0) == ")" and allowed


def licence_of(package: Distribution) -> str:
    """The licence that an installed package names: in its metadata, or else in the first line of its licence file."""
    fields = package.metadata
    classifiers = [item for item in fields.get_all("Classifier", []) if item.startswith("License :: OSI Approved :: ")]
    short = "".join(fields.get_all("License", [])).strip()
    named = [*fields.get_all("License-Expression", []), short if len(short) < 40 else ""]
    named += [" OR ".join(_spdx(item.rpartition(" :: ")[2]) for item in classifiers)]
    return next(filter(None, named), "") or _first_line(package)


def _spdx(name: str) -> str:
    return _NAMES.get(name.lower(), name.replace(" ", "-"))


def _first_line(package: Distribution) -> str:
    for file in package.files or ():
        if file.name in {"LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING"}:
            lines = file.read_text(encoding="utf-8").strip().splitlines()
            return lines[0].strip() if lines else ""
    return ""
