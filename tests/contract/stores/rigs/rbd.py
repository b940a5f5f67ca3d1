"""RBD stores in a real Ceph cluster, in pools of their own.

``GLIMPSE_TEST_CEPH_CONF`` names the cluster's configuration, ``GLIMPSE_TEST_CEPH_ADMIN_KEYRING`` the key of its
administrator. Each process makes a user and two pools at first use, and removes them when it ends.
"""

import atexit
import base64
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from glimpse.stores.base import Store
from glimpse.stores.ceph_modules import Bindings, load
from glimpse.stores.rbd.options import RbdOptions
from glimpse.stores.rbd.store import RbdStore
from tests.contract.stores.rigs.base import Faults, Rig
from tests.support.daemons import Daemon

NEEDS = "GLIMPSE_TEST_CEPH_CONF"

#: Seconds for each request to the cluster.
DEADLINE = 8


@dataclass
class Ceph:
    """The cluster, with a user and two pools of this process. ``pools`` are contexts of I/O of the administrator."""

    conf: Path
    user: str
    fsid: str
    pool: str
    small_pool: str
    bindings: Bindings
    admin: Any

    def options(self, **changes: Any) -> RbdOptions:
        values: dict[str, Any] = {
            "rbd_store_pool": self.pool,
            "rbd_store_user": self.user,
            "rbd_store_ceph_conf": str(self.conf),
            "rados_connect_timeout": DEADLINE,
        }
        return RbdOptions(**{**values, **changes})

    def command(self, prefix: str, **arguments: Any) -> Any:
        """Run a command of the monitors as the administrator."""
        text = json.dumps({"prefix": prefix, "format": "json", **arguments})
        code, output, message = self.admin.mon_command(text, b"", timeout=30)
        assert code == 0, message
        return json.loads(output) if output.strip() else None

    def found(self, pool: str) -> list[str]:
        """What is in a pool: images by name, images in the trash, and data objects that belong to neither."""
        rbd = self.bindings.rbd
        with self.admin.open_ioctx(pool) as context:
            names = rbd.RBD().list(context)
            trash = {entry["id"]: entry["name"] for entry in rbd.RBD().trash_list(context)}
            known = set(trash)
            for name in names:
                with rbd.Image(context, name, read_only=True) as image:
                    known.add(image.id())
            stray = [
                found.key
                for found in context.list_objects()
                if found.key.startswith(("rbd_data.", "rbd_header.", "rbd_object_map."))
                and found.key.split(".")[1] not in known
            ]
            ids = [found.key for found in context.list_objects() if found.key.startswith("rbd_id.")]
        stray += [key for key in ids if key.removeprefix("rbd_id.") not in names]
        return [*names, *(f"{name} in the trash" for name in trash.values()), *stray]

    def empty(self, pool: str) -> None:
        """Remove all images of a pool, and their clones first."""
        rbd = self.bindings.rbd
        with self.admin.open_ioctx(pool) as context:
            for entry in list(rbd.RBD().trash_list(context)):
                rbd.RBD().trash_restore(context, entry["id"], entry["id"])
            for name in sorted(rbd.RBD().list(context), key=lambda name: not name.startswith("clone")):
                with rbd.Image(context, name) as image:
                    for snapshot in list(image.list_snaps()):
                        if image.is_protected_snap(snapshot["name"]):
                            image.unprotect_snap(snapshot["name"])
                        image.remove_snap(snapshot["name"])
                rbd.RBD().remove(context, name)


