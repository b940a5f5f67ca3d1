"""Unmodified clients and the services that they talk to; every test of this directory is marked ``interop``."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from tests.interop.metadef_requests import Definitions
from tests.support import netboot
from tests.support.clients import Client, client_programs
from tests.support.needs import unavailable
from tests.support.raw_http import Api
from tests.support.service import Service

HERE = Path(__file__).parent
PASSWORDS = {"alice": "correct horse", "bob": "battery staple", "root": "admin of all"}
USERS = """
[alice]
project = physics
[bob]
project = chemistry
[root]
project = operators
roles = admin
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is collected here."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The directory of the clients' programs."""
    return client_programs()


@pytest.fixture(scope="module")
def service(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the defaults, and so with auth ``none``."""
    with Service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def basic_service(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for names and passwords: see ``PASSWORDS`` and ``USERS``."""
    place = tmp_path_factory.mktemp("basic")
    hashed = {name: bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode() for name, word in PASSWORDS.items()}
    htpasswd, users = place / "htpasswd", place / "users.conf"
    htpasswd.write_text("".join(f"{name}:{value}\n" for name, value in hashed.items()))
    users.write_text(USERS)
    options = {"glimpse": {"auth": "basic", "htpasswd_file": htpasswd, "users_file": users}}
    with Service(place, options=options) as running:
        yield running


@pytest.fixture
def openstack(programs: Path, service: Service, tmp_path: Path) -> Client:
    """The ``openstack`` command without identity."""
    return Client(programs / "openstack", tmp_path, {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": service.url})


@pytest.fixture
def rack(service: Service) -> Iterator[Definitions]:
    """A namespace of metadata definitions with some content, of each test its own."""
    definitions = Definitions(Api(service.port), f"Acme::Rack::{uuid.uuid4().hex[:8]}")
    definitions.create()
    yield definitions
    definitions.unprotect()
    assert definitions("DELETE").status in {204, 404}


@pytest.fixture(scope="session")
def netboot_iso(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's network installer as a hybrid ISO, at least 60 MB."""
    missing = netboot.missing()
    if missing:
        unavailable(f"{', '.join(missing)} not found: install {netboot.PACKAGES}")
    return netboot.build_iso(tmp_path_factory.mktemp("netboot"))


@pytest.fixture(scope="session")
def netboot_qcow2(netboot_iso: Path) -> Path:
    """What qemu-img makes of the ISO, at least 60 MB."""
    return netboot.build_qcow2(netboot_iso)
