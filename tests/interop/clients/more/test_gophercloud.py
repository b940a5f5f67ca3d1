"""gophercloud, on which Terraform's provider is built: the version that Debian 12 has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.interop.clients.conftest import imported, tasks
from tests.support.needs import unavailable
from tests.support.raw_http import Api
from tests.support.service import Service, clean_environment
from tests.support.web_server import WebServer

PROGRAM = Path(__file__).with_name("gophercloud") / "main.go"
LIBRARY = Path("/usr/share/gocode")


def test_imports(importing: Service, api: Api, web: WebServer, tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None or not (LIBRARY / "src/github.com/gophercloud").exists():
        unavailable("go or gophercloud is not installed: run `dev/services clients-more`")
    settings = {"GOPATH": str(LIBRARY), "GO111MODULE": "off", "HOME": str(tmp_path), "GOCACHE": str(tmp_path / "cache")}
    ended = subprocess.run(
        [go, "run", str(PROGRAM), importing.url, web.url("files", "disk.raw")],
        capture_output=True, text=True, check=False, env=clean_environment(settings), timeout=280,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    methods, downloaded, staged, task = ended.stdout.splitlines()
    assert methods == "[glance-direct web-download copy-image]"
    for image_id in (downloaded, staged):
        imported(api, image_id)
    assert task == f"{tasks(api, downloaded)[0]['id']} api_image_import success true"
