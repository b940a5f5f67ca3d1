"""Configuration files and environment variables for the tests of settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from glimpse.settings.load import Loaded, Sources, load
from glimpse.settings.oslo import Override
from glimpse.stores.filesystem.driver import DRIVER as FILE
from glimpse.stores.memory import DRIVER as MEMORY

DRIVERS = {"file": FILE, "memory": MEMORY}

Loader = Callable[..., Loaded]


@pytest.fixture
def loaded(tmp_path: Path) -> Loader:
    """Load settings from texts of configuration files (in order), an environment and switches."""

    def run(
        *texts: str,
        environ: dict[str, str] | None = None,
        command_line: dict[tuple[str, str], str] | None = None,
        config_dirs: tuple[Path, ...] = (),
    ) -> Loaded:
        files: list[Path] = []
        for number, text in enumerate(texts):
            file = tmp_path / f"file{number}.conf"
            file.write_text(text, encoding="utf-8")
            files.append(file)
        given = {place: Override(value, "--switch") for place, value in (command_line or {}).items()}
        return load(
            Sources(
                config_files=tuple(files),
                config_dirs=config_dirs,
                environ={"HOME": "/home/operator", **(environ or {})},
                command_line=given,
            ),
            DRIVERS,
        )

    return run


@pytest.fixture
def sample() -> Callable[[str], Path]:
    """The path of a sample file beside these tests."""
    return lambda name: Path(__file__).parent / "files" / name
