"""What can be seen of a text, and cleaning of one-line texts, such as the names of people and rooms."""

import re
import unicodedata
from typing import Final

# The categories of control characters (Cc), format characters (Cf) and lone surrogates (Cs). Among the format
# characters, bidi overrides would let a name reorder the text around it.
_INVISIBLE: Final = {"Cc", "Cf", "Cs"}

# Characters of other categories that leave no mark on a page: those with the property Default_Ignorable_Code_Point
# (combining grapheme joiner, Hangul fillers, Khmer inherent vowels, Mongolian and other variation selectors), and
# blanks that Unicode counts as symbols or letters (Braille, musical, Khitan and Egyptian blanks).
_IGNORABLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff"
    "\U00016fe4\U0001d159]"
)
_BLANK: Final = "\\s\u2800\U00013441\U00013442"

# What joins emoji, or chooses their form. It stays between and behind characters that can be seen.
_JOINERS: Final = "\u200d\ufe0e\ufe0f"


def clean_line(text: str) -> str:
    """Return the text on one line, in Unicode's form NFC, without control, bidi and other invisible characters.

    Each run of white space becomes one space. The result is "" when nothing visible is left.
    """
    spaced = re.sub(f"[{_BLANK}]+", " ", unicodedata.normalize("NFC", text))
    shown = "".join(char for char in spaced if char in _JOINERS or not _is_ignorable(char))
    shown = re.sub(f"(^| )[{_JOINERS}]+|\u200d+(?= |$)", r"\1", shown)
    line = re.sub(" +", " ", shown).strip()
    return "" if is_blank(line) else line


def is_blank(text: str) -> bool:
    """Return whether nothing of the text can be seen: it is empty, white, or invisible."""
    return not any(map(_is_visible, text))


def without_ignorable(text: str) -> str:
    """Return the text without every character that leaves no mark, joiners included, for comparing texts."""
    return "".join(char for char in text if not _is_ignorable(char))


def _is_visible(char: str) -> bool:
    return not (_is_ignorable(char) or re.match(f"[{_BLANK}]", char) or unicodedata.category(char) == "Mn")


def _is_ignorable(char: str) -> bool:
    return unicodedata.category(char) in _INVISIBLE or _IGNORABLE.match(char) is not None
