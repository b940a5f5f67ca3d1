"""Statement logging for debugging, with the function that sent each statement.

Values of parameters are never logged: the engine hides them.
"""

from __future__ import annotations

import inspect
import logging
from types import FrameType
from typing import Any

from sqlalchemy import Engine, event

_ENGINE_LOG = logging.getLogger("sqlalchemy.engine")

#: ``[database] connection_debug`` from which statements are logged, and with their results.
STATEMENTS = 50
RESULTS = 100

# frames between a statement and the code that is responsible for it
_BETWEEN = ("sqlalchemy", "glimpse.db.sql.transaction", "glimpse.db.sql.statement_log")


def log_statements(connection_debug: int) -> None:
    """Log statements from here on; an engine looks at this when it is made."""
    if connection_debug >= RESULTS:
        _ENGINE_LOG.setLevel(logging.DEBUG)
    elif connection_debug >= STATEMENTS:
        _ENGINE_LOG.setLevel(logging.INFO)


def mark_statements(engine: Engine) -> None:
    """Begin each statement with a comment that names the function that sent it, for the logs of the database."""

    def mark(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        return f"/* {_caller(inspect.currentframe())} */ {statement}", parameters

    event.listen(engine, "before_cursor_execute", mark, retval=True)


def _caller(frame: FrameType | None) -> str:
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        if not module.startswith(_BETWEEN):
            # a lambda's or comprehension's name has brackets, which are none of a comment's
            return f"{module}.{frame.f_code.co_name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
