"""A program that changes a stream of users' data, run with the limits of :mod:`glimpse.conversion.limited`."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import IO, Final, cast

from glimpse.conversion.limited import ENVIRONMENT, STARTER, Limits, TookTooLong

#: Bytes that are written to and read from the program at once.
_PIECE_BYTES: Final = 64 << 10
#: Bytes of the error output that are read.
_ERROR_BYTES: Final = 4 << 10


class LimitedFilter:
    """One run of the program. It must be closed, which ends the program. Used by one thread.

    ``limits.seconds`` is how long the program may neither take nor give data.
    """

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        """Start the program, given by its path and arguments.

        :raises OSError: the service can start no process.
        """
        self._seconds = limits.seconds
        self._errors = TemporaryFile()  # noqa: SIM115 - closed by close()
        numbers = (os.getpid(), limits.cpu_seconds, limits.address_space, limits.file_size)
        try:
            self._child = subprocess.Popen(  # noqa: S603 - the command is the service's own
                [sys.executable, "-I", "-S", str(STARTER), *map(str, numbers), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=ENVIRONMENT,
                cwd=Path("/"),
                start_new_session=True,
                bufsize=0,
            )
        except BaseException:
            self._errors.close()
            raise
        self._input, self._output = cast("IO[bytes]", self._child.stdin), cast("IO[bytes]", self._child.stdout)
        for pipe in (self._input, self._output):
            os.set_blocking(pipe.fileno(), False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the program makes of the next bytes; exhaust it before the next call.

        A program that ends before it has read everything takes the rest as read.

        :raises TookTooLong: it makes no progress.
        """
        left = memoryview(data)
        while left:
            takes, gives = self._wait(writes=True)
            if gives and (piece := self._output.read(_PIECE_BYTES)):
                yield piece
            if takes:
                try:
                    left = left[self._input.write(left[:_PIECE_BYTES]) or 0 :]
                except BrokenPipeError:
                    return

    def finish(self) -> Iterator[bytes]:
        """Tell the program that there are no more data, and yield the rest of what it makes.

        :raises TookTooLong: it makes no progress.
        """
        self._input.close()
        while True:
            self._wait(writes=False)
            piece = self._output.read(_PIECE_BYTES)
            if piece == b"":
                return
            if piece:
                yield piece

    def end(self) -> tuple[int, str]:
        """Return the exit code of the program, or minus the signal that ended it, and its error output.

        :raises TookTooLong: it does not end.
        """
        try:
            code = self._child.wait(self._seconds)
        except subprocess.TimeoutExpired as error:
            raise TookTooLong from error
        self._errors.seek(0)
        return code, self._errors.read(_ERROR_BYTES).decode(errors="replace")

    def close(self) -> None:
        """End the program. Safe to call twice."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        for file in (self._input, self._output, self._errors):
            file.close()

    def _wait(self, *, writes: bool) -> tuple[bool, bool]:
        """Wait until the program takes data, or gives some; return which of them it does."""
        until = monotonic() + self._seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            if writes:
                selector.register(self._input, selectors.EVENT_WRITE)
            while True:
                ready = {key.fileobj for key, _ in selector.select(max(0.0, until - monotonic()))}
                if ready:
                    return self._input in ready, self._output in ready
                if monotonic() >= until:
                    raise TookTooLong
