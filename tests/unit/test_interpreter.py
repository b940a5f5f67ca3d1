"""The Python that `make` uses: python3.11, or a newer python3, or the one in PYTHON."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "dev" / "python"
NEWER = f'exec {sys.executable} "$@"'
OLDER = "exit 1"
NOT_THERE = "echo no such version >&2; exit 127"

Choose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def choose(tmp_path: Path) -> Choose:
    """Run the script where the search path has these commands alone."""

    def run(python: str | None = None, **commands: str) -> subprocess.CompletedProcess[str]:
        for name, does in commands.items():
            path = tmp_path / name.replace("_", ".")
            path.write_text(f"#!/bin/sh\n{does}\n")
            path.chmod(0o755)
        environment = {"PATH": str(tmp_path), **({} if python is None else {"PYTHON": python})}
        return subprocess.run(["/bin/sh", SCRIPT], env=environment, capture_output=True, text=True, check=False)

    return run


def test_python3_11_comes_first(choose: Choose, tmp_path: Path) -> None:
    assert choose(python3_11=NEWER, python3=NEWER).stdout == f"{tmp_path}/python3.11\n"


@pytest.mark.parametrize("python3_11", [None, NOT_THERE])
def test_a_newer_python3_will_do(choose: Choose, tmp_path: Path, python3_11: str | None) -> None:
    commands = {"python3": NEWER, **({} if python3_11 is None else {"python3_11": python3_11})}
    done = choose(**commands)
    assert (done.stdout, done.stderr, done.returncode) == (f"{tmp_path}/python3\n", "", 0)


def test_an_older_python3_is_refused_in_one_sentence(choose: Choose) -> None:
    done = choose(python3=OLDER)
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith("Glimpse needs Python 3.11 or newer.")
    assert len(done.stderr.splitlines()) == 1


def test_the_one_that_is_named_is_taken_or_refused(choose: Choose, tmp_path: Path) -> None:
    assert choose(str(tmp_path / "mine"), mine=NEWER, python3_11=NEWER).stdout == f"{tmp_path}/mine\n"
    done = choose("mine", mine=OLDER, python3_11=NEWER)
    assert (done.stdout, done.stderr, done.returncode) == ("", "mine is not a Python 3.11 or newer.\n", 1)
