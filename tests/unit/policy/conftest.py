from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glimpse.policy.engine import OsloPolicy
from glimpse.settings.model import PolicySettings

MakePolicy = Callable[..., OsloPolicy]


@pytest.fixture
def policy() -> OsloPolicy:
    """The default rules, no files."""
    return OsloPolicy(PolicySettings())


@pytest.fixture
def make_policy(tmp_path: Path) -> MakePolicy:
    """A policy over files in ``tmp_path``; keyword ``files`` maps names below it to content."""

    def make(files: dict[str, str] | None = None, **options: Any) -> OsloPolicy:
        for name, content in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        engine = {key: options.pop(key) for key in ("reload_interval", "defaults", "remote_options") if key in options}
        return OsloPolicy(PolicySettings(config_dirs=(tmp_path,), **options), **engine)

    return make
