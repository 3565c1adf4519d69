"""Renders the text of a message as HTML. `render` is the one public name.

The dialect is a small Markdown whose first rule is that a reader sees what the author wrote: a character that is no
mark of the dialect is shown, wherever it stands. `mask` hides from the Markdown parser what must not be a mark.
`writer` takes every character that it shows from the source, and none from the parser. nh3 removes every element and
attribute that is not on a list of allowed ones.
"""

from typing import Final

import nh3

from clubhouse.chat.markup.addresses import SCHEMES, find
from clubhouse.chat.markup.writer import TooComplex, plain, written

_ADDRESSES: Final = 400
"""Most links of one text."""

_TAGS: Final = {"a", "blockquote", "br", "code", "em", "li", "ol", "p", "pre", "s", "strong", "ul"}
_ATTRIBUTES: Final[dict[str, set[str]]] = {"a": {"href", "target"}, "ol": {"start"}}


def render(text: str) -> str:
    """Return the message as safe HTML that shows every character of it but the marks.

    The time is linear in the text's length, and no text takes longer than an ordinary one of its length: a text with
    too many or too deeply nested marks is returned as plain text.
    """
    found = find(text)
    try:
        html = written(text, found) if len(found.addresses) <= _ADDRESSES else plain(text, ())
    except TooComplex:
        html = plain(text, found.addresses)
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=set(SCHEMES),
        link_rel="nofollow noopener ugc",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    ).strip()