@cache
def ceph() -> Ceph:
    """The cluster, prepared for this process."""
    conf = Path(os.environ[NEEDS])
    bindings = load()
    admin = bindings.rados.Rados(
        conffile=str(conf), rados_id="admin", conf={"keyring": os.environ["GLIMPSE_TEST_CEPH_ADMIN_KEYRING"]}
    )
    admin.connect(timeout=30)
    user = f"glimpse-{os.getpid()}"
    directory = Path(tempfile.mkdtemp(prefix="glimpse-ceph-"))
    cluster = Ceph(
        conf=directory / "ceph.conf", user=user, fsid=admin.get_fsid(), pool=user, small_pool=f"{user}-small",
        bindings=bindings, admin=admin,
    )  # fmt: skip
    pools = (cluster.pool, cluster.small_pool)
    for pool in pools:
        cluster.command("osd pool create", pool=pool, pg_num=8, pgp_num=8)
        cluster.command("osd pool application enable", pool=pool, app="rbd")
    # making and removing a snapshot waits for the monitors, which gather changes for a second by default
    subprocess.run(
        ["ceph", "-c", conf, "-n", "client.admin", "-k", os.environ["GLIMPSE_TEST_CEPH_ADMIN_KEYRING"],
         "tell", "mon.*", "config", "set", "paxos_propose_interval", "0.05"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    # the watch of a client that could not be ended, because the OSD was stopped, lasts for 30 seconds by default
    cluster.command("config set", who="osd", name="osd_client_watch_timeout", value="10")
    allowed = ", ".join(f"profile rbd pool={pool}" for pool in pools)
    key = cluster.command(
        "auth get-or-create", entity=f"client.{user}", caps=["mon", "profile rbd", "osd", allowed, "mgr", allowed]
    )[0]["key"]
    _write_conf(cluster.conf, conf, directory / "keyring", user, key)

    def remove() -> None:
        for pool in pools:
            cluster.command("osd pool delete", pool=pool, pool2=pool, yes_i_really_really_mean_it=True)
        cluster.command("auth del", entity=f"client.{user}")
        admin.shutdown()
        shutil.rmtree(directory)

    atexit.register(remove)
    return cluster


def _write_conf(conf: Path, original: Path, keyring: Path, user: str, key: str) -> None:
    """A configuration file of the same cluster with a key for one user."""
    keyring.write_text(f"[client.{user}]\n\tkey = {key}\n", encoding="utf-8")
    conf.write_text(f"{original.read_text(encoding='utf-8')}\n[client.{user}]\nkeyring = {keyring}\n", encoding="utf-8")


def wrong_credentials(directory: Path) -> RbdOptions:
    """Options of a store whose key is not that of its user."""
    cluster = ceph()
    # a key is a type, the time of its creation, its length, and random bytes
    key = base64.b64encode(struct.pack("<hiih", 1, int(time.time()), 0, 16) + os.urandom(16)).decode()
    conf = directory / "wrong.conf"
    _write_conf(conf, Path(os.environ[NEEDS]), directory / "wrong.keyring", cluster.user, key)
    return cluster.options(rbd_store_ceph_conf=str(conf))


def _daemon(name: str) -> Daemon:
    return Daemon(Path(os.environ["GLIMPSE_TEST_CEPH_RUN"], f"{name}.pid"))


@contextmanager
def hanging(daemon: str = "osd.0") -> Iterator[None]:
    """A daemon that takes requests and does not answer."""
    try:
        with _daemon(daemon).stopped():
            yield
    finally:
        if daemon.startswith("osd."):
            # an only OSD that was stopped for longer than a read lease (16 s) delays requests until it peers again
            ceph().command("osd down", ids=[daemon.removeprefix("osd.")])
            # waits until it does
            with ceph().admin.open_ioctx(ceph().pool) as context:
                context.write_full("back", b"")
                context.remove_object("back")


@contextmanager
def down(daemon: str = "osd.0") -> Iterator[None]:
    """A daemon that is killed; it has restarted at the end."""
    os.kill(_daemon(daemon).pid, signal.SIGKILL)
    try:
        yield
    finally:
        started = subprocess.run(
            [Path(os.environ["GLIMPSE_TEST_RIGS"], "ceph-up")], capture_output=True, text=True, timeout=120, check=False
        )
        assert started.returncode == 0, started.stderr


@contextmanager
def full_pool() -> Iterator[None]:
    """The small pool is at its quota."""
    cluster = ceph()
    with cluster.admin.open_ioctx(cluster.small_pool) as context:
        context.write_full("filler", bytes(2 << 20))
        cluster.command("osd pool set-quota", pool=cluster.small_pool, field="max_bytes", val=str(1 << 20))
        try:
            _await_full(cluster, expected=True)
            yield
        finally:
            cluster.command("osd pool set-quota", pool=cluster.small_pool, field="max_bytes", val="0")
            context.remove_object("filler")
            _await_full(cluster, expected=False)


def _await_full(cluster: Ceph, *, expected: bool) -> None:
    """Wait until the monitors have noticed how full the small pool is."""
    end = time.monotonic() + 60
    while True:
        pools = cluster.command("osd pool ls", detail="detail")
        flags = next(pool["flags_names"] for pool in pools if pool["pool_name"] == cluster.small_pool)
        if ("full" in flags.split(",")) is expected:
            return
        assert time.monotonic() < end, flags
        time.sleep(0.5)


def rbd(base: Path) -> Rig:
    cluster = ceph()
    cluster.empty(cluster.pool)

    @contextmanager
    def full() -> Iterator[Store]:
        with full_pool():
            yield RbdStore("small", cluster.options(rbd_store_pool=cluster.small_pool))
            assert cluster.found(cluster.small_pool) == []

    prefix = f"rbd://{cluster.fsid}/{cluster.pool}/"
    foreign = (
        f"rbd://00000000-0000-0000-0000-000000000000/{cluster.pool}/image/snap",
        f"{prefix}image",
        f"{prefix}image/",
        f"{prefix}/snap",
        f"{prefix}image/snap/more",
        f"{prefix}.image.try1.partial/snap",
        f"{prefix}%00/snap",
        f"{prefix}%ff/snap",
        "rbd://",
        "rbd:///",
        "rbd://.image",
    )
    return _RbdRig(
        store=RbdStore("ceph", cluster.options()),
        leftovers=lambda: cluster.found(cluster.pool),
        prefix=prefix,
        foreign_urls=foreign,
        faults=Faults(
            new_store=lambda: RbdStore("ceph", cluster.options()),
            hanging=hanging,
            deadline=DEADLINE,
            down=down,
            full=full,
            wrong_credentials=lambda: RbdStore("ceph", wrong_credentials(base)),
            expire=None,
        ),
        remove=lambda: cluster.empty(cluster.pool),
    )


class _RbdRig(Rig):
    """Locations end with the name of the snapshot."""

    def url(self, name: str) -> str:
        return f"{self.prefix}{name}/snap"


RIGS = (rbd,)
