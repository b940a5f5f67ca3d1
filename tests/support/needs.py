"""Tests that need something installed are skipped visibly without it, and fail where everything must run."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it when ``GLIMPSE_TEST_REQUIRE`` is 1."""
    if os.environ.get("GLIMPSE_TEST_REQUIRE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
