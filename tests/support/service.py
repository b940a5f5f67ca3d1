"""A real ``glimpse serve``: its own process, its own data directory, a free port on loopback."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support import processes

HOST = "127.0.0.1"
START_SECONDS = 90.0
STOP_SECONDS = 60.0

Options = Mapping[str, Mapping[str, object]]


class ServiceFailed(AssertionError):
    """The service did not start, or did not end as it should; the text holds its log."""


def script(name: str = "glimpse") -> Path:
    """A command installed beside the interpreter that runs the tests."""
    return Path(sys.executable).with_name(name)


def free_port() -> int:
    """A port that nobody listens on, outside the range that the kernel gives to outgoing connections."""
    for _ in range(100):
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError("no free port found")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the tests without what would change the service or a client, plus ``extra``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GLIMPSE_", "OS_", "XDG_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **(extra or {})}


def write_options(path: Path, options: Options) -> Path:
    """Write a configuration file: section → option → value; a list of values repeats the line."""
    lines: list[str] = []
    for section, values in options.items():
        lines.append(f"[{section}]")
        for name, value in values.items():
            repeated: Sequence[object] = value if isinstance(value, list | tuple) else (value,)
            lines += [f"{name} = {str(item).lower() if isinstance(item, bool) else item}" for item in repeated]
    path.write_text("\n".join(lines) + "\n")
    return path


class Service:
    """One ``glimpse serve``; ``with`` starts and stops it, and asserts that it ends with 0 and logged no traceback.

    ``place`` is a directory of its own: it receives the configuration file, the log and the data directory, which
    stay when the service ends, so that another start finds them.
    """

    def __init__(
        self,
        place: Path,
        *,
        options: Options | None = None,
        workers: int | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        from_options_only: bool = False,
    ) -> None:
        """``from_options_only`` leaves address and data directory to the configuration file."""
        self.place = place
        self.port = port or free_port()
        self.data_dir = place / "data"
        self.log_path = place / "service.log"
        self.returncode: int | None = None
        self.seconds_to_answer = 0.0
        self._began = 0.0
        self._environment = clean_environment(environment)
        self._process: subprocess.Popen[bytes] | None = None
        place.mkdir(parents=True, exist_ok=True)
        self.config_file = write_options(place / "glimpse.conf", options or {})
        place_and_address = ("--data-dir", str(self.data_dir), "--host", HOST, "--port", str(self.port))
        self.command = [
            str(script()), "serve", "--config-file", str(self.config_file),
            *(() if from_options_only else place_and_address),
            *(() if workers is None else ("--workers", str(workers))),
            *arguments,
        ]  # fmt: skip

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
            if "Traceback" in self.log:
                raise ServiceFailed(f"an error that nobody expected is in the log:\n{self.log}")
        else:
            self.kill_group()

    @property
    def url(self) -> str:
        """The endpoint as clients are given it."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The process that was started; the workers descend from it."""
        assert self._process is not None, "the service was not started"
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything the service wrote to its standard output and error in all its lives."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def images_dir(self) -> Path:
        """Where the filesystem store of the data directory keeps the data of images."""
        return self.data_dir / "images"

    @property
    def database_file(self) -> Path:
        """The embedded database."""
        return self.data_dir / "glimpse.sqlite"

    def start(self) -> None:
        """Start it and wait until the health check answers.

        :raises ServiceFailed: it ended, or does not answer in time.
        """
        self.begin()
        self.wait_until_it_answers()

    def begin(self) -> None:
        """Start it, and do not wait."""
        self._began = time.perf_counter()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
                start_new_session=True,
            )  # fmt: skip
        self.returncode = None

    def wait_until_it_answers(self) -> None:
        """Wait until the health check answers.

        :raises ServiceFailed: it ended, or does not answer in time.
        """
        assert self._process is not None, "the service was not started"
        while not self.answers():
            if self._process.poll() is not None:
                raise ServiceFailed(f"ended with {self._process.returncode} instead of serving:\n{self.log}")
            if time.perf_counter() - self._began > START_SECONDS:
                self.kill_group()
                raise ServiceFailed(f"did not answer within {START_SECONDS:g} seconds:\n{self.log}")
            time.sleep(0.02)
        self.seconds_to_answer = time.perf_counter() - self._began

    def answers(self) -> bool:
        """Whether the health check answers 200."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self, *, expect: int | None = 0) -> int:
        """Ask it to end with SIGTERM and wait; ``expect`` is the exit code to assert, None for any."""
        self.signal(signal.SIGTERM)
        return self.wait(expect=expect)

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started."""
        os.kill(self.pid, number)

    def wait(self, *, expect: int | None = 0, seconds: float = STOP_SECONDS) -> int:
        """Wait for the end of the service; it may leave no process behind.

        :raises ServiceFailed: still running after ``seconds``, another exit code, or a descendant stayed.
        """
        assert self._process is not None, "the service was not started"
        members = processes.tree(self.pid)
        try:
            self.returncode = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_group()
            raise ServiceFailed(f"still running after {seconds:g} seconds:\n{self.log}") from None
        left = [pid for pid in members if pid != self.pid and not _ends(pid, 5.0)]
        if left:
            self.kill_group()
            raise ServiceFailed(f"left {[processes.command_line(pid) for pid in left]} running:\n{self.log}")
        if expect is not None and self.returncode != expect:
            raise ServiceFailed(f"ended with {self.returncode}, not {expect}:\n{self.log}")
        return self.returncode

    def kill_group(self) -> None:
        """SIGKILL to the service and all its workers at once, as a power cut would end them."""
        assert self._process is not None, "the service was not started"
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.returncode = self._process.wait()

    def workers(self) -> list[int]:
        """The processes that serve requests: descendants of the main one, or itself when it has none."""
        members = [pid for pid in processes.tree(self.pid) if processes.is_running(pid)]
        helpers = ("resource_tracker", "forkserver")
        serving = [pid for pid in members if pid != self.pid and not _mentions(pid, helpers)]
        return serving or [self.pid]

    def resident_bytes(self) -> int:
        """Resident memory of the whole process tree."""
        return processes.tree_resident_bytes(self.pid)


def _mentions(pid: int, words: Sequence[str]) -> bool:
    text = processes.command_line(pid)
    return any(word in text for word in words)


def _ends(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while processes.is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def run_to_the_end(
    arguments: Sequence[str], *, environment: Mapping[str, str] | None = None, seconds: float = START_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run ``glimpse`` with ``arguments`` where it is expected to end by itself; its output is text."""
    return subprocess.run(
        [str(script()), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env=clean_environment(environment), timeout=seconds,
    )  # fmt: skip
