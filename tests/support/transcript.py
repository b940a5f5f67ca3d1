"""Documents whose examples are true: the ``console`` blocks of a Markdown file, run and compared.

A block is fenced as ``console``; its lines that begin with ``$ `` are commands (``> `` continues one), the others
what they print. A block fenced as ``console server`` has one command that stays in the foreground of a terminal of
its own until Ctrl-C; the next such block, or the end of the document, presses it.

In what is printed, ids and times stand for any ids and times, blanks and rules of tables may be of any length, ``…``
stands for any text in a line, and a line of only ``…`` for any number of lines.
"""

from __future__ import annotations

import re
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.clients import terminal

SKIP = "…"
_FENCE = re.compile(r"^```(.*)$")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ANY_TEXT = r"[^\n]*"
_ANY_LINES = r"(?:[^\n]*\n)*"
SECONDS = 60


@dataclass(frozen=True)
class Example:
    """One command and what the document says it prints. ``line`` is its place in the document."""

    line: int
    command: str
    output: tuple[str, ...]
    server: bool


def examples(document: Path) -> Iterator[Example]:
    """The commands of a document in their order."""
    for kind, first, lines in _blocks(document.read_text().splitlines()):
        if kind[:1] == ["console"]:
            yield from _commands(first, lines, server="server" in kind)


def _blocks(lines: list[str]) -> Iterator[tuple[list[str], int, list[str]]]:
    kind: list[str] | None = None
    first = 0
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if kind is None:
            kind, first = fence[1].split(), number + 1
        else:
            yield kind, first + 1, lines[first:number]
            kind = None


def _commands(first: int, lines: list[str], *, server: bool) -> Iterator[Example]:
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(lines):
        if line.startswith("$ "):
            found.append((first + number, line[2:], []))
        elif line.startswith("> ") and found and not found[-1][2]:
            place, command, output = found[-1]
            found[-1] = (place, f"{command}\n{line[2:]}", output)
        else:
            found[-1][2].append(line)
    for place, command, output in found:
        yield Example(place, command, tuple(output), server)


def agrees(said: tuple[str, ...], printed: list[str]) -> bool:
    """Whether ``printed`` is what the document says."""
    pattern = "".join(
        _ANY_LINES if line.strip() == SKIP else re.escape(_plain(line)).replace(SKIP, _ANY_TEXT) + "\n" for line in said
    )
    return re.fullmatch(pattern, "".join(f"{_plain(line)}\n" for line in printed)) is not None


def _plain(line: str) -> str:
    line = _TIME.sub("<time>", _ID.sub("<id>", line))
    return re.sub(r"-{2,}", "--", re.sub(r"\s+", " ", line)).strip()


class Shell:
    """What one command exports, the next one sees. ``with`` ends it."""

    def __init__(self, home: Path, environment: Mapping[str, str], terminal: str) -> None:
        """``terminal`` is the path of the device that the commands have as their standard input."""
        self._terminal = terminal
        self._script = home / ".command"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, cwd=home, env=dict(environment),
        )  # fmt: skip

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self._bash.kill()
        self._bash.communicate()

    def run(self, command: str) -> tuple[int, list[str]]:
        """Run a command; returns its exit code and the lines that it printed."""
        assert self._bash.stdin
        assert self._bash.stdout
        end = f"end-{uuid.uuid4().hex}"
        self._script.write_text(f"{command}\n")
        self._bash.stdin.write(f". {self._script} <{self._terminal}; printf '\\n%s %s\\n' {end} $?\n")
        self._bash.stdin.flush()
        printed: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(end):
                # the line before is the end of the output's last line, or empty
                return int(line.split()[1]), printed[:-1] if printed and not printed[-1] else printed
            printed.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended during {command!r}: {printed}")


class Terminal:
    """Where the service of the document runs in the foreground."""

    def __init__(self, home: Path, environment: Mapping[str, str], answers: Callable[[], bool]) -> None:
        self._home = home
        self._environment = environment
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> list[str]:
        """Start a command and wait until the service answers; returns the lines that it has printed by then."""
        log = self._home / "service.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-c", f"exec {command}"], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, cwd=self._home, env=dict(self._environment), start_new_session=True,
            )  # fmt: skip
        while not self._answers():
            assert self._process.poll() is None, f"{command!r} ended:\n{log.read_text()}"
        return log.read_text().splitlines()

    def press_control_c(self) -> None:
        """End what runs, and expect an orderly end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            code = self._process.wait(SECONDS)
            self._process = None
            assert code == 0, f"the service ended with {code}"

    def kill(self) -> None:
        """Leave nothing running, whatever went wrong."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(SECONDS)


def play(
    document: Path, home: Path, environment: Mapping[str, str], answers: Callable[[], bool], port: int
) -> list[str]:
    """Run a document's commands in ``home``, its port 9292 being ``port``; returns what differs from the document."""
    server = Terminal(home, environment, answers)
    wrong: list[str] = []
    try:
        with terminal() as (_, device), Shell(home, environment, device) as shell:
            for example in examples(document):
                command = example.command.replace("9292", str(port))
                said = tuple(line.replace("9292", str(port)) for line in example.output)
                if example.server:
                    server.press_control_c()
                    code, printed = 0, server.run(command)
                    said = (*said, SKIP)
                else:
                    code, printed = shell.run(command)
                if code != 0 or not agrees(said, printed):
                    shown = "\n".join(printed)
                    wrong.append(f"line {example.line}: $ {command}\nended with {code} and printed\n{shown}\n")
        server.press_control_c()
    finally:
        server.kill()
    return wrong
