"""The fixtures of the contract: a store of each driver (``rigs/``)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.stores.rigs.all import built, parameters
from tests.contract.stores.rigs.base import Rig
from tests.support.small_disk import small_file_system


@pytest.fixture(params=parameters())
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A store of each driver; at the end nothing is there but what the test says."""
    rig = built(request.param, tmp_path)
    yield rig
    rig.end()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A real file system of 8 MiB, where mounting is allowed. It cannot be unmounted while a file on it is open."""
    with small_file_system("size=8m,nr_inodes=64") as place:
        yield place
