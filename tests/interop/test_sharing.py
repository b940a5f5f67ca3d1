"""docs/user/sharing.md: what three users see of each other's images, with names and passwords, and with Keystone."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.support.clients import Client
from tests.support.needs import unavailable
from tests.support.service import Service, clean_environment
from tests.support.transcript import examples, play

DOCUMENT = Path(__file__).parents[2] / "docs" / "user" / "sharing.md"
PASSWORD = "secret"
#: user → project and roles, as the document has them
USERS = {
    "member": ("web", ("member", "reader")),
    "reader": ("lab", ("reader",)),
    "admin": ("operators", ("admin",)),
}


def of_kind(kind: str, other: str, place: Path) -> Path:
    """The document without the blocks that are for ``other``."""
    text = re.sub(rf"^```console {other}\n.*?^```\n", "", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert f"console {kind}" in text
    document = place / f"{kind}.md"
    document.write_text(text)
    assert len(list(examples(document))) > 25
    return document


def clouds_file(place: Path, clouds: Mapping[str, Mapping[str, Any]]) -> Path:
    """A clouds.yaml; JSON is YAML."""
    path = place / "clouds.yaml"
    path.write_text(json.dumps({"clouds": clouds}))
    return path


def run_document(document: Path, service: Service, clouds: Path, programs: Path, home: Path) -> None:
    environment = clean_environment(
        {
            "HOME": str(home),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "COLUMNS": "100",
            "OS_CLIENT_CONFIG_FILE": str(clouds),
        }
    )
    wrong = play(document, home, environment, service.answers, service.port)
    assert wrong == [], "\n".join(wrong)


@pytest.fixture
def basic(programs: Path, tmp_path: Path) -> Iterator[Service]:
    """A service with the users of the document in its own files."""
    htpasswd, users = tmp_path / "htpasswd", tmp_path / "users.ini"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    htpasswd.write_text("".join(f"{name}:{hashed}\n" for name in USERS))
    users.write_text(
        "".join(
            f"[{name}]\nproject = {project}\nroles = {', '.join(roles)}\n" for name, (project, roles) in USERS.items()
        )
    )
    options = {"glimpse": {"auth": "basic", "htpasswd_file": htpasswd, "users_file": users}}
    with Service(tmp_path / "service", options=options) as running:
        yield running


@pytest.mark.timeout(240)
def test_with_names_and_passwords(basic: Service, programs: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        unavailable("curl not found: install curl")
    endpoint = f"{basic.url}/v2"
    clouds = {
        name: {"auth_type": "http_basic", "auth": {"username": name, "password": PASSWORD, "endpoint": endpoint}}
        for name in USERS
    }
    document = of_kind("basic", "keystone", tmp_path)
    run_document(document, basic, clouds_file(tmp_path, clouds), programs, tmp_path)


@pytest.fixture
def keystone_clouds(programs: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The clouds of the document; their users and projects are made in the Keystone that the environment names."""
    url = os.environ.get("GLIMPSE_TEST_KEYSTONE_URL")
    password = os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD", "")
    if not url:
        unavailable("GLIMPSE_TEST_KEYSTONE_URL is not set: run dev/rigs/keystone-up")

    def cloud(user: str, password: str, project: str) -> dict[str, Any]:
        auth = {
            "auth_url": url, "username": user, "password": password, "project_name": project,
            "user_domain_id": "default", "project_domain_id": "default",
        }  # fmt: skip
        return {"auth": auth, "identity_api_version": 3}

    administrator = {"OS_CLIENT_CONFIG_FILE": str(clouds_file(tmp_path, {"root": cloud("admin", password, "admin")}))}
    identity = Client(programs / "openstack", tmp_path, {**administrator, "OS_CLOUD": "root"})
    clouds = {"admin": cloud("admin", password, "admin")}
    for name, (project, roles) in USERS.items():
        if name == "admin":
            continue
        identity.ok("project", "create", "--or-show", project)
        user = f"sharing-{name}"
        identity.ok("user", "create", "--or-show", "--password", PASSWORD, user)
        for role in roles:
            identity.ok("role", "add", "--user", user, "--project", project, role)
        clouds[name] = cloud(user, PASSWORD, project)
    return clouds


@pytest.fixture
def with_keystone(keystone_clouds: dict[str, dict[str, Any]], tmp_path: Path) -> Iterator[Service]:
    """A service that has tokens checked by that Keystone."""
    auth = keystone_clouds["admin"]["auth"]
    section = {
        "auth_type": "password", "auth_url": auth["auth_url"], "www_authenticate_uri": auth["auth_url"],
        "username": auth["username"], "password": auth["password"], "project_name": auth["project_name"],
        "user_domain_id": "default", "project_domain_id": "default",
    }  # fmt: skip
    options = {"glimpse": {"auth": "keystone"}, "keystone_authtoken": section}
    with Service(tmp_path / "service", options=options) as running:
        yield running


@pytest.mark.timeout(300)
def test_with_keystone(
    with_keystone: Service, keystone_clouds: dict[str, dict[str, Any]], programs: Path, tmp_path: Path
) -> None:
    for cloud in keystone_clouds.values():
        cloud["image_endpoint_override"] = with_keystone.url
    document = of_kind("keystone", "basic", tmp_path)
    run_document(document, with_keystone, clouds_file(tmp_path, keystone_clouds), programs, tmp_path)
