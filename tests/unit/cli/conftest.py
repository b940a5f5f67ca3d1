"""Running the command line in tests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from glimpse.cli.main import main

Glimpse = Callable[..., Result]


@pytest.fixture
def glimpse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Glimpse]:
    """Run ``glimpse`` with these arguments in this process, with ``data`` below ``tmp_path`` as the data directory."""
    for name in ("GLIMPSE_DATA_DIR", "XDG_DATA_HOME", "PROMETHEUS_MULTIPROC_DIR"):
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    level, threads, multiprocessing = root.level, logging.logThreads, logging.logMultiprocessing

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(
            main, [str(argument) for argument in arguments], env={"GLIMPSE_DATA_DIR": str(tmp_path / "data")}
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    yield run
    for handler in [found for found in root.handlers if found.get_name() == "glimpse"]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logging.logThreads, logging.logMultiprocessing = threads, multiprocessing


@pytest.fixture
def conf(tmp_path: Path) -> Callable[[str], Path]:
    """A configuration file of this text."""

    def write(text: str) -> Path:
        file = tmp_path / "glance-api.conf"
        file.write_text(text, encoding="utf-8")
        return file

    return write
