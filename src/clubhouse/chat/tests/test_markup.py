"""Message text to HTML: what may come out, whatever goes in."""

import re
import time
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import assume, example, given, settings
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
    """Asserts that every tag and attribute is one of ours, and keeps the text as a browser shows it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.links: list[list[str]] = []
        """The address and the text of each link."""
        self._in_link = False
        self._numbers: list[int | None] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        attributes = dict(attrs)
        if tag == "a":
            assert set(attributes) == {"href", "rel", "target"}, attributes
            assert attributes["rel"] == "nofollow noopener ugc"
            href = attributes["href"] or ""
            assert href.lower().startswith(("http://", "https://", "mailto:")), href
            self.links.append([href, ""])
            self._in_link = True
        else:
            assert set(attributes) <= ({"start"} if tag == "ol" else set()), attributes
        if tag in {"ol", "ul"}:
            self._numbers.append(int(attributes.get("start") or 1) if tag == "ol" else None)
        elif tag == "li" and (number := self._numbers[-1]) is not None:
            self.text += f"{number}. "
            self._numbers[-1] = number + 1

    def handle_endtag(self, tag: str) -> None:
        if tag in {"ol", "ul"}:
            self._numbers.pop()
        elif tag == "a":
            self._in_link = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_link:
            self.links[-1][1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


MARKS = "*~`>-[]()"
"""The characters that a rendering may leave out, where they mark something. An underscore marks emphasis, too."""


def _kept(text: str) -> str:
    """What a reader must be able to read: all that is neither white space, a mark nor unknown to HTML."""
    return "".join(
        char
        for char in text
        if not (char.isspace() or char in MARKS + "_" or unicodedata.category(char) in {"Cc", "Cn"})
    )


def _is_shown_in_order(text: str, shown: str) -> bool:
    rest = iter(shown)
    return all(char in rest for char in text)


def shown(text: str) -> str:
    return _Reader(render(text)).text


def links(text: str) -> list[list[str]]:
    return _Reader(render(text)).links


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_harmless_html(text: str) -> None:
    assert _is_shown_in_order(_kept(text), shown(text))


MARKUP = st.text(
    alphabet=st.sampled_from(list("<>&\"'`[]()!*_~#:/\\-+.= \n\tahtpsjv1中，“\u3000\U0001f600")), max_size=200
)
PIECES = r"""
https://example.com/a_b_c https://例子.cn/路径 http://a.b/(c) mailto:a@b.cn www.a.cn C:\new\*.txt 2*3*4 **a** *b* _c_
__init__ ~~d~~ ~5 `e` ```py ``` > >5 >_< - -1 1. 7. 007. 1) # ## --- *** === [x]( ) [x](https://a.b) &amp; &#35; <b>
[https://a.b](https://c.d) \* \\ 看 ， 。 （ ） “ ” **“好”**的 [a]: ![i]( | 😀
"""
WORDS = st.lists(
    st.sampled_from([*PIECES.split(), "\n", "\n\n", "\t"]),
    max_size=30,
).flatmap(lambda words: st.sampled_from(["", " ", "\n"]).map(lambda between: between.join(words)))


@settings(max_examples=300, deadline=None)
@given(MARKUP | WORDS | st.text(max_size=100))
@example("<a href='javascript:alert(1)'>" * 3)
@example("```first line\nsecond line\n```")
@example("```first\u2028line, \x85and\x0bmore\nsecond line\n```")
@example("007. James\n8. Q\n3. M")
@example("0. a\n 0.\n  5. b")
@example("[x]: https://a.b\n\n[x]")
@example("> " * 40 + "a")
@example("- " * 40 + "a\n\nb")
@example("a\n---\n\nb\n===\n- c\n-")
@example("> ```\n> a\n\n> `b\n> c`")
@example("`[`[x](https://a.b)`](https://c.d)`")
def test_every_character_that_is_no_mark_is_shown_in_order(text: str) -> None:
    read = shown(text)
    assert _is_shown_in_order(_kept(text), read)
    assert read.strip() or not (_kept(text) or any(char in MARKS + "_" for char in text))


@settings(max_examples=300, deadline=None)
@given(MARKUP | WORDS)
def test_an_address_that_is_shown_is_the_address_that_is_linked(text: str) -> None:
    reader = _Reader(render(text))
    for address, name in reader.links:
        if re.search(r"://|mailto:|\w\.\w", name):
            assert name == address
        else:
            # The address of a link with a name of its own stands beside it.
            assert f"{name} ({address})" in reader.text
        assert address in text


@given(st.text(alphabet=st.sampled_from(list("ab_*~-+=#&\\.!'();:@$,/?%[]{}|^1中é")), min_size=1, max_size=40))
def test_an_address_is_linked_up_to_its_end_or_not_at_all(path: str) -> None:
    assume("](" not in path)
    for address, _name in links(f"https://example.com/{path}"):
        rest = f"https://example.com/{path}".removeprefix(address)
        assert re.fullmatch(r"[.,:;!?'*_~)\]}]*", rest), (address, rest)
        assert not re.search(r"[*_~]", rest), "no earlier mark on the line could be the other half"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("hello", "<p>hello</p>"),
        ("a\nb", "<p>a<br>\nb</p>"),
        ("**a** *b* ~~c~~ `d`", "<p><strong>a</strong> <em>b</em> <s>c</s> <code>d</code></p>"),
        ("# not a title", "<p># not a title</p>"),
        ("1 < 2 && 3", "<p>1 &lt; 2 &amp;&amp; 3</p>"),
        ("a_b_c 2*3*4 2**10", "<p>a_b_c 2*3*4 2**10</p>"),
        ("__init__ and _this_", "<p>__init__ and <em>this</em></p>"),
        ("3. c", '<ol start="3">\n<li>c</li>\n</ol>'),
        ("1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("> 你好", "<blockquote>\n<p>你好</p>\n</blockquote>"),
        (">你好", "<blockquote>\n<p>你好</p>\n</blockquote>"),
        ("看**重点**吧，**Python**的", "<p>看<strong>重点</strong>吧，<strong>Python</strong>的</p>"),
        ("他说**“你好”**吧，**注意：**请", "<p>他说<strong>“你好”</strong>吧，<strong>注意：</strong>请</p>"),
        ("```py\nx = 1\n```", "<pre><em>py</em>\n<code>x = 1\n</code></pre>"),
        ("> a\n>\n> b", "<blockquote>\n<p>a</p>\n<p>b</p>\n</blockquote>"),
    ],
)
def test_markdown_is_rendered(text: str, html: str) -> None:
    assert render(text) == html


ALONE = r"""
> ># - * + _ ~ ` ``` ** *** **** ~~ ~~~ --- === = # ## 1. 1) \ \\ & &amp; < <> [] ]( [x]() ![]()
"""


@pytest.mark.parametrize(
    "text",
    [
        *ALONE.split(),
        "> >",
        "- - -",
        "C:\\new\\table\\_x\\*.txt",
        "\\*not bold\\* \\_x\\_ \\[x\\]",
        "\\\\server\\share",
        "&copy; &lt;b&gt; &#35;",
        "~5 and ~6",
        ">_< >.< >5 people",
        ">>> 1 + 1",
        "5 * 3 * 2 = 30, a*(b+c)*d, f(*args, **kwargs)",
        "5　*　3　*　4",
        "[x](/accounts/logout/)",
        "[x](javascript:alert(1))",
        "# a\n## b ##",
        "a\n---",
        "a\n===",
        "1) a\n2) b",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "[x]: https",
        "<b>bold</b> <!-- no -->",
        "+ 1 from me",
    ],
)
def test_what_marks_nothing_is_shown_as_it_was_written(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    "address",
    [
        "https://1.2.3.4:99999/",
        "https://example.com:65536",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/a_b_",
        "http://[::1::2]/",
        "http://name.1/",
        "https://xn--a/",
    ],
)
@pytest.mark.parametrize("text", ["{}", "[x]({})", "see *a* {}, then"])
def test_what_no_browser_can_open_is_no_link(text: str, address: str) -> None:
    html = render(text.format(address))
    assert address in html
    assert "<a" not in html
    assert "[x](" in html or "[x](" not in text


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("see https://example.com/a?b=1&c=2.", "https://example.com/a?b=1&c=2"),
        ("see https://example.com/?a=1&lt=2&copy=3", "https://example.com/?a=1&lt=2&copy=3"),
        ("https://example.com/src/__init__.py", "https://example.com/src/__init__.py"),
        ("https://example.com/__init__", "https://example.com/__init__"),
        ("https://example.com/*a*/~~b~~/`", "https://example.com/*a*/~~b~~/"),
        ("*see* https://example.com/*", "https://example.com/"),
        ("https://en.wikipedia.org/wiki/Rubik's_Cube", "https://en.wikipedia.org/wiki/Rubik's_Cube"),
        ("it's 'https://example.com/'", "https://example.com/"),
        ("(https://example.com/a_(b))", "https://example.com/a_(b)"),
        ("[https://example.com/a[1]]", "https://example.com/a[1]"),
        ("请看https://example.com/路径，谢谢", "https://example.com/路径"),
        ("看https://例子.cn/路径，好", "https://例子.cn/路径"),
        ("（见https://例子.cn/路径）", "https://例子.cn/路径"),
        ("https://example.com看看", "https://example.com"),
        ("https://example.com:8000/a——好", "https://example.com:8000/a"),
        ("“https://example.com/x”", "https://example.com/x"),
        ("**https://example.com/**", "https://example.com/"),
        ("_https://example.com/_", "https://example.com/"),
        ("<https://example.com/x>", "https://example.com/x"),
        ("HTTPS://EXAMPLE.COM/X", "HTTPS://EXAMPLE.COM/X"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("> - **https://example.com/**", "https://example.com/"),
        ("[name](https://example.com/x)", "https://example.com/x"),
        ("[name](https://example.com/x_(y))", "https://example.com/x_(y)"),
        ("[name](mailto:a@example.com)", "mailto:a@example.com"),
    ],
)
def test_addresses_become_links_without_the_punctuation_around_them(text: str, href: str) -> None:
    assert [link[0] for link in links(text)] == [href]


@pytest.mark.parametrize(
    "text",
    [
        "https://",
        "https://bank.example@evil.example/",
        "https://bank.example\\@evil.example/",
        "https://exam\u200bple.com/",
        "https://example.com/\u202egnp.exe",
        "https://?x",
        "https://-a",
        "https://a:b/",
        "javascript:https",
        "`https://example.com/`",
        "```\nhttps://example.com/\n```",
    ],
)
def test_what_is_not_certainly_an_address_is_no_link(text: str) -> None:
    assert links(text) == []


def test_the_name_of_a_link_is_not_an_address_itself() -> None:
    evil = ["https://evil.example/"] * 2
    assert links("[bank.example](https://evil.example/)") == [evil]
    assert links("[bank。example](https://evil.example/)") == [evil]
    assert links("[https://bank.example/](https://evil.example/)") == [["https://bank.example/"] * 2, evil]
    assert shown("[name](https://example.com/)") == "name (https://example.com/)"


@pytest.mark.parametrize("name", [" ", "\u2800", "\u3164", "\u0301", "\u200b\u3000"])
def test_a_link_whose_name_cannot_be_seen_is_shown_as_it_was_written(name: str) -> None:
    assert shown(f"[{name}](https://example.com/)") == f"[{name}](https://example.com/)"


def test_a_host_that_looks_like_another_one_is_shown_with_its_ascii_name() -> None:
    assert shown("https://аррӏе.com/x") == "https://аррӏе.com/x (xn--80ak6aa92e.com)"
    assert shown("[apple](https://аррӏе.com/)") == "apple (https://аррӏе.com/) (xn--80ak6aa92e.com)"
    assert shown("https://münchen.de/") == "https://münchen.de/ (xn--mnchen-3ya.de)"
    assert shown("https://ｅxample.com/") == "https://ｅxample.com/ (example.com)"
    assert shown("https://例子.中国/") == "https://例子.中国/"


def test_a_list_keeps_its_numbers() -> None:
    assert shown("2. a\n4. b\n5. c").split() == ["2.", "a", "4.", "b", "5.", "c"]
    assert shown("1. a\n1. b").split() == ["1.", "a", "1.", "b"]


@pytest.mark.parametrize("text", ["> " * 40 + "a", "*a _b " * 500, "- `a`\n" * 1500, "https://a.cn " * 700])
def test_a_text_with_too_many_marks_is_shown_as_plain_text(text: str) -> None:
    assert re.sub(r"\s+", " ", shown(text)).strip() == re.sub(r"\s+", " ", text).strip()


UNITS = r"""
[ * ![ [a]( ]( [a](b)_ a**b _a_ *_ ` >_ -_ http://a http://a) http://a*_ http://a_ < & ~~a_ [a* >_-_ >_` **a_ `a_ \*
&amp; |a [a](http://a [a](http://a)_ 看** 中 😀 <!-- mailto:a@b_ -_*a*| 1._a| >_a| `a`| [a]:_b|
"""


@pytest.mark.parametrize("unit", [unit.replace("_", " ").replace("|", "\n") for unit in UNITS.split()] + ["*_", "a_"])
def test_no_text_takes_longer_than_an_ordinary_one_of_its_length(unit: str) -> None:
    def seconds(text: str) -> float:
        start = time.process_time()
        render(text)
        return time.process_time() - start

    # 10 KB of prose take 3 ms on an idle core, and the worst of these 9 ms. Anything quadratic is far beyond.
    assert min(seconds((unit * 10_000)[:10_000]) for _ in range(3)) < 0.05
    assert min(seconds((unit * 50_000)[:50_000]) for _ in range(3)) < 0.25


def test_plain_prose_is_quick() -> None:
    text = "A sentence with **some** words and a link https://example.com/, again and again. " * 125
    start = time.process_time()
    assert render(text).count("<strong>some</strong>") == 125
    assert time.process_time() - start < 0.05
