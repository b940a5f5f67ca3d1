"""Services that the system tests start; every test of this directory is marked ``system``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.raw_http import Api
from tests.support.service import Service

HERE = Path(__file__).parent

StartService = Callable[..., Service]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is collected here."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="module", params=["granian", pytest.param("uvicorn", marks=pytest.mark.heavy)])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests of a module, with the defaults; with the other server where there is more time."""
    options = {"glimpse": {"server": request.param}}
    with Service(tmp_path_factory.mktemp(request.param), options=options) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Api:
    """Requests to ``service``."""
    return Api(service.port)


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Start further services, each in its own place unless it names one; all are stopped at the end."""
    with ExitStack() as stack:

        def start(place: str = "service", **settings: object) -> Service:
            return stack.enter_context(Service(tmp_path / place, **settings))  # type: ignore[arg-type]

        yield start
