"""What all tests share."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it loudly when nothing of the hardware was tested."""
    stats = terminalreporter.stats
    skipped = [r for r in stats.get("skipped", ()) if "rtl" in getattr(r, "keywords", {})]
    passed = [r for r in stats.get("passed", ()) if "rtl" in getattr(r, "keywords", {})]
    if skipped and not passed:
        terminalreporter.section("every RTL test was skipped", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run in which every RTL test was skipped has shown nothing about the hardware: it fails."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus != pytest.ExitCode.OK or reporter is None:
        return
    skipped = [r for r in reporter.stats.get("skipped", ()) if "rtl" in getattr(r, "keywords", {})]
    passed = [r for r in reporter.stats.get("passed", ()) if "rtl" in getattr(r, "keywords", {})]
    if skipped and not passed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
