"""The two log formats (configuration 12): classic lines, and JSON objects."""

from __future__ import annotations

import json
import logging
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import msgspec

from glimpse.context import Context
from glimpse.telemetry.redaction import one_line, printable_json, redacted

#: The caller of the current request; None outside of requests.
CALLER: ContextVar[Context | None] = ContextVar("glimpse_caller", default=None)

_PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "caller", "taskName"}
_ENCODE = msgspec.json.Encoder(enc_hook=str).encode


class ClassicFormatter(logging.Formatter):
    """``2026-01-01 10:12:26.465 9743 INFO glimpse.api [None req-… user project - - - -] text``.

    A traceback follows on separate lines with the same prefix.
    """

    def __init__(self) -> None:
        super().__init__()
        #: the last formatted second; replaced as a whole, because many threads log
        self._second = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        beginning = f"{self._time(record)} {record.process} {record.levelname} {record.name} "
        caller: Context | None = getattr(record, "caller", None) or CALLER.get()
        message = one_line(redacted(record.getMessage()))
        line = f"{beginning}{_identity(caller)} {message}"
        if record.exc_info or record.stack_info:
            return "\n".join((line, *(beginning + part for part in _trace_lines(self, record))))
        return line

    def _time(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        known = self._second
        if known[0] != second:
            known = (second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second)))
            self._second = known
        return f"{known[1]}.{int(record.msecs):03d}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line, with the values of ``extra`` as members."""

    def format(self, record: logging.LogRecord) -> str:
        caller: Context | None = getattr(record, "caller", None) or CALLER.get()
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "request_id": caller.request_id if caller else None,
            "user": caller.user_id if caller else None,
            "project": caller.project_id if caller else None,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info or record.stack_info:
            entry["exception"] = "\n".join(_trace_lines(self, record))
        for name, value in vars(record).items():
            if name not in _PLAIN_FIELDS and name not in entry:
                entry[name] = redacted(value) if isinstance(value, str) else value
        return printable_json(_json(entry))


def _json(entry: dict[str, Any]) -> str:
    try:
        return _ENCODE(entry).decode()
    except UnicodeEncodeError:
        # lone surrogates cannot be encoded in UTF-8; as escapes they are valid JSON
        return json.dumps(entry, default=str)


def _identity(caller: Context | None) -> str:
    if caller is None:
        return "[-]"
    # global request id, then id, user, project, domain, system scope, user domain, project domain
    return one_line(
        f"[None {caller.request_id} {caller.user_id or '-'} {caller.project_id or '-'} "
        f"{caller.domain_id or '-'} {caller.system_scope or '-'} - -]"
    )


def _trace_lines(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    text = "" if not record.exc_info else formatter.formatException(record.exc_info)
    if record.stack_info:
        text = f"{text}\n{record.stack_info}" if text else record.stack_info
    return [one_line(line) for line in redacted(text).split("\n")]
