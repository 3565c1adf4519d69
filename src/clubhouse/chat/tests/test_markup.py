"""Message text to HTML: what may come out, whatever goes in (D1, D2 of the abuse list)."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clubhouse.chat.markup import render

ALLOWED = {"a", "blockquote", "br", "code", "em", "li", "ol", "p", "pre", "s", "strong", "ul"}

HOSTILE = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<img src=`javascript:alert(1)`>",
    '<IMG """><SCRIPT>alert(1)</SCRIPT>">',
    "<svg onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg><script>alert&#40;1&#41;</script>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)>",
    "<embed src=//evil.example/x.swf>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href=//evil.example/>",
    "<form action=javascript:alert(1)><button>x</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<video><source onerror=alert(1)></video>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<style>@import '//evil.example/x.css';</style>",
    "<div style='background:url(javascript:alert(1))'>x</div>",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](java&#10;script:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A&#x61&#x76&#x61script:alert(1))",
    "[x]( javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "![x](https://evil.example/pixel.gif)",
    '[x](https://ok.example "onmouseover=alert(1)")',
    '[x](https://ok.example/"onmouseover="alert(1))',
    "[[x](https://a.example)](javascript:alert(1))",
    "[x]: javascript:alert(1)\n\n[x]",
    "```<script>\nalert(1)\n```",
    "``` \"onclick=alert(1) x='\ny\n```",
    "https://ok.example/<script>alert(1)</script>",
    'https://ok.example/"onmouseover="alert(1)',
    "https://ok.example/'onmouseover='alert(1)",
    "\x00<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&amp;lt;script&amp;gt;",
]


class _Reader(HTMLParser):
    """Asserts that every tag and attribute is one of ours, and keeps the text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.links: list[dict[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        attributes = dict(attrs)
        if tag == "a":
            assert set(attributes) <= {"href", "title", "rel", "target"}, attributes
            assert attributes["rel"] == "nofollow noopener ugc"
            href = attributes.get("href")
            assert href is None or href.startswith(("http://", "https://", "mailto:")), href
            self.links.append(attributes)
        else:
            assert set(attributes) <= ({"start"} if tag == "ol" else set()), attributes

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_harmless_html(text: str) -> None:
    _Reader(render(text))


@given(st.text(alphabet=st.sampled_from(list("<>&\"'`[]()!*_~#:/\\-+.= \n\tahtpsjv1中")), max_size=200))
@example("<a href='javascript:alert(1)'>" * 3)
def test_no_text_at_all_brings_in_other_markup(text: str) -> None:
    _Reader(render(text))


@given(st.text(alphabet=st.sampled_from(list("> -*1.\nab中")), max_size=300))
@example("> " * 40 + "a")
@example("- " * 40 + "a\n\nb")
def test_every_letter_of_the_text_is_shown(text: str) -> None:
    shown = _Reader(render(text)).text
    for letter in "ab中":
        assert shown.count(letter) == text.count(letter)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("hello", "<p>hello</p>"),
        ("a\nb", "<p>a<br>\nb</p>"),
        ("**a** *b* ~~c~~ `d`", "<p><strong>a</strong> <em>b</em> <s>c</s> <code>d</code></p>"),
        ("# not a title", "<p># not a title</p>"),
        ("1 < 2 && 3", "<p>1 &lt; 2 &amp;&amp; 3</p>"),
        ("a_b_c 2*3*4", "<p>a_b_c 2<em>3</em>4</p>"),
        ("3. c", '<ol start="3">\n<li>c</li>\n</ol>'),
        ("> 你好", "<blockquote>\n<p>你好</p>\n</blockquote>"),
    ],
)
def test_markdown_is_rendered(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("see https://example.com/a?b=1&c=2.", "https://example.com/a?b=1&c=2"),
        ("(https://example.com/a_(b))", "https://example.com/a_(b)"),
        ("请看https://example.com/路径，谢谢", "https://example.com/路径"),
        ("“https://example.com/x”", "https://example.com/x"),
        ("**https://example.com/**", "https://example.com/"),
        ("<https://example.com/x>", "https://example.com/x"),
        ("[name](https://example.com/x)", "https://example.com/x"),
    ],
)
def test_addresses_become_links_without_the_punctuation_around_them(text: str, href: str) -> None:
    assert [link["href"] for link in _Reader(render(text)).links] == [href]


def test_addresses_in_code_are_no_links() -> None:
    assert _Reader(render("`https://example.com/`")).links == []
    assert len(_Reader(render("[https://example.com/a](https://example.com/b)")).links) == 1


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "*",
        "![",
        "[a](",
        "](",
        "[a](b) ",
        "a**b",
        "_a ",
        "*_",
        "`",
        "> ",
        "- ",
        "http://a",
        "http://a)",
        "<",
        "&",
        "~~a ",
        "[a*",
    ],
)
def test_time_grows_with_the_length_and_not_faster(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            render(text)
            best = min(best, time.process_time() - start)
        return best

    # 50 ms per 10 KB on an idle core; the factor is for a busy one. Anything quadratic is far beyond.
    assert seconds(10_000) < 0.05 * 6
    assert seconds(50_000) < 0.25 * 6


def test_plain_prose_is_quick() -> None:
    text = "A sentence with **some** words and a link https://example.com/, again and again. " * 125
    start = time.process_time()
    render(text)
    assert time.process_time() - start < 0.05 * 6
    assert re.search("<strong>some</strong>", render(text))
