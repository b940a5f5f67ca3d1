"""Turn a subunit v2 stream into lists of test ids by result.

usage: tempest_results.py STREAM OUTPUT_DIRECTORY LABEL SECONDS
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import subunit
import testtools

OUTCOMES = {"success": "pass", "skip": "skip", "xfail": "pass"}
REQUEST = re.compile(r"Request \((?!_run_cleanups|[^)]*:(?:_run_cleanups|tearDown))[^)]*\): (\d+ \w+ \S+)")


def read(stream: Path) -> list[dict[str, Any]]:
    """Every test of the stream in the form that testtools gives it."""
    tests: list[dict[str, Any]] = []
    result = testtools.StreamToDict(tests.append)
    result.startTestRun()
    with stream.open("rb") as source:
        subunit.ByteStreamToStreamResult(source).run(result)
    result.stopTestRun()
    return [test for test in tests if test["status"] != "exists"]


def explain(text: str) -> str:
    """Why a test failed, in two lines: the last thing that it asked for, and the end of the traceback."""
    requests = REQUEST.findall(text)
    ends = [line.strip() for line in text.splitlines() if line.strip()]
    return f"  {requests[-1] if requests else 'no request'}\n  {ends[-1] if ends else 'no text'}"[:1000]


def write(directory: Path, tests: list[dict[str, Any]]) -> dict[str, int]:
    """Write the lists; returns the number of tests by outcome."""
    lists: dict[str, list[str]] = {"pass": [], "fail": [], "skip": []}
    times: list[tuple[float, str]] = []
    details: list[str] = []
    reasons: list[str] = []
    for test in tests:
        name, outcome = test["id"], OUTCOMES.get(test["status"], "fail")
        if name.startswith("setUpClass") and outcome == "pass":
            continue
        texts = {key: value.as_text() for key, value in test["details"].items() if value.content_type.type == "text"}
        reason = " ".join(texts.get("reason", "").split())
        lists[outcome].append(f"{name}  # {reason}" if outcome == "skip" else name)
        started, ended = test["timestamps"]
        if started and ended and outcome != "skip":
            times.append(((ended - started).total_seconds(), name))
        if outcome == "fail":
            details.append("\n".join(["=" * 70, name, *texts.values()]))
            reasons.append(f"{name}\n{explain(details[-1])}")

    lines = {f"{outcome}.txt": sorted(names) for outcome, names in lists.items()}
    lines["times.txt"] = [f"{seconds:8.2f} {name}" for seconds, name in sorted(times, reverse=True)]
    lines["details.txt"] = details
    lines["reasons.txt"] = sorted(reasons)
    for name, content in lines.items():
        (directory / name).write_text("".join(f"{line}\n" for line in content))
    return {outcome: len(names) for outcome, names in lists.items()}


def main() -> None:
    stream, directory, label, seconds = sys.argv[1:5]
    counts = write(Path(directory), read(Path(stream)))
    passed, failed, skipped = (counts[outcome] for outcome in ("pass", "fail", "skip"))
    print(f"tempest {label}: {passed} passed, {failed} failed, {skipped} skipped in {seconds} s; lists in {directory}")
    raise SystemExit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
