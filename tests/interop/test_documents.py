"""The commands of the user documents, exactly as they stand there."""

from __future__ import annotations

import http.client
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.needs import unavailable
from tests.support.service import HOST, clean_environment, free_port
from tests.support.transcript import examples, play

DOCUMENTS = Path(__file__).parents[2] / "docs" / "user"


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthcheck")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def run_document(name: str, programs: Path, home: Path) -> None:
    document = DOCUMENTS / name
    assert len(list(examples(document))) > 15
    port = free_port()
    search = [str(Path(sys.executable).parent), str(programs), os.environ["PATH"]]
    environment = clean_environment(
        {"HOME": str(home), "PATH": ":".join(search), "COLUMNS": "100", "OS_DEFAULT__BIND_PORT": str(port)}
    )
    wrong = play(document, home, environment, lambda: answers(port), port)
    assert wrong == [], "\n".join(wrong)


@pytest.mark.timeout(240)
def test_first_image(programs: Path, tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        unavailable("qemu-img not found: install qemu-utils")
    run_document("first-image.md", programs, tmp_path)


@pytest.mark.timeout(240)
def test_metadefs(programs: Path, tmp_path: Path) -> None:
    run_document("metadefs.md", programs, tmp_path)
