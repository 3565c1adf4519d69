"""The names of channels: which text is one (ADR 15).

A name is printable Unicode without white space, in normal form C, of at most so many bytes of UTF-8. Names are compared
byte for byte. So two names that look alike on paper may still be two channels: authorisation, routing and storage read
the same bytes.
"""

import re
from hashlib import sha256
from typing import Final
from unicodedata import is_normalized, normalize
from urllib.parse import quote

LONGEST: Final = 255
"""The most bytes of a name in UTF-8. The columns of the tables hold as many characters."""
RULE: Final = f"printable characters without white space, in normal form C, of 1 to {LONGEST} bytes of UTF-8"

_ASCII: Final = re.compile(r"[!-~]+")
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that show nothing: the default-ignorable ones, and the blank Braille pattern."""
_PLAIN: Final = "".join(character for character in map(chr, range(0x21, 0x7F)) if character != "%")
_DIGEST: Final = "#%sha256-"
"""The beginning of a personal channel's name that holds a digest. No quoted text has a `%` without two digits."""


def normal(name: str) -> str:
    """The name in normal form C, for names that the site's own code gives."""
    return name if name.isascii() else normalize("NFC", name)


def fault(name: str, longest: int = LONGEST) -> str:
    """The reason why no channel can have this name, "" for a good name. The reason does not repeat the name.

    Args:
        name: the name, in any form.
        longest: the most bytes that a name may have.
    """
    if name.isascii():
        if len(name) <= longest and _ASCII.fullmatch(name):
            return ""
    elif is_name(name, longest):
        return ""
    if not name:
        return "a name is not empty"
    size = len(name.encode(errors="replace"))
    if size > longest:
        return f"a name has at most {longest} bytes of UTF-8, and this one has {size}"
    for character in name:
        if not _is_shown(character):
            return f"a name has printable characters without white space, and U+{ord(character):04X} is none"
    return "a name is in normal form C: pass name.normalize()"


def is_name(name: str, longest: int = LONGEST) -> bool:
    """Whether a channel can have this name."""
    if name.isascii():
        return len(name) <= longest and _ASCII.fullmatch(name) is not None
    # `isprintable` excludes white space but for the space itself, control and format characters, and surrogates.
    return (
        name.isprintable()
        and " " not in name
        and _INVISIBLE.search(name) is None
        and len(name.encode()) <= longest
        and is_normalized("NFC", name)
    )


def _is_shown(character: str) -> bool:
    return character.isprintable() and character != " " and _INVISIBLE.match(character) is None


def personal_name(user_id: str) -> str:
    """The name of the personal channel of a user: `#` and the id.

    Of an id that is no name as it stands, the bytes are quoted as in a URL; of one that is too long, the name holds a
    digest. No two ids have the same name.
    """
    name = f"#{user_id}"
    if "%" not in user_id and is_name(name):
        return name
    name = f"#{quote(user_id, safe=_PLAIN, errors='surrogatepass')}"
    return name if len(name) <= LONGEST else f"{_DIGEST}{sha256(name.encode()).hexdigest()}"
