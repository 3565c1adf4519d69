"""The protocol page names every code that the engine knows."""

import re
from pathlib import Path

from hotclub.engine.codes import MESSAGES, REASONS, TEMPORARY

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "protocol.md").read_text()


def test_the_page_has_every_code_with_its_words() -> None:
    rows = dict(re.findall(r"^\| (\d{3,4}) \| (.+?) \|$", PAGE, re.MULTILINE))
    expected = {
        **{str(int(code)): message for code, message in MESSAGES.items()},
        **{str(int(code)): reason for code, reason in REASONS.items()},
    }
    assert {code: words.removesuffix(" (temporary)") for code, words in rows.items()} == expected
    temporary = {int(code) for code, words in rows.items() if words.endswith(" (temporary)")}
    assert temporary == set(TEMPORARY)
