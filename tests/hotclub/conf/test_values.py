"""Origins are compared whole."""

import pytest

from hotclub.conf.values import Origin, parse_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://a.example", Origin("https", "a.example", 443)),
        ("http://a.example:80", Origin("http", "a.example", 80)),
        ("HTTP://A.Example", Origin("http", "a.example", 80)),
        ("http://[::1]:8000", Origin("http", "[::1]", 8000)),
        ("capacitor://localhost", Origin("capacitor", "localhost", None)),
    ],
)
def test_an_origin_is_scheme_host_and_port(text: str, origin: Origin) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["", "null", "*", "a.example", "//a.example", "https://", "https://a.example/", "https://a@b.example", "https://*",
     "https://a.example?", "https://a.example#", "https://a.example\n", "https://a.example:", "https://a.example:port",
     "https://a.example https://b.example", "https://ａ.example"],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    assert parse_origin(text) is None
