"""openstacksdk: each step of ``import_sdk_steps.py`` in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.test_sdk import run_step, steps_of
from tests.support.service import Service
from tests.support.web_server import WebServer

SCRIPT = Path(__file__).with_name("import_sdk_steps.py")


@pytest.mark.parametrize("step", steps_of(SCRIPT))
def test_imports(programs: Path, importing: Service, web: WebServer, disk: Path, step: str) -> None:
    connection: dict[str, object] = {"auth_type": "none", "auth": {"endpoint": importing.url}}
    run_step(programs, step, connection, disk.parent, SCRIPT, web.url("files", "disk.raw"))
