"""Reports once which servers are not tested, instead of at every test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from glimpse.registry.client import RegistryDatabase
from tests.contract.db.backends import REGISTRY, SERVERS, Opener, available, through_registry


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
def test_the_contract_is_checked(kind: str, open_backend: Callable[[str], Opener], tmp_path: Path) -> None:
    if kind not in available():
        pytest.skip(f"{SERVERS[kind]} names no server")
    with open_backend(kind)(tmp_path) as backend:
        assert backend.kind == kind
        assert backend.engine.dialect.name == kind
        assert backend.database.count_jobs() == {}


@pytest.mark.parametrize("kind", through_registry() or [""])
def test_the_contract_is_checked_through_a_registry(
    kind: str, open_backend: Callable[[str], Opener], tmp_path: Path
) -> None:
    if not kind:
        pytest.skip("GLIMPSE_TEST_THROUGH_REGISTRY does not ask for it")
    with open_backend(kind)(tmp_path) as backend:
        assert isinstance(backend.database, RegistryDatabase)
        assert backend.remote
        assert backend.engine.dialect.name == kind.removeprefix(REGISTRY)
        assert backend.database.count_jobs() == {}
