"""Writes the HTML of a text from the parser's events, which name places in the text."""

import re
from collections.abc import Sequence
from html import escape
from typing import Any, Final

import pyromark

from clubhouse.chat.markup.addresses import Address, Found
from clubhouse.chat.markup.mask import masked

_NESTING: Final = 12
"""Most levels of blocks and marks inside one another."""
_EVENTS: Final = 2_500
"""Most events of one text; prose has one for 20 characters."""

_OPTIONS: Final = pyromark.Options.ENABLE_STRIKETHROUGH
_ELEMENTS: Final = {
    "BlockQuote": "blockquote",
    "Emphasis": "em",
    "Heading": "p",
    "Item": "li",
    "Paragraph": "p",
    "Strikethrough": "s",
    "Strong": "strong",
}
_BLOCKS: Final = frozenset({"BlockQuote", "Heading", "Item", "Paragraph"})
_NUMBER: Final = re.compile(r"[\s>]*(\d+)")
_BREAK: Final = "<br>\n"


class TooComplex(Exception):
    """The text has too many marks, or nests them too deeply."""


def written(text: str, found: Found) -> str:
    """Return the HTML of the text, which still has to be cleaned.

    Raises:
        TooComplex: the text should be shown as plain text.
    """
    writer = _Writer(text, found)
    for number, (event, place) in enumerate(
        pyromark.events_with_range(masked(text, found), options=_OPTIONS, merge_text=False)
    ):
        if number == _EVENTS:
            raise TooComplex
        writer.take(event, place["start"], place["end"])
    return "".join(writer.html)


def plain(text: str, addresses: Sequence[Address]) -> str:
    """Return the HTML of the text without any marks, with its addresses as links."""
    return f"<p>{_lines(text, 0, len(text), addresses)}</p>"


class _Writer:
    """Keeps the HTML so far, and where in the text and in the elements the next event stands."""

    def __init__(self, text: str, found: Found) -> None:
        self.html: list[str] = []
        self._text = text
        self._found = found
        self._next_address = 0
        self._depth = 0
        self._quotes = 0
        self._lists: list[int | None] = []
        """The next number of each open list; None: its items have no numbers."""
        self._link: list[Address] = []
        self._code = False
        self._block = 0
        self._shows = False
        """The present block of the top level has shown a character."""

    def take(self, event: Any, start: int, end: int) -> None:
        """Write one event of the parser, which stands between two indexes of the text."""
        kind, value = next(iter(event.items())) if isinstance(event, dict) else (event, None)
        match kind:
            case "Start":
                self._open(value, start, end)
            case "End":
                self._close(value, start, end)
            case "Code":
                self._code_span(start, end)
            case "SoftBreak" | "HardBreak":
                self.html.append(_BREAK)
            case "Rule":
                self._shows = True
                self.html.append(f"<p>{escape(self._text[start:end].strip(), quote=False)}</p>\n")
            case _:
                self._show(start, end)

    def _open(self, tag: Any, start: int, end: int) -> None:
        name, value = next(iter(tag.items())) if isinstance(tag, dict) else (tag, None)
        if self._depth == 0:
            self._block, self._shows = len(self.html), False
        self._depth += 1
        if self._depth > _NESTING:
            raise TooComplex
        match name:
            case "List":
                self._lists.append(value)
                self.html.append("<ul>\n" if value is None else _numbered(value))
            case "CodeBlock":
                self._open_code(value, start, end)
            case "Link":
                self._link.append(self._found.named[start])
                self.html.append(f'<a href="{escape(self._link[-1].href)}">')
            case _:
                if name == "Item":
                    self._number(start)
                self._quotes += name == "BlockQuote"
                self.html.append(f"<{_ELEMENTS[name]}>" + "\n" * (name == "BlockQuote"))

    def _close(self, tag: Any, start: int, end: int) -> None:
        name, _value = next(iter(tag.items())) if isinstance(tag, dict) else (tag, None)
        match name:
            case "List":
                self.html.append("</ul>\n" if self._lists.pop() is None else "</ol>\n")
            case "CodeBlock":
                self._code = False
                self.html.append("</code></pre>\n")
            case "Link":
                # On a touch screen nothing else tells where a link leads.
                address = self._link.pop()
                self.html.append(f"</a> ({escape(address.href, quote=False)}){_host_of(address)}")
            case _:
                self._quotes -= name == "BlockQuote"
                self.html.append(f"</{_ELEMENTS[name]}>" + "\n" * (name in _BLOCKS))
        self._depth -= 1
        if self._depth == 0 and not self._shows:
            # Marks that mark nothing, such as ">" alone, show themselves.
            self.html[self._block :] = [f"<p>{_lines(self._text, start, end, ())}</p>\n"]

    def _number(self, start: int) -> None:
        """Keep the number of an item as it is written."""
        expected = self._lists[-1]
        if expected is None:
            return
        written = _NUMBER.match(self._text, start)
        number = int(written.group(1)) if written else expected
        if number != expected:
            self.html.append(f"</ol>\n{_numbered(number)}")
        self._lists[-1] = number + 1

    def _open_code(self, fence: Any, start: int, end: int) -> None:
        self._code = True
        self.html.append("<pre>")
        if isinstance(fence, dict):
            # The word beside the fence, mostly the language, is part of what was written.
            info = re.split(r"[\r\n]", self._text[start:end], maxsplit=1)[0].lstrip("`").strip()
            self._shows = self._shows or bool(info)
            self.html.append(f"<em>{escape(info, quote=False)}</em>\n" if info else "")
        self.html.append("<code>")

    def _code_span(self, start: int, end: int) -> None:
        source = self._text[start:end]
        fence = len(source) - len(source.lstrip("`"))
        inside = source[fence : len(source) - fence]
        if self._quotes:
            inside = re.sub(r"\n[ \t]*(?:>[ \t]?)*", "\n", inside)
        inside = re.sub(r"\r\n?|\n", " ", inside)
        if inside.strip() and inside[0] == inside[-1] == " ":
            inside = inside[1:-1]
        self._shows = self._shows or bool(inside.strip())
        self.html.append(f"<code>{escape(inside, quote=False)}</code>")

    def _show(self, start: int, end: int) -> None:
        """Show this part of the text, with the addresses in it as links unless it is code or the name of a link."""
        self._shows = self._shows or not self._text[start:end].isspace()
        addresses = self._found.addresses
        while self._next_address < len(addresses) and addresses[self._next_address].start < start:
            self._next_address += 1
        first = self._next_address
        while self._next_address < len(addresses) and addresses[self._next_address].end <= end:
            self._next_address += 1
        inside = [] if self._code or self._link else addresses[first : self._next_address]
        self.html.append(_linked(self._text, start, end, inside))


def _numbered(number: int) -> str:
    return "<ol>\n" if number == 1 else f'<ol start="{number}">\n'


def _linked(text: str, start: int, end: int, addresses: Sequence[Address]) -> str:
    parts: list[str] = []
    for address in addresses:
        href = escape(address.href)
        parts += [escape(text[start : address.start], quote=False), f'<a href="{href}">{href}</a>']
        parts.append(_host_of(address))
        start = address.end
    return "".join([*parts, escape(text[start:end], quote=False)])


def _host_of(address: Address) -> str:
    return f" ({escape(address.host, quote=False)})" if address.host else ""


def _lines(text: str, start: int, end: int, addresses: Sequence[Address]) -> str:
    return re.sub(r"\r\n?|\n", _BREAK, _linked(text, start, end, addresses).strip())
