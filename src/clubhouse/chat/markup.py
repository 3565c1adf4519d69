"""Renders the text of a message as HTML.

Two independent measures keep foreign markup out: the Markdown parser escapes HTML, and nh3 removes every element and
attribute that is not on a list of allowed ones.
"""

import re
from functools import cache
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

_TAGS: Final = {"a", "blockquote", "br", "code", "em", "li", "ol", "p", "pre", "s", "strong", "ul"}
_ATTRIBUTES: Final[dict[str, set[str]]] = {"a": {"href", "title", "target"}, "ol": {"start"}}
_SCHEMES: Final = ("http:", "https:", "mailto:")
_NOT_FOR_CHAT: Final = ["heading", "hr", "html_block", "html_inline", "image", "lheading", "reference"]

_NESTING: Final = 12

# Without nested repetition the search is linear for any text. Chinese punctuation ends an address, but Chinese letters
# may be part of one.
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"'`，。！？；：、（）《》「」『』【】“”‘’]+", re.IGNORECASE)
_TRAILING: Final = ".,:;!?*_~"


def render(text: str) -> str:
    """Return the Markdown text as safe HTML that shows every letter of it. The time is linear in the text's length."""
    # The parser looks for a link after each opening bracket: 10,000 brackets without any link would take long.
    parser = _parser("](" in text)
    tokens = parser.parse(text)
    if any(token.level >= _NESTING - 1 for token in tokens):
        # The parser drops what is nested more deeply and all that follows, so such a text is shown as plain text.
        tokens = _plain(text)
    return nh3.clean(
        parser.renderer.render(tokens, parser.options, {}),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={scheme.removesuffix(":") for scheme in _SCHEMES},
        link_rel="nofollow noopener ugc",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    ).strip()


@cache
def _parser(links: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": _NESTING})
    parser.enable("strikethrough").disable(_NOT_FOR_CHAT)
    # Addresses without a scheme are refused, too: a link with a harmless name could lead to an action of this site.
    parser.validateLink = lambda url: url.lower().startswith(_SCHEMES)  # type: ignore[method-assign]
    if not links:
        parser.disable("link")
    parser.core.ruler.push("addresses", _link_addresses)
    return parser


def _plain(text: str) -> list[Token]:
    return [Token("code_block", "code", 0, content=text)]


def _link_addresses(state: StateCore) -> None:
    for block in state.tokens:
        if block.type == "inline" and block.children and "://" in block.content:
            block.children = _with_links(block.children)


def _with_links(tokens: list[Token]) -> list[Token]:
    linked: list[Token] = []
    inside = 0
    for token in tokens:
        inside += (token.type == "link_open") - (token.type == "link_close")
        linked += _split(token) if token.type == "text" and not inside else [token]
    return linked


def _split(token: Token) -> list[Token]:
    parts: list[Token] = []
    end = 0
    for found in _ADDRESS.finditer(token.content):
        address = _trimmed(found.group())
        parts += [_text(token.content[end : found.start()]), *_link(address)]
        end = found.start() + len(address)
    return [*parts, _text(token.content[end:])] if parts else [token]


def _trimmed(address: str) -> str:
    """The address without the punctuation of the sentence around it."""
    address = address.rstrip(_TRAILING)
    surplus = address.count(")") - address.count("(")
    while surplus > 0 and address.endswith(")"):
        address = address[:-1].rstrip(_TRAILING)
        surplus -= 1
    return address


def _link(address: str) -> list[Token]:
    opening = Token("link_open", "a", 1, attrs={"href": address})
    return [opening, _text(address), Token("link_close", "a", -1)]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
