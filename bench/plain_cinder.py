"""A plain client of Cinder: a volume, attached with os-brick, and written and read in sequence."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import tempfile
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

PIECE = 4 << 20
_GIB = 1 << 30


class CinderVolume:
    """One volume. It is attached for each way, as an image service does."""

    def __init__(self, options: dict[str, str]) -> None:
        import os_brick  # noqa: PLC0415
        from cinderclient import client  # noqa: PLC0415
        from keystoneauth1 import session  # noqa: PLC0415
        from keystoneauth1.identity import v3  # noqa: PLC0415
        from os_brick.initiator import connector  # noqa: PLC0415
        from oslo_config import cfg  # noqa: PLC0415
        from oslo_privsep import priv_context  # noqa: PLC0415

        self._connector = connector
        self._helper = os.environ["RIG_CINDER_ROOT_HELPER"]
        cfg.CONF([], project="bench")
        os_brick.setup(cfg.CONF)
        cfg.CONF.set_override("lock_path", tempfile.mkdtemp(prefix="glimpse-bench-"), group="os_brick")
        priv_context.init(root_helper=shlex.split(self._helper))
        auth = v3.Password(
            auth_url=options["cinder_store_auth_address"], username=options["cinder_store_user_name"],
            password=options["cinder_store_password"], project_name=options["cinder_store_project_name"],
            user_domain_name="Default", project_domain_name="Default",
        )  # fmt: skip
        self._cinder = client.Client("3.70", session=session.Session(auth=auth), service_type="volumev3")
        self._type = options["cinder_volume_type"]
        self._volume: Any = None

    def write(self, parts: Iterator[memoryview], size: int) -> None:
        self._volume = self._cinder.volumes.create(-(-size // _GIB), name="bench", volume_type=self._type)
        self._wait("available")
        with self._attached("rw") as device:
            for part in parts:
                for start in range(0, len(part), PIECE):
                    device.write(bytes(part[start : start + PIECE]))
            device.flush()

    def read(self, offset: int, size: int) -> None:
        with self._attached("ro") as device:
            device.seek(offset)
            while size > 0 and (part := device.read(min(size, PIECE))):
                size -= len(part)

    def remove(self) -> None:
        self._cinder.volumes.delete(self._volume)

    @contextlib.contextmanager
    def _attached(self, mode: str) -> Iterator[BinaryIO]:
        """Yield the volume as a file; what os-brick returns for RBD is one already."""
        self._wait("available")
        properties = self._connector.get_connector_properties(
            self._helper, "127.0.0.1", multipath=False, enforce_multipath=False, host=socket.gethostname()
        )
        made = self._cinder.attachments.create(self._volume.id, None, mode=mode)
        attachment_id = made["id"] if isinstance(made, dict) else made.id
        found = self._cinder.attachments.update(attachment_id, {**properties, "mountpoint": "bench"})
        info = found["connection_info"] if isinstance(found, dict) else found.connection_info
        connection = self._connector.InitiatorConnector.factory(
            info["driver_volume_type"], self._helper, conn=info, use_multipath=False
        )
        device = connection.connect_volume(info)
        try:
            self._cinder.attachments.complete(attachment_id)
            yield device["path"]
        finally:
            connection.disconnect_volume(info, device, force=True)
            self._cinder.attachments.delete(attachment_id)

    def _wait(self, status: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while (found := self._cinder.volumes.get(self._volume.id).status) != status:
            if time.monotonic() > deadline or found.startswith("error"):
                raise SystemExit(f"the volume is {found}")
            time.sleep(0.2)
