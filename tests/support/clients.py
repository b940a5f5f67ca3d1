"""The unmodified OpenStack clients, in a virtual environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.needs import unavailable
from tests.support.service import clean_environment

DEFAULT = Path(__file__).parents[2] / ".venv-clients" / "bin"


def client_programs() -> Path:
    """The directory of ``openstack``, ``glance`` and their interpreter; without it the test ends here."""
    programs = Path(os.environ.get("GLIMPSE_TEST_CLIENTS") or DEFAULT)
    missing = [name for name in ("openstack", "glance", "python") if not (programs / name).exists()]
    if missing:
        unavailable(f"no {', '.join(missing)} in {programs}: run `make .venv-clients/.installed`")
    return programs.absolute()


@contextmanager
def standard_input(data: bytes | None) -> Iterator[int]:
    """What a program reads ``data`` from; without data a terminal, because clients take anything else as an image."""
    if data is None:
        with terminal() as (device, _):
            yield device
    else:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            yield file.fileno()


@contextmanager
def terminal() -> Iterator[tuple[int, str]]:
    """A terminal on which nobody types: its descriptor and its path."""
    controller, device = os.openpty()
    try:
        yield device, os.ttyname(device)
    finally:
        os.close(device)
        os.close(controller)


@dataclass(frozen=True)
class Client:
    """One client program with the settings that it finds its service by."""

    program: Path
    home: Path
    settings: Mapping[str, str]

    def run(self, *arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
        """Run it to its end, however it ends; ``stdin`` is piped into it, else it is at a terminal."""
        environment = clean_environment({"HOME": str(self.home), "COLUMNS": "160", **self.settings})
        command = [str(self.program), *(str(argument) for argument in arguments)]
        with standard_input(stdin) as source:
            return subprocess.run(
                command, stdin=source, capture_output=True, text=True, check=False, env=environment, cwd=self.home,
                timeout=120,
            )  # fmt: skip

    def ok(self, *arguments: str | Path) -> str:
        """Run it; it must succeed. Returns its output."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, f"{arguments}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def json(self, *arguments: str | Path) -> Any:
        """Run it with ``-f json``; returns what it prints."""
        return json.loads(self.ok(*arguments, "-f", "json"))

    def refused(self, *arguments: str | Path) -> str:
        """Run it; it must fail without a traceback. Returns what it writes to standard error."""
        ended = self.run(*arguments)
        assert ended.returncode != 0, f"{arguments}: {ended.stdout}"
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.stderr
