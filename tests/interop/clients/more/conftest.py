"""Clients that need a virtual environment or a compiler of their own: the stage ``clients-more``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients.conftest import two_stores
from tests.interop.keystone_rig import KeystoneRig, keystone_rig
from tests.support.needs import unavailable
from tests.support.raw_http import Api
from tests.support.service import Service


def environment(name: str) -> Path:
    """The directory of the programs of a virtual environment of the rigs."""
    programs = Path(os.environ.get("RIG_DIR", "")) / "venv" / name / "bin"
    if not os.environ.get("RIG_DIR") or not (programs / "python").exists():
        unavailable(f"no virtual environment {name}: run `dev/services clients-more`")
    return programs


@pytest.fixture(scope="module")
def keystone() -> Iterator[KeystoneRig]:
    rig = keystone_rig()
    yield rig
    rig.clean()


@pytest.fixture(scope="module")
def with_keystone(keystone: KeystoneRig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes tokens of Keystone."""
    place = tmp_path_factory.mktemp("keystone")
    options = {**two_stores(place), "glimpse": {"auth": "keystone"}, "keystone_authtoken": keystone.options()}
    options["DEFAULT"]["enabled_import_methods"] = "[glance-direct,web-download,copy-image,glance-download]"
    with Service(place, options=options) as running:
        yield running


@pytest.fixture
def admin(keystone: KeystoneRig, with_keystone: Service) -> Api:
    """Requests of the administrator of the project ``admin``."""
    return Api(with_keystone.port, {"X-Auth-Token": keystone.token("admin", "admin")})


@pytest.fixture
def clouds(keystone: KeystoneRig, with_keystone: Service, tmp_path: Path) -> Path:
    """A clouds.yaml whose cloud ``rig`` is that service, used by the administrator."""
    cloud = {
        "auth": {
            "auth_url": keystone.url, "username": "admin", "password": keystone.password, "project_name": "admin",
            "user_domain_id": "default", "project_domain_id": "default",
        },
        "image_endpoint_override": with_keystone.url,
        "identity_api_version": "3",
    }  # fmt: skip
    path = tmp_path / "clouds.yaml"
    path.write_text(json.dumps({"clouds": {"rig": cloud}}))  # JSON is YAML
    return path
