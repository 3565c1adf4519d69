"""Cleaning of the short texts that people are known by."""

import re
import unicodedata

# Cc control, Cf format (bidi overrides, zero-width joiners), Cs lone surrogates: none has a place in a name, and the
# bidi ones let a name rearrange the text around it. U+200D joins emoji and is kept.
_INVISIBLE = {"Cc", "Cf", "Cs"}
_JOINER = "\u200d"


def clean_line(text: str) -> str:
    """The text in NFC on one line: white space collapsed, control, bidi and invisible characters removed."""
    spaced = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    shown = "".join(char for char in spaced if char == _JOINER or unicodedata.category(char) not in _INVISIBLE)
    return shown.strip().strip(_JOINER)
