"""The commands of the README and of the user documents, exactly as they stand there."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import unavailable
from tests.support.service import HOST, Service, clean_environment, free_port
from tests.support.transcript import examples, play

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = ROOT / "docs" / "user"


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthcheck")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def run_document(name: str, programs: Path, home: Path, *, least: int = 16) -> None:
    document = DOCUMENTS / name
    assert len(list(examples(document))) >= least
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
def test_downloads(programs: Path, tmp_path: Path) -> None:
    tools = ("curl", "wget", "aria2c", "nbdkit", "qemu-img")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        unavailable(f"{', '.join(missing)} not found: install wget, aria2, nbdkit, qemu-utils and qemu-block-extra")
    run_document("downloads.md", programs, tmp_path, least=20)


@pytest.mark.timeout(240)
def test_uploads(programs: Path, tmp_path: Path) -> None:
    missing = [tool for tool in ("curl", "openssl") if shutil.which(tool) is None]
    if missing:
        unavailable(f"{', '.join(missing)} not found")
    run_document("uploads.md", programs, tmp_path, least=9)


@pytest.mark.timeout(240)
def test_metadefs(programs: Path, tmp_path: Path) -> None:
    run_document("metadefs.md", programs, tmp_path)


@pytest.mark.timeout(240)
def test_readme(programs: Path, tmp_path: Path) -> None:
    """What stands there after ``make run``, typed into one shell."""
    if shutil.which("curl") is None:
        unavailable("curl not found")
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks[0].startswith("git clone")
    assert blocks[1] == "make run\n"
    typed = "".join(blocks[2:])
    assert "make clients\n" in typed
    assert "curl -f" in typed
    with Service(tmp_path / "service") as service:
        # the clients are installed already; the rest is as it stands there, but for the port
        (tmp_path / ".venv-clients").mkdir()
        (tmp_path / ".venv-clients" / "bin").symlink_to(programs)
        typed = typed.replace("make clients\n", "").replace("127.0.0.1:9292", f"{HOST}:{service.port}")
        done = subprocess.run(
            ["bash", "-e"], input=typed, cwd=tmp_path, env=clean_environment({"HOME": str(tmp_path)}),
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "my-image" in done.stdout
    for name in ("copy.raw", "copy-of-image.raw"):
        assert (tmp_path / name).read_bytes() == bytes(64 << 20)
