"""Logging set-up. Lines contain the identity in ``context.CALLER``."""

from __future__ import annotations

import atexit
import copy
import logging
import logging.handlers
import queue
import sys
from collections.abc import Callable, Mapping
from functools import partial

from glimpse.context import CALLER
from glimpse.settings.model import Logging
from glimpse.telemetry.formatters import ClassicFormatter, JsonFormatter

#: Marks the handlers that :func:`configure` installed, so that it can be called again.
_HANDLER_NAME = "glimpse"

_undo: list[Callable[[], None]] = []


def configure(settings: Logging) -> None:
    """Log to standard error or to the file in ``settings``.

    If the file is moved away while the service runs (log rotation), a new one is created.

    :raises OSError: the file cannot be written.
    """
    handler: logging.Handler
    if settings.file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        settings.file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.WatchedFileHandler(settings.file, encoding="utf-8")
    handler.set_name(_HANDLER_NAME)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else ClassicFormatter())
    root = logging.getLogger()
    for old in [found for found in root.handlers if found.get_name() == _HANDLER_NAME]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if settings.debug else logging.INFO)
    for name, level in settings.levels:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
    # no line shows these, and they cost calls for every line
    logging.logThreads = False
    logging.logMultiprocessing = False


def write_in_background() -> None:
    """From now on format and write log lines in one separate thread, so that requests do not wait for it.

    Call it once in each worker, after the fork and :func:`configure`. Queued lines are written when the process exits;
    a killed process loses its last lines.
    """
    root = logging.getLogger()
    writing = [handler for handler in root.handlers if handler.get_name() == _HANDLER_NAME]
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    # access lines already have their caller, and there are many: do nothing to them here
    access = logging.getLogger("glimpse.access")
    access_handler = _hand_over(lines)
    access.addHandler(access_handler)
    access.propagate = False
    general = _hand_over(lines)
    general.addFilter(_remember_caller)
    for handler in writing:
        root.removeHandler(handler)
    root.addHandler(general)
    listener = logging.handlers.QueueListener(lines, *writing)
    listener.start()
    atexit.register(listener.stop)
    _undo.append(partial(_stop_writing, listener, {access: access_handler, root: general}))


def write_directly() -> None:
    """Undo :func:`write_in_background`: write queued lines and remove the handlers, for processes that continue."""
    while _undo:
        _undo.pop()()


def _stop_writing(
    listener: logging.handlers.QueueListener, handing_over: Mapping[logging.Logger, logging.Handler]
) -> None:
    for logger, handler in handing_over.items():
        logger.removeHandler(handler)
        logger.propagate = True
    listener.stop()
    atexit.unregister(listener.stop)
    for handler in listener.handlers:
        logging.getLogger().addHandler(handler)


def _hand_over(lines: queue.SimpleQueue[logging.LogRecord]) -> logging.Handler:
    handler = logging.handlers.QueueHandler(lines)
    # the other thread only needs a copy; it does the formatting
    handler.prepare = copy.copy  # pyright: ignore[reportAttributeAccessIssue]  # its parameter has another name
    return handler


def _remember_caller(record: logging.LogRecord) -> bool:
    """Store the caller in the record, because the writing thread cannot know it."""
    if not hasattr(record, "caller"):
        record.caller = CALLER.get()
    return True
