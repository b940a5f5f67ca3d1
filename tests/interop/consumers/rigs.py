"""The rigs that the tests start: their directory, programs and settings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support import processes
from tests.support.needs import unavailable


def rig_dir() -> Path:
    """Where the rigs keep their data; without it the test ends here."""
    place = os.environ.get("RIG_DIR")
    if not place or not os.environ.get("GLIMPSE_TEST_KEYSTONE_URL"):
        unavailable("RIG_DIR or GLIMPSE_TEST_KEYSTONE_URL is not set: run `dev/services consumers`")
    return Path(place)


def run_rig(program: str, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a program of the rigs; it must succeed. Returns its standard output."""
    rigs = os.environ.get("GLIMPSE_TEST_RIGS")
    if not rigs:
        unavailable("GLIMPSE_TEST_RIGS names no directory with rigs: run `dev/services consumers`")
    # A file for standard error: servers that were started inherit it, and a pipe would stay open as long as they run.
    with (rig_dir() / "consumers.log").open("a+") as log:
        at = log.seek(0, os.SEEK_END)
        command = [str(Path(rigs) / program), *map(str, arguments)]
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=log, text=True, check=False, timeout=900,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        log.seek(at)
        assert ended.returncode == 0, f"{program} ended with {ended.returncode}:\n{log.read()}"
    return ended.stdout


def rig_runs(name: str) -> bool:
    """Whether a server of that rig runs."""
    pid_files = (rig_dir() / name / "run").glob("*.pid")
    return any(processes.is_running(int(file.read_text().split()[0])) for file in pid_files)


def rig_environment(name: str) -> dict[str, str]:
    """The variables that a rig gives its clients."""
    lines = (rig_dir() / name / "env").read_text().splitlines()
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    return {variable: value.strip("'") for variable, value in pairs}
