"""A flood of lines about peers does not fill the log, and the log says so."""

import logging

import pytest

from hotclub.engine.observe import FloodFilter, logger, report


def test_a_flood_of_reports_is_cut_and_other_lines_are_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("hotclub.engine.observe.monotonic", lambda: now)
    flood = FloodFilter()
    logger.addFilter(flood)
    try:
        with caplog.at_level(logging.WARNING, "hotclub"):
            for number in range(1_500):
                report("Refused a request", status=number)
            logger.warning("something else")
            now = 0.02
            report("Refused a request", status=403)
    finally:
        logger.removeFilter(flood)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1_002
    assert lines[-2:] == ["something else", "Refused a request: status=403 left_out=500"]
