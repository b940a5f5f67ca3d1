"""A separate service for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.wire import Wire, settings_in, wired


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Requests to a fresh service, asked by a member of project p1."""
    with wired(settings_in(tmp_path)) as connection:
        yield connection
