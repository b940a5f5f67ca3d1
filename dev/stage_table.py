"""Print what the stages of dev/services did: ``stage_table.py DIRECTORY``, exit code 1 unless all of it went well.

The directory holds ``stages.tsv`` (name, exit code, seconds) and for each stage the JUnit file ``NAME.xml`` of its
tests. What tests recorded with ``record_property("report", TEXT)`` is printed below the table.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

COUNTED = ("tests", "failures", "errors", "skipped")


@dataclass
class Stage:
    """One line of the table."""

    name: str
    code: int
    seconds: int
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    @property
    def passed(self) -> int:
        return self.counts["tests"] - self.counts["failures"] - self.counts["errors"] - self.counts["skipped"]

    @property
    def verdict(self) -> str:
        """In one word or a few; anything but ``ok`` fails the run."""
        if not self.counts:
            return "DID NOT RUN"
        if self.code or self.counts["failures"] or self.counts["errors"]:
            return "FAILED"
        if self.name.startswith("stores-") and self.counts["skipped"]:
            return "TESTS SKIPPED"
        return "ok" if self.passed else "NO TEST RAN"


def read(directory: Path) -> list[Stage]:
    stages: list[Stage] = []
    for line in (directory / "stages.tsv").read_text().splitlines():
        name, code, seconds = line.split("\t")
        stage = Stage(name, int(code), int(seconds))
        path = directory / f"{name}.xml"
        if path.exists():
            read_tests(stage, path)
        stages.append(stage)
    return stages


def read_tests(stage: Stage, path: Path) -> None:
    suites = ElementTree.parse(path).getroot().findall("testsuite")
    stage.counts = {name: sum(int(suite.get(name, 0)) for suite in suites) for name in COUNTED}
    for case in (case for suite in suites for case in suite.iter("testcase")):
        if case.find("failure") is not None or case.find("error") is not None:
            stage.failed.append(f"{case.get('classname')}.{case.get('name')}")
        stage.reports += [item.get("value", "") for item in case.iter("property") if item.get("name") == "report"]


def main() -> None:
    stages = read(Path(sys.argv[1]))
    for stage in stages:
        for report in stage.reports:
            print(f"\n{report.rstrip()}")
    print(f"\n{'stage':24}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}  result")
    for stage in stages:
        failed = stage.counts["failures"] + stage.counts["errors"] if stage.counts else "-"
        passed, skipped = (stage.passed, stage.counts["skipped"]) if stage.counts else ("-", "-")
        print(f"{stage.name:24}{passed:>8}{failed:>8}{skipped:>9}{stage.seconds:>9}  {stage.verdict}")
    for stage in stages:
        for name in stage.failed:
            print(f"failed in {stage.name}: {name}")
    raise SystemExit(0 if stages and all(stage.verdict == "ok" for stage in stages) else 1)


if __name__ == "__main__":
    main()
