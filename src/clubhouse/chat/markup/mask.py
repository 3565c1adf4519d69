"""Hides from the Markdown parser what is no mark of the chat's dialect.

The masked text has one ASCII character for each character of the source, so an index into one is an index into the
other. The parser finds the structure in the masked text; what is shown is taken from the source.
"""

import re
import unicodedata
from typing import Final

from clubhouse.chat.markup.addresses import Found

_LETTER: Final = "x"
_SIGN: Final = ","
"""Stands for punctuation: it is no mark, and the parser's rules for the marks beside punctuation stay in force."""
_SPACE: Final = "\f"
"""Stands for white space that is not ASCII: it keeps marks apart and does not indent a line."""

_NO_MARKS: Final = "!\"#$%&'()+,/:;<=?@[\\]^{|}"
"""No headings, HTML, entities, escapes, images, references, tables: these characters show themselves."""

# Scripts without spaces between words: there a mark inside a word is meant as one.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_INSIDE_WORD: Final = re.compile(rf"(?<=[^\W_{_UNSPACED}])\*+(?=[^\W_{_UNSPACED}])")
_OTHER_MARKS: Final = re.compile(
    r"(?<=\\)[*_~>]"  # a backslash, which is always shown, makes the mark after it a character
    r"|__+"  # `__init__` is a name
    r"|(?<!~)~(?!~)|~~~+"  # `~5` is about five
    r"|>(?![ \t\r\n]|\Z|[^\W\d_\x00-\x7f])"  # `>_<`, `>5`, `>>> 1 + 1`
    r"|(?m:^[ \t>]*-+[ \t\r]*$)"  # would make a heading of the line above
    r"|(?m:^[ \t>*-]*0\d+\.)"  # a list would begin with another number
)


class _Table(dict[int, str]):
    """The character that stands for each one; the base plane is remembered."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if code < 0x80:
            shown = _SIGN if char in _NO_MARKS or (code < 0x20 and char not in "\t\n\r") else char
        elif unicodedata.category(char)[0] == "Z":
            shown = _SPACE
        else:
            # Punctuation counts as a letter, too, because the parser would not end emphasis between it and a letter,
            # which is where Chinese text ends it: `**“好”**的`.
            shown = _LETTER
        if code < 0x10000:
            self[code] = shown
        return shown


_TABLE: Final = _Table()


def masked(text: str, found: Found) -> str:
    """Return the text in which only the marks of the dialect are marks."""
    hidden = _INSIDE_WORD.sub(_signs, text)
    hidden = _OTHER_MARKS.sub(_signs, hidden)
    hidden = hidden.translate(_TABLE).replace("\r\n", " \n").replace("\r", "\n")
    parts: list[str] = []
    at = 0
    openings = {address.start: opening for opening, address in found.named.items()}
    for address in found.addresses:
        opening = openings.get(address.start)
        if opening is not None:
            parts += [hidden[at:opening], "[", hidden[opening + 1 : address.start - 2], "]("]
        else:
            parts.append(hidden[at : address.start])
        parts.append(_LETTER * (address.end - address.start))
        at = address.end
        if opening is not None:
            parts.append(")")
            at += 1
    return "".join([*parts, hidden[at:]])


def _signs(match: re.Match[str]) -> str:
    return re.sub(r"[^\s>]", _SIGN, match.group()) if match.group()[-1:] != ">" else _SIGN
