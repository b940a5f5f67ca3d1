"""What every run says at its end."""

from __future__ import annotations

import pytest


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
