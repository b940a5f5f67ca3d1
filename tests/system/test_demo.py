"""``make demo`` does what it says and cleans up, however it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import PROC, command_line
from tests.support.service import clean_environment

DEMO = Path(__file__).parents[2] / "dev" / "demo.py"


def start_demo(place: Path) -> subprocess.Popen[str]:
    """The demo with its temporary directory inside ``place``."""
    return subprocess.Popen(
        [sys.executable, str(DEMO)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=clean_environment({"TMPDIR": str(place)}), cwd=place,
    )  # fmt: skip


def test_the_demo_succeeds(tmp_path: Path) -> None:
    with start_demo(tmp_path) as demo:
        printed, errors = demo.communicate(timeout=50)
    assert (demo.returncode, errors) == (0, "")
    for step in ("201 Created", "206 Partial Content", "415 Unsupported", "the same bytes", "backing", "OS_AUTH_TYPE"):
        assert step in printed, printed
    assert "/etc/shadow" not in printed.partition("backing file\n")[2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with start_demo(tmp_path) as demo:
        assert demo.stdout is not None
        port = None
        for line in demo.stdout:
            port = port or re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if "Images in" in line:
                break
        demo.send_signal(number)
        rest, errors = demo.communicate(timeout=50)
    assert demo.returncode == 130, (rest, errors)
    assert list(tmp_path.iterdir()) == []
    assert port is not None
    running = [command_line(int(path.name)) for path in PROC.iterdir() if path.name.isdigit()]
    assert not [command for command in running if f"--port {port[1]}" in command], "the service still runs"
