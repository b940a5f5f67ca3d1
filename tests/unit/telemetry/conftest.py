"""Restores the logging set-up after each test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Undo what ``log.configure`` changes in the process."""
    root = logging.getLogger()
    level, threads, multiprocessing = root.level, logging.logThreads, logging.logMultiprocessing
    yield
    for handler in [found for found in root.handlers if found.get_name() == "glimpse"]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logging.logThreads, logging.logMultiprocessing = threads, multiprocessing
