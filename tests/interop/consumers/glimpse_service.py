"""Glimpse as the image service of a cloud: Keystone, MariaDB, two workers, the stores of a test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tests.interop.consumers.rigs import rig_dir, run_rig
from tests.interop.keystone_rig import keystone_rig
from tests.support.needs import unavailable
from tests.support.service import Service, run_to_the_end

#: Of Glimpse. Nova and Cinder are told this port when they start.
PORT = int(os.environ.get("RIG_GLIMPSE_PORT", "14292"))

FILES = {
    "DEFAULT": {
        "enabled_backends": "fast:file,slow:file",
        "enabled_import_methods": "[glance-direct,web-download,copy-image]",
    },
    "glance_store": {"default_backend": "fast"},
}


def merged(*options: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Options of a section in one place; the last value counts."""
    found: dict[str, dict[str, object]] = {}
    for each in options:
        for section, values in each.items():
            found.setdefault(section, {}).update(values)
    return found


class OtherService:
    """An image service that runs already: a real Glance, on which the same tests must pass.

    ``GLIMPSE_TEST_CONSUMERS_URL`` is its URL, ``GLIMPSE_TEST_CONSUMERS_LOG`` a log with its access lines.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._log = Path(os.environ["GLIMPSE_TEST_CONSUMERS_LOG"])

    @property
    def log(self) -> str:
        """The whole log."""
        return self._log.read_text(errors="replace")

    def kill_group(self) -> NoReturn:
        """It is not ours to kill."""
        unavailable("this image service was not started by the tests")

    start = kill_group


ImageService = Service | OtherService


@contextmanager
def serve(place: Path, stores: Mapping[str, Mapping[str, object]], *python_path: str) -> Iterator[ImageService]:
    """A running Glimpse with an empty database; it verifies signatures with the certificates that Nova has."""
    if url := os.environ.get("GLIMPSE_TEST_CONSUMERS_URL"):
        yield OtherService(url)
        return
    keystone = keystone_rig()
    database = run_rig("make-database", "mysql", f"consumers_{PORT}", "--fresh").strip()
    common: dict[str, dict[str, object]] = {
        "DEFAULT": {},
        "glimpse": {"auth": "keystone"},
        "keystone_authtoken": keystone.options(service_token_roles="service", service_token_roles_required="true"),
        "database": {"connection": database},
        "key_manager": {"backend": "rig_key_manager.FileKeyManager"},
    }
    environment = {
        "PYTHONPATH": os.pathsep.join((str(Path(os.environ["GLIMPSE_TEST_RIGS"]) / "nova"), *python_path)),
        "RIG_NOVA_CERTS": str(rig_dir() / "nova" / "certs"),
    }
    service = Service(place, options=merged(common, stores), workers=2, environment=environment, port=PORT)
    arguments = ["--config-file", str(service.config_file), "--data-dir", str(service.data_dir)]
    ended = run_to_the_end(["db", "sync", *arguments], environment=environment)
    assert ended.returncode == 0, ended.stderr
    with service:
        yield service
