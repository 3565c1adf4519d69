"""What the HTTP API does with a request before its method runs: the key, the body and its encoding."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import httpx
import pytest

from hotclub.conf.config import Config
from hotclub.http_api.endpoint import Call, answer
from hotclub.http_api.keys import failed_keys
from tests.hotclub.conftest import Site
from tests.hotclub.http_api.test_methods import KEY, Api, Kept, Plain, Room
from tests.support.listener import Response

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]
PUBLISH = b'{"channel":"room:1","data":"\xc3\xa9"}'


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    declare(Room, Kept, Plain)
    hotclub_settings(API_PATH="/api", API_KEYS=[KEY])


@pytest.mark.parametrize(("headers", "status"), [({"x-api-key": "wrong"}, 401), ({}, 401), ({"x-api-key": KEY}, 200)])
async def test_the_key_is_judged_before_the_body_is_read(headers: dict[str, str], status: int) -> None:
    read: list[Config] = []

    async def body(config: Config) -> bytes:
        read.append(config)
        return b'{"channel":"kept:1","data":1}'

    assert (await answer(Call("POST", "publish", headers, "", "10.0.0.1", body))).status == status
    assert bool(read) is (status == 200)


def opening(site: Site, headers: dict[str, str]) -> Awaitable[Response]:
    """Send the head of a request, and read the head of the answer."""
    return Response.open(site.port, "/api/publish", method="POST", headers=headers)


@pytest.mark.parametrize("length", [{"content-length": "8000000"}, {"transfer-encoding": "chunked"}])
async def test_a_wrong_key_is_answered_while_the_body_is_still_on_its_way(serve: Serve, length: dict[str, str]) -> None:
    site = await serve()
    headers = {"x-api-key": "wrong", **length}
    async with (
        asyncio.timeout(5),
        await opening(site, headers) as got,
    ):
        assert got.status == 401


@pytest.mark.parametrize("name", ["publish", "batch", ""])
async def test_a_body_above_the_setting_is_413_in_chunks_too(
    serve: Serve, hotclub_settings: Configure, name: str
) -> None:
    hotclub_settings(API_BODY_BYTES=1_000)
    site = await serve()
    headers = {"x-api-key": KEY, "transfer-encoding": "chunked"}
    async with asyncio.timeout(5), httpx.AsyncClient(trust_env=False) as http:
        url = f"{site.url}/api/{name}".rstrip("/")
        assert (await http.post(url, content=b"x" * 1_001, headers={"x-api-key": KEY})).status_code == 413

        async def pieces() -> Any:
            for _ in range(11):
                yield b"x" * 100

        assert (await http.post(url, content=pieces(), headers=headers)).status_code == 413


async def test_a_body_that_does_not_come_is_408(serve: Serve, hotclub_settings: Configure) -> None:
    hotclub_settings(LIMITS={"CONNECT_TIMEOUT": 0.1})
    site = await serve()
    headers = {"x-api-key": KEY, "content-length": "10"}
    async with (
        asyncio.timeout(5),
        await opening(site, headers) as got,
    ):
        assert got.status == 408


async def test_an_address_with_too_many_bad_keys_has_to_wait_and_good_keys_go_on(
    serve: Serve, hotclub_settings: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    hotclub_settings(RATES={"API_FAILURES_PER_ADDRESS": (3, 600)}, API_KEYS=[KEY, "a-key-that-comes-late"])
    site = await serve()
    good = Api(site)
    await good.result("channels")

    answers = [await Api(site, f"guess {number}").post("info") for number in range(6)]

    assert [got.status_code for got in answers] == [401, 401, 401, 429, 429, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 200
    await good.result("channels")
    assert (await Api(site, "a-key-that-comes-late").post("channels")).status_code == 429
    lines = [record.getMessage() for record in caplog.records if "API key" in record.getMessage()]
    assert lines == ["Refused an API key: status=401 address='127.0.0.1'"]


async def test_the_bad_keys_of_one_address_do_not_stop_another(hotclub_settings: Configure) -> None:
    hotclub_settings(RATES={"API_FAILURES_PER_ADDRESS": (1, 600)})

    async def status(address: str) -> int:
        return (await answer(Call("POST", "publish", {"x-api-key": "?"}, "", address, _nothing))).status

    assert [await status("2001:db8::1"), await status("2001:db8::2")] == [401, 429]
    assert await status("2001:db8:0:1::1") == 401


async def _nothing(_config: Config) -> bytes:
    return b"{}"


async def test_bad_keys_take_bounded_memory(hotclub_settings: Configure) -> None:
    failed = failed_keys()
    for number in range(200):
        await answer(Call("POST", "publish", {"x-api-key": f"k{number}"}, "", "10.0.0.1", _nothing))
    assert len(failed._buckets) == 2
    assert not failed._good


# The encoding


CONTENT_TYPES = (
    "application/json; charset=latin-1",
    "application/json; charset=utf-16",
    "application/json; charset=rot13",
    "text/plain; charset=nonsense",
    "application/x-www-form-urlencoded; charset=latin-1",
    "multipart/form-data",
    ";;;",
    "",
)


async def test_the_body_is_utf8_whatever_its_content_type_says(serve: Serve) -> None:
    api = Api(await serve())
    for content_type, body in product(CONTENT_TYPES, (PUBLISH, b"\xef\xbb\xbf" + PUBLISH)):
        answer = await api.post("publish", body, **{"content-type": content_type})
        assert (answer.status_code, "result" in answer.json()) == (200, True), content_type
    page = await api.result("history", {"channel": "room:1", "limit": 100})
    assert {item["data"] for item in page["publications"]} == {"é"}


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("latin-1", "the text is not UTF-8 from byte 28 on; send UTF-8"),
        ("utf-16", "the text is UTF-16 or UTF-32; send UTF-8"),
        ("utf-16-le", "the text is UTF-16 or UTF-32; send UTF-8"),
        ("utf-16-be", "the text is UTF-16 or UTF-32; send UTF-8"),
        ("utf-32", "the text is UTF-16 or UTF-32; send UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["publish", ""])
async def test_another_encoding_is_refused_with_that_reason(
    serve: Serve, encoding: str, reason: str, name: str
) -> None:
    site = await serve()
    body = PUBLISH.decode().encode(encoding)
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"{site.url}/api/{name}".rstrip("/")
        answer = await http.post(url, content=body, headers={"x-api-key": KEY})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"bad request: {reason}"


async def test_half_a_surrogate_pair_is_refused_with_that_reason(serve: Serve) -> None:
    answer = await Api(await serve()).post("publish", b'{"channel":"room:1","data":"\\ud83d"}')
    assert answer.status_code == 400
    assert "half a surrogate pair" in json.loads(answer.text)["message"]
