"""Which names look alike: Unicode's confusable characters (UTS 39), in any case and width."""

import json
import unicodedata
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from clubhouse.accounts.text import without_ignorable

LONGEST: Final = 200
"""Characters of the longest key. A longer skeleton is stored as its digest."""


def keys_of(name: str) -> frozenset[str]:
    """Return the keys of a name. Two names look alike if they have a key in common. An empty name has none.

    There may be two keys, because "I" looks like "l" as it is, and is "i" in lower case.
    """
    plain = without_ignorable(unicodedata.normalize("NFKC", name)).strip()
    skeletons = {skeleton(skeleton(plain).casefold()), skeleton(plain.casefold())}
    return frozenset(_short(found) for found in skeletons if found)


def skeleton(text: str) -> str:
    """Return the text with each character replaced by the one that stands for all of its look: UTS 39, section 4."""
    prototypes = _prototypes()
    decomposed = unicodedata.normalize("NFD", without_ignorable(text))
    return unicodedata.normalize("NFD", "".join(prototypes.get(char, char) for char in decomposed))


def _short(key: str) -> str:
    return key if len(key) <= LONGEST else sha256(key.encode(errors="surrogatepass")).hexdigest()


@cache
def _prototypes() -> dict[str, str]:
    """Return the prototype of each character that looks like another one.

    The package confusable_homoglyphs lists for each character those that look like it, in both directions. Of Unicode's
    table only the prototypes look like more than one; where two characters look like each other and no third, either
    may stand for both.
    """
    table = json.loads(files("confusable_homoglyphs").joinpath("confusables.json").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for char, (first, *others) in table.items():
        alike: str = first["c"]
        if len(char) > 1 or others:
            continue
        is_prototype = len(alike) == 1 and len(table.get(alike, ())) == 1 and char < alike
        if not is_prototype:
            found[char] = without_ignorable(alike)
    return found
