"""The storage systems of the store benchmark: the rigs that run them, and the options of a store in each.

The options are those that an operator must set; everything else has its default, in Glimpse and in Glance.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Settings = Mapping[str, str]


@dataclass(frozen=True)
class Backend:
    """A kind of store.

    ``rigs`` are those of ``dev/rigs`` that it needs. ``options`` takes the settings of the rigs. ``environment`` is
    what services and the plain client need besides, ``plain`` the virtual environment that has the client's library
    (empty: that of Glimpse), ``settle`` a command between transfers, ``auth`` that of both services.
    """

    name: str
    rigs: tuple[str, ...]
    options: Callable[[Settings], dict[str, str]]
    environment: Callable[[Settings], dict[str, str]] = lambda _: {}
    plain: str = ""
    settle: Callable[[Settings], list[str]] = lambda _: []
    auth: str = "none"

    def sections(self, settings: Settings) -> str:
        """Return the lines of the configuration file for the store; empty for what ``glance-conf`` has itself."""
        options = self.options(settings)
        if not options:
            return ""
        options = {"stores": self.name, "default_store": self.name, **options}
        return "\n".join(["[glance_store]", *(f"{name} = {value}" for name, value in options.items())]) + "\n"

    def plain_interpreter(self, rig_directory: Path) -> str:
        """Return the interpreter for the plain client."""
        return str(rig_directory / "venv" / self.plain / "bin" / "python") if self.plain else sys.executable


def _rbd(settings: Settings) -> dict[str, str]:
    return {
        "rbd_store_ceph_conf": settings["RIG_CEPH_CONF"], "rbd_store_user": "glance", "rbd_store_pool": "images",
    }  # fmt: skip


def _rbd_environment(settings: Settings) -> dict[str, str]:
    return {"PYTHONPATH": settings["RIG_CEPH_PYTHONPATH"]}


def _s3(settings: Settings) -> dict[str, str]:
    return {
        "s3_store_host": settings["RIG_S3_URL"], "s3_store_access_key": "rigaccess",
        "s3_store_secret_key": "rigsecretkey", "s3_store_bucket": "bench", "s3_store_create_bucket_on_put": "true",
        "s3_store_bucket_url_format": "path",
    }  # fmt: skip


def _collect_garbage(settings: Settings) -> list[str]:
    """Return the command with which radosgw frees the space of deleted objects at once."""
    admin = ["-n", "client.admin", "-k", settings["RIG_CEPH_ADMIN_KEYRING"]]
    return ["radosgw-admin", "-c", settings["RIG_CEPH_CONF"], *admin, "gc", "process", "--include-all"]


def _swift(settings: Settings) -> dict[str, str]:
    reference = Path(settings["RIG_DIR"]) / "swift-reference.conf"
    reference.write_text(
        f"[bench]\nauth_address = {settings['RIG_KEYSTONE_URL']}\nauth_version = 3\nuser = service:glance\n"
        f"key = {settings['RIG_KEYSTONE_PASSWORD']}\nuser_domain_id = default\nproject_domain_id = default\n"
    )
    return {
        "swift_store_config_file": str(reference), "default_swift_reference": "bench", "swift_store_container": "bench",
        "swift_store_create_container_on_put": "true",
    }  # fmt: skip


def _cinder(settings: Settings) -> dict[str, str]:
    return {
        "cinder_store_auth_address": settings["RIG_KEYSTONE_URL"], "cinder_store_user_name": "glance",
        "cinder_store_password": settings["RIG_KEYSTONE_PASSWORD"], "cinder_store_project_name": "service",
        "cinder_volume_type": "rbd",
        "rootwrap_config": str(Path(settings["RIG_DIR"]) / "venv/glance/rootwrap.conf"),
    }  # fmt: skip


def _cinder_environment(settings: Settings) -> dict[str, str]:
    # `sudo glance-rootwrap` is found in these directories
    helpers = f"{settings['RIG_DIR']}/cinder/bin:{settings['RIG_DIR']}/venv/glance/bin"
    return {**_rbd_environment(settings), "PATH": f"{helpers}:{settings['PATH']}"}


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("file", (), lambda _: {}),
        Backend("rbd", ("ceph",), _rbd, _rbd_environment),
        Backend("s3", ("ceph", "s3"), _s3, plain="bench", settle=_collect_garbage),
        Backend("swift", ("keystone", "swift"), _swift, plain="glance"),
        # Glance cannot store a volume without the project of a user
        Backend(
            "cinder", ("keystone", "ceph", "cinder"), _cinder, _cinder_environment, plain="glance", auth="keystone"
        ),
    )
}
