"""Configuration of every test run, and the summary at its end."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("glimpse", deadline=None)
settings.load_profile("glimpse")

# A shell starts what runs in the background with SIGINT ignored, and so would be every process of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the tests of metadata definitions: those in whose file, class or function name ``metadef`` stands."""
    counts = {
        outcome: sum(
            "metadef" in report.nodeid.partition("[")[0].lower() for report in terminalreporter.getreports(outcome)
        )
        for outcome in ("passed", "failed", "error", "skipped")
    }
    if any(counts.values()):
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        terminalreporter.write_line(f"metadata definitions: {told}")
