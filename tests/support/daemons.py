"""Servers that rigs have started, by their files of process ids: stopped, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


class Daemon:
    """A server whose process id stands in the first line of a file, and its start time in the second."""

    def __init__(self, pid_file: Path) -> None:
        self._file = pid_file

    @property
    def pid(self) -> int:
        return int(self._file.read_text().split()[0])

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It takes connections and does not answer."""
        pids = family(self.pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """It is killed, and started again at the end with the same command, environment and log."""
        pid = self.pid
        process = Path(f"/proc/{pid}")
        command = (process / "cmdline").read_bytes().decode().split("\0")[:-1]
        environment = dict(
            entry.split("=", 1) for entry in (process / "environ").read_bytes().decode().split("\0") if "=" in entry
        )
        log = os.readlink(process / "fd/1")
        for one in reversed(family(pid)):
            os.kill(one, signal.SIGKILL)
        try:
            yield
        finally:
            with open(log, "ab") as output:
                started = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                    start_new_session=True,
                )  # fmt: skip
            start_time = Path(f"/proc/{started.pid}/stat").read_text().rpartition(")")[2].split()[19]
            self._file.write_text(f"{started.pid}\n{start_time}\n")
            started.returncode = 0  # it outlives the test: no warning that it still runs
