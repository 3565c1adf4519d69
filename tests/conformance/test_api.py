"""The HTTP API beside the reference server's: `api_answers.jsonl` holds what that answered to each request, in order.

Of an error its code counts, of a result every field that the reference has; epochs, cursors and times are placeholders
there. Where Hotclub refuses on purpose what the reference lets pass, the request is not in the file.
"""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.conformance.conftest import Conformance

LINES = (Path(__file__).parent / "api_answers.jsonl").read_text().splitlines()
RECORDED: list[dict[str, Any]] = [json.loads(line) for line in LINES]
PLACEHOLDERS = {"epoch": "E", "cursor": "C", "time": "T"}


def holds(expected: Any, answer: Any, key: str = "") -> bool:
    """Whether an answer has all that is expected."""
    if isinstance(expected, dict):
        return isinstance(answer, dict) and all(
            name in answer and holds(value, answer[name], name) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return len(expected) == len(answer) and all(map(holds, expected, answer))
    if key in PLACEHOLDERS and expected == PLACEHOLDERS[key]:
        return bool(answer)
    return type(expected) is type(answer) and bool(expected == answer)


def code_of(answer: Any) -> int | None:
    return answer.get("error", answer).get("code") if isinstance(answer, dict) else None


async def test_the_api_answers_as_the_reference_does(conformance: Conformance) -> None:
    wrong = []
    async with httpx.AsyncClient(verify=False, base_url=f"{conformance.url}/api/", trust_env=False) as http:
        for asked in RECORDED:
            headers = {"X-API-Key": "test-api-key", **asked.get("headers", {})}
            text = asked["text"].encode("latin-1") if "text" in asked else json.dumps(asked.get("body")).encode()
            answer = await http.request(
                asked.get("verb", "POST"),
                asked["method"],
                content=text if "text" in asked or "body" in asked else None,
                headers={name: value for name, value in headers.items() if value is not None},
            )
            is_json = answer.headers.get("content-type") == "application/json" and answer.content
            told = answer.json() if is_json else None
            fits = code_of(told) == asked["error"] if "error" in asked else holds(asked.get("answer", {}), told or {})
            if answer.status_code != asked["status"] or not fits:
                wrong.append((asked, answer.status_code, told))
    assert wrong == []
    assert len(RECORDED) > 150
