"""Finds the addresses in a text, and the links with a name of their own: `[name](address)`.

An address that is shown is the address that is linked, so what is not certainly an address stays text.
"""

import re
import unicodedata
from dataclasses import dataclass
from html import escape
from typing import Final

import nh3

SCHEMES: Final = ("http", "https", "mailto")

_CJK: Final = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u30fa\u30fc-\u318f\u31a0-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
# East Asian letters may be part of an address, and the punctuation around them ends it, as quotation marks do.
_END: Final = (
    '\\s<>"`\u00ab\u00bb\u060c\u061b\u061f\u0964\u0965\u2014\u2015\u2018-\u201f\u2026\u2039\u203a\u3001-\u3004'
    "\u3008-\u3020\u3030\u303d\ufe10-\ufe1f\ufe30-\ufe6b\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
_ADDRESS: Final = re.compile(f"(?:https?://|mailto:)(?:[^{_END}\\]]|\\](?!\\())+", re.IGNORECASE)
_NAMED: Final = re.compile(
    rf"\[([^\[\]\n]{{1,200}})\]\(((?:https?://|mailto:)[^{_END}\[\]()]{{1,2000}}(?:\([^{_END}\[\]()]*\)[^{_END}\[\]()]*){{0,20}})\)",
    re.IGNORECASE,
)

_WEB: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|\w[\w.-]*)(?::\d{1,5})?(?=[/?#]|$)", re.IGNORECASE)
_ORDINARY: Final = re.compile(r"https?://(?:(?!xn--)[\w-]+\.)*(?!xn--)[a-z][\w-]*(?:[/?#]|$)", re.IGNORECASE | re.ASCII)
"""An address whose host is certainly one: a name in ASCII that is no number, without a port."""
_LINKS: Final = nh3.Cleaner(tags={"a"}, attributes={"a": {"href"}}, url_schemes=set(SCHEMES), link_rel=None)
_MAIL: Final = re.compile(r"mailto:[\w.+-]+@\w[\w.-]*(?:\?\S*)?", re.IGNORECASE)
_GLUED: Final = re.compile(rf"https?://(?:[\w-]+\.)*[a-z0-9-]+(?=[{_CJK}])", re.IGNORECASE)
"""A host whose last part goes over from ASCII to East Asian letters: no such name exists, a sentence has begun."""
_HOST_IN_NAME: Final = re.compile(r"\w[.\u3002\uff0e\uff61][^\W\d_]{2,}|://|mailto:", re.IGNORECASE)
_EAST_ASIAN: Final = re.compile(f"[\\x00-\\x7f{_CJK}]*")

_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

_SENTENCE: Final = ".,:;!?'"
_MARKS: Final = "*_~"
_BRACKETS: Final = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Address:
    """An address in the text."""

    start: int
    end: int
    href: str
    host: str
    """The host in the form that the name service knows, if the shown one could be taken for another; otherwise ""."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a text holds, in the order of the text."""

    addresses: list[Address]
    named: dict[int, Address]
    """The links with a name, by the index of the opening bracket. Their addresses are among `addresses`, too."""


def find(text: str) -> Found:
    """Find the addresses and the links with a name."""
    addresses: list[Address] = []
    named: dict[int, Address] = {}
    at = 0
    for link in _NAMED.finditer(text) if "](" in text else ():
        address = _named(link)
        if address is not None:
            addresses += _between(text, at, link.start())
            addresses.append(address)
            named[link.start()] = address
            at = link.end()
    return Found([*addresses, *_between(text, at, len(text))], named)


def _between(text: str, start: int, end: int) -> list[Address]:
    found = (_trimmed(text, match) for match in _ADDRESS.finditer(text, start, end))
    return [address for address in found if address is not None]


def _named(link: re.Match[str]) -> Address | None:
    """The link's address; None when its name is invisible, or could itself be taken for an address."""
    name = link.group(1)
    shown = any(unicodedata.category(char)[0] in "LNPS" and not _is_invisible(char) for char in name)
    if not shown or _HOST_IN_NAME.search(name):
        return None
    return _checked(link.group(2), link.start(2))


def _trimmed(text: str, match: re.Match[str]) -> Address | None:
    """The address without the punctuation of the sentence around it."""
    address, start = match.group(), match.start()
    glued = _GLUED.match(address)
    if glued:
        return _checked(glued.group(), start)
    line = text.rfind("\n", 0, start) + 1
    # A mark at the end belongs to the address, unless an earlier one on the line may be its other half.
    ends = _SENTENCE + "".join(mark for mark in _MARKS if address.endswith(mark) or mark in address[-4:])
    ends = "".join(char for char in ends if char in _SENTENCE or text.find(char, line, start) >= 0)
    surplus = {closing: address.count(closing) - address.count(opening) for closing, opening in _BRACKETS.items()}
    end = len(address)
    while end:
        last = address[end - 1]
        if surplus.get(last, 0) > 0:
            surplus[last] -= 1
        elif last not in ends:
            break
        end -= 1
    return _checked(address[:end], start)


def _checked(address: str, start: int) -> Address | None:
    """The address, if a browser goes to where a reader of it expects.

    A name and password before the host, a backslash and invisible characters are refused, and so is what no browser
    can open, such as the ports after 65535 and the host 256.1.1.1.
    """
    if "\\" in address or not address.isprintable() or any(map(_is_invisible, address)):
        return None
    if address[:7].lower() == "mailto:":
        return Address(start, start + len(address), address, "") if _MAIL.fullmatch(address) else None
    web = _WEB.match(address)
    if not web or not (_ORDINARY.match(address) or _is_linked(address)):
        return None
    return Address(start, start + len(address), address, _other_name(web.group(1)))


def _is_linked(address: str) -> bool:
    """Whether the address is left in a link: nh3 reads hosts as browsers do."""
    return "href" in _LINKS.clean(f'<a href="{escape(address)}"></a>')


def _is_invisible(char: str) -> bool:
    """Whether fonts show nothing for the character: Unicode calls most of them default ignorable."""
    return char > "~" and (unicodedata.category(char) == "Cf" or bool(_BLANK.match(char)))


def _other_name(host: str) -> str:
    """The host in ASCII when its letters are neither ASCII nor East Asian: Cyrillic and Greek ones look like Latin."""
    if _EAST_ASIAN.fullmatch(host):
        return ""
    labels = unicodedata.normalize("NFKC", host.lower()).split(".")
    return ".".join(part if part.isascii() else f"xn--{part.encode('punycode').decode()}" for part in labels)
