"""A separate service for each test, with an administrator as caller and one namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.metadefs.examples import NAMESPACES, Metadefs
from tests.support.wire import ADMIN, settings_in, wired


@pytest.fixture
def metadefs(tmp_path: Path) -> Iterator[Metadefs]:
    """Requests below ``/v2/metadefs/namespaces`` by an administrator."""
    with wired(settings_in(tmp_path)) as connection:
        yield Metadefs(connection.as_(ADMIN), NAMESPACES)


@pytest.fixture
def rack(metadefs: Metadefs) -> Metadefs:
    """Requests below the namespace ``Acme::Rack``, which is public and empty."""
    metadefs.made("POST", "", {"namespace": "Acme::Rack", "visibility": "public"})
    return metadefs.below("/Acme::Rack")
