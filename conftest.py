"""Rules for every test: in CI (`CI=true`) a skipped test fails, and workers begin with the slowest files."""

import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support import matrix, run

# A shell ignores SIGINT for programs in the background, and the servers that the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI nothing may be: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        folder = run.begin()
        config.add_cleanup(lambda: run.end(folder))


def pytest_itemcollected(item: pytest.Item) -> None:
    matrix.keep_smoke(item)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the files for the workers: the slowest come first, so that no worker waits for one at the end."""
    if not hasattr(config, "workerinput"):
        return
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    cases: Counter[Path] = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in long, -cases[item.path], item.path))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:  # noqa: ARG001 - wanted for its effect
    """The test database, which is emptied quickly."""
    # This module needs the project's apps, which Django loads after this file.
    from tests.support.flushing import quick_flushes  # noqa: PLC0415

    with quick_flushes():
        yield
