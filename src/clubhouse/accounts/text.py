"""Cleaning of one-line texts, such as the names of people and rooms."""

import re
import unicodedata

# The categories of control characters (Cc), format characters (Cf) and lone surrogates (Cs). Among the format
# characters, bidi overrides would let a name reorder the text around it. U+200D stays, because it joins emoji.
_INVISIBLE = {"Cc", "Cf", "Cs"}
_JOINER = "\u200d"


def clean_line(text: str) -> str:
    """Return the text on one line, in Unicode's form NFC, without control, bidi and other invisible characters.

    Each run of white space becomes one space. The result is "" when nothing visible is left.
    """
    spaced = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    shown = "".join(char for char in spaced if char == _JOINER or unicodedata.category(char) not in _INVISIBLE)
    return shown.strip().strip(_JOINER)
