"""Says once which servers the contract is not checked on, instead of at every test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.db.backends import SERVERS, Opener, available


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
def test_the_contract_is_checked(kind: str, open_backend: Callable[[str], Opener], tmp_path: Path) -> None:
    if kind not in available():
        pytest.skip(f"{SERVERS[kind]} names no server")
    with open_backend(kind)(tmp_path) as backend:
        assert backend.kind == kind
        assert backend.engine.dialect.name == kind
        assert backend.database.count_leases() == {}
