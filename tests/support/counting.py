"""Counting what does not depend on the machine: Python calls, own files executed, SQL statements."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Engine, event

import glimpse

SOURCE = str(Path(glimpse.__file__).parent)


@dataclass
class Counted:
    """What ran between the start and the end of a :meth:`Counting.count` block."""

    calls: int = 0
    files: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    statements: list[str] = field(default_factory=list)


class Counting:
    """Counts in the thread that makes it and in every thread started after :meth:`install`.

    Background threads are told from those that work for a request by the parts of their names in ``apart``.
    """

    def __init__(self, apart: tuple[str, ...] = ()) -> None:
        self._apart = apart
        self._counted: Counted | None = None

    def install(self) -> None:
        """Count in threads that start from now on."""
        threading.setprofile(self._profile)

    def remove(self) -> None:
        """Undo :meth:`install`."""
        threading.setprofile(None)

    @contextmanager
    def statements(self, engine: Engine) -> Generator[Counted]:
        """Collect the statements of ``engine`` while the block runs, not its calls: listening adds to them."""
        counted = Counted()

        def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            counted.statements.append(statement)

        event.listen(engine, "before_cursor_execute", listen)
        try:
            yield counted
        finally:
            event.remove(engine, "before_cursor_execute", listen)

    @contextmanager
    def count(self) -> Generator[Counted]:
        """Count while the block runs."""
        counted = Counted()
        self._counted = counted
        sys.setprofile(self._profile)
        try:
            yield counted
        finally:
            sys.setprofile(None)
            self._counted = None

    def _profile(self, frame: FrameType, what: str, _argument: Any) -> None:
        counted = self._counted
        if counted is None or what != "call":
            return
        if any(name in threading.current_thread().name for name in self._apart):
            return
        counted.calls += 1
        code = frame.f_code
        counted.functions[f"{code.co_filename}:{code.co_name}"] += 1
        if code.co_filename.startswith(SOURCE):
            counted.files[code.co_filename[len(SOURCE) + 1 :]] += 1
