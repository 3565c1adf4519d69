"""What strangers can cause is logged once per cause and period, and then counted."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import hotclub
from hotclub.engine.observe import report
from hotclub.serving import quiet
from hotclub.serving.quiet import Quiet, Repeats
from tests.hotclub.conftest import Site
from tests.support.wire import ErrorReply, WireClient

logger = logging.getLogger("hotclub.test_quiet")
Serve = Callable[..., Awaitable[Site]]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repeats(clock: Clock) -> Iterator[Repeats]:
    made = Repeats(60, clock)
    logger.addFilter(made)
    yield made
    logger.removeFilter(made)
    made.flush()


def throw(error: Exception) -> None:
    raise error


def fail(error: Exception) -> None:
    try:
        throw(error)
    except Exception:
        logger.exception("The hook %s failed", "on_publish")


def fail_elsewhere(error: Exception) -> None:
    def throw_elsewhere() -> None:
        raise error

    try:
        throw_elsewhere()
    except Exception:
        logger.exception("The hook %s failed", "can_publish")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_one_traceback_per_cause_and_period_and_then_a_count(
    repeats: Repeats, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1_000):
        fail(ValueError(number))
    assert len(caplog.records) == 1
    assert caplog.text.count("Traceback") == 1

    clock.now = 60.0
    fail(ValueError("again"))

    first, count, again = lines(caplog)
    assert count == "… and 999 more in 60 s: The hook on_publish failed (ValueError)"
    assert first == again == "The hook on_publish failed"
    assert caplog.records[1].levelno == logging.ERROR


def test_another_error_and_another_place_are_other_causes(repeats: Repeats, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        fail(ValueError())
        fail(KeyError())
        fail_elsewhere(ValueError())
    assert len(caplog.records) == 3


def test_lines_without_an_exception_have_a_few_more(repeats: Repeats, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1_000):
        logger.warning("Invalid HTTP request received from %s.", number)
    assert len(caplog.records) == 10
    repeats.flush()
    assert lines(caplog)[-1].startswith("… and 990 more in ")


def test_messages_that_are_made_anew_are_one_cause(repeats: Repeats, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100):
        logger.warning(f"connection {number} lost")  # noqa: G004 - as libraries do
    assert len(caplog.records) == 10


def test_the_last_count_comes_although_nothing_follows(caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()
    made = Repeats(0.05)
    logger.addFilter(made)
    handler = logging.Handler()
    handler.emit = lambda record: told.set() if "more in" in record.getMessage() else None  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        for _ in range(3):
            fail(ValueError())
        assert told.wait(10)
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(made)
    assert lines(caplog) == [
        "The hook on_publish failed",
        "… and 2 more in 1 s: The hook on_publish failed (ValueError)",
    ]


def test_the_causes_that_are_remembered_are_bounded(
    repeats: Repeats, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(quiet, "_CAUSES", 5)
    for number in range(100):
        kind = type(f"Error{number}", (Exception,), {})
        fail(kind())
        fail(kind())
    assert len(repeats._causes) <= 5
    assert sum("more in" in line for line in lines(caplog)) >= 95


def test_the_text_of_an_exception_forges_no_line(repeats: Repeats, caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("bad\nERROR hotclub: forged\x1b[31m\r2026 forged")
    error.__cause__ = KeyError("a")
    fail(error)
    assert "forged" in caplog.text
    assert "\x1b" not in caplog.text
    assert not [line for line in caplog.text.splitlines() if line.startswith(("ERROR hotclub: forged", "2026"))]


def test_lines_about_peers_have_their_own_bound(caplog: pytest.LogCaptureFixture) -> None:
    made = Quiet(60)
    made.install()
    try:
        for number in range(1_200):
            report("Refused a request", status=number)
    finally:
        made.remove()
    assert 1_000 <= len(caplog.records) < 1_200


@hotclub.rpc("fail")
def failing(client: hotclub.Client) -> None:
    raise RuntimeError("a bug")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fast", [True, False], ids=["ours", "plain"])
async def test_a_flood_of_failures_and_junk_leaves_few_lines(
    serve: Serve, declare: Any, hotclub_settings: Any, caplog: pytest.LogCaptureFixture, fast: bool
) -> None:
    hotclub_settings(ALLOW_ANONYMOUS=True)
    declare(failing)
    site = await serve(fast=fast)
    # uvicorn's own configuration keeps its records from the root logger.
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.addHandler(caplog.handler)
    try:
        async with await WireClient.connected(site.port) as client:
            for _ in range(60):
                with pytest.raises(ErrorReply, match="100"):
                    await client.call("rpc", method="fail")
        for _ in range(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"junk\r\n\r\n")
            await reader.read()
            writer.close()
        for _ in range(60):
            with pytest.raises(Exception, match=r"403"):
                await WireClient.connected(site.port, headers={"Origin": "http://evil.example"})
    finally:
        uvicorn_log.removeHandler(caplog.handler)
    told = [record for record in caplog.records if record.name.startswith(("uvicorn", "hotclub", "asyncio"))]
    assert sum(bool(record.exc_info) for record in told) <= 1
    assert len([record for record in told if not record.getMessage().startswith("Refused a request")]) <= 31
