"""Missing packages are reported in one sentence, with the command that installs the right distribution."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from glimpse.extras import DISTRIBUTION, Extra
from tests.support.service import clean_environment, script

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Written by people; what is installed or made by tools beside them is somebody else's.
WRITTEN = ("src", "docs", "dev", "tests", "requirements", "bench", ".ci")
TEXTS = {".py", ".md", ".txt", ".in", ".toml", ".yaml", ".sh", ""}

POSTGRESQL = "[database]\nconnection = postgresql://glance:secret@127.0.0.1:1/glance\nmax_retries = 0\n"
KEYSTONE = "[keystone_authtoken]\nauth_type = password\nauth_url = http://127.0.0.1:1/\n"
NOTIFICATIONS = "[oslo_messaging_notifications]\ndriver = messagingv2\n"


def texts() -> list[Path]:
    below = [path for name in WRITTEN for path in (ROOT / name).rglob("*") if path.suffix in TEXTS and path.is_file()]
    return [path for path in (*below, *ROOT.glob("*")) if path.is_file() and path.suffix in TEXTS]


def test_no_message_and_no_document_advises_to_install_a_strangers_package() -> None:
    stranger = re.compile(r"pip install\s+(-\S+\s+)*[\"']?glimpse(?!-images)\b|(?<![\w./-])glimpse\[[a-z,]+\]")
    looked_at = texts()
    assert len(looked_at) > 300
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in looked_at
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if stranger.search(line)
    ]
    assert found == []


def test_the_distribution_has_the_name_that_messages_tell() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert set(PROJECT["optional-dependencies"]) == {*get_args(Extra), "all"}
    assert PROJECT["optional-dependencies"]["all"] == [f"{DISTRIBUTION}[{','.join(get_args(Extra))}]"]


@pytest.mark.parametrize(
    ("module", "extra", "command", "configuration"),
    [
        ("psycopg", "postgresql", "serve", POSTGRESQL),
        ("psycopg", "postgresql", "worker", POSTGRESQL),
        ("psycopg", "postgresql", "db sync", POSTGRESQL),
        ("psycopg", "postgresql", "db check", POSTGRESQL),
        ("psycopg", "postgresql", "config check", POSTGRESQL),
        ("pymysql", "mysql", "serve", POSTGRESQL.replace("postgresql", "mysql")),
        ("pymysql", "mysql", "db sync", POSTGRESQL.replace("postgresql", "mysql")),
        ("pymysql", "mysql", "jobs list", POSTGRESQL.replace("postgresql", "mysql")),
        ("keystonemiddleware", "keystone", "serve", f"[paste_deploy]\nflavor = keystone\n{KEYSTONE}"),
        ("oslo_limit", "limits", "serve", "[DEFAULT]\nuse_keystone_limits = true\n"),
        ("oslo_messaging", "notifications", "serve", NOTIFICATIONS),
        ("oslo_messaging", "notifications", "worker", NOTIFICATIONS),
        ("cursive", "signatures", "serve", "[glimpse]\nsignature_trusted_certificates = 0b6a\n"),
        ("uvicorn", "uvicorn", "serve", "[glimpse]\nserver = uvicorn\n"),
        ("httptools", "registry", "registry", "[glimpse]\nregistry_port = 1\n"),
    ],
)
def test_a_missing_package_is_one_sentence_that_says_how_to_install_it(
    tmp_path: Path, module: str, extra: str, command: str, configuration: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    file = tmp_path / "glance-api.conf"
    certificates = ""
    if command == "registry":
        subprocess.run([script(), "registry", "certs", tmp_path / "certs", "--host", "localhost"], check=True)
        certificates = "".join(
            f"{option} = {tmp_path}/certs/{name}\n"
            for option, name in (
                ("registry_server_cert_file", "server.crt"),
                ("registry_server_key_file", "server.key"),
                ("registry_client_ca_file", "ca.crt"),
            )
        )
    file.write_text(configuration + certificates)
    done = subprocess.run(
        [sys.executable, "-m", "glimpse.cli", *command.split(), "--config-file", str(file)],
        env=clean_environment({"PYTHONPATH": os.pathsep.join([str(tmp_path)]), "GLIMPSE_DATA_DIR": f"{tmp_path}/data"}),
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert done.returncode == 1, (done.stdout, done.stderr)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert f"needs the Python package {module}, which is not installed" in errors[0]
    assert f"pip install 'glimpse-images[{extra}]'" in errors[0]
    assert f"pip install '.[{extra}]'" in errors[0]
