"""os-brick in the attaching process: what this host is, connecting, disconnecting."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import subprocess
from contextlib import suppress
from importlib import import_module
from threading import Lock
from typing import Any

from glimpse.stores import ceph_modules
from glimpse.stores.cinder.connection_checks import check_path, checked
from glimpse.stores.cinder.devices import Device, DeviceError, PathDevice, RbdDevice, SharedDevice
from glimpse.stores.cinder.wire import HostSettings

LOG = logging.getLogger(__name__)

#: Of the extra ``cinder``.
_MODULES = ("os_brick", "os_brick.initiator.connector", "oslo_config.cfg", "oslo_privsep.priv_context")


class Attacher:
    """Connects volumes to this host with os-brick, which is imported at first use."""

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._module: Any = None
        self._mounted: set[str] = set()
        self._properties: dict[tuple[bool, bool], dict[str, Any]] = {}

    def properties(self, *, multipath: bool, enforce: bool) -> dict[str, Any]:
        """Return what Cinder has to know about this host to export a volume to it.

        :raises DeviceError: os-brick cannot be used.
        """
        module = self._loaded()
        with self._lock:
            found = self._properties.get((multipath, enforce))
            if found is None:
                settings = self._settings
                try:
                    found = module.get_connector_properties(
                        settings.root_helper, settings.address, multipath, enforce, host=socket.gethostname()
                    )
                except Exception as error:
                    LOG.exception("The properties of this host cannot be collected")
                    raise DeviceError(f"os-brick does not work on this host ({type(error).__name__})") from error
                self._properties[multipath, enforce] = found
            return found

    def connected(self, connection: dict[str, Any], *, writable: bool, multipath: bool) -> SharedDevice:
        """Connect a volume and open its device.

        :raises DeviceError: it cannot be connected, or is of a format that holds no plain data.
        """
        connection = checked(connection)
        if connection.get("driver_volume_type") == "rbd":
            _check_ceph()
        connector = self._connector(connection, multipath=multipath)
        if connection.get("driver_volume_type") == "nfs":
            self._note_share(connector, connection)
        try:
            found = connector.connect_volume(connection)
        except Exception as error:
            LOG.warning("A volume cannot be connected: %s", error, exc_info=True)
            raise DeviceError(f"the volume cannot be connected ({type(error).__name__})") from error
        try:
            device = self._opened(connection["driver_volume_type"], found["path"], writable=writable)
            return SharedDevice(connector, connection, found, device)
        except Exception as error:
            LOG.exception("A volume cannot be opened")
            connector.disconnect_volume(connection, found, force=True, ignore_errors=True)
            if isinstance(error, DeviceError):
                raise
            raise DeviceError(f"the volume cannot be opened ({type(error).__name__})") from error

    def disconnect(self, connection: dict[str, Any]) -> None:
        """Disconnect what a dead process has left; what cannot be found is not an error."""
        if connection.get("driver_volume_type") in {"rbd", "nfs"}:
            return  # the connection has died with the process; a share stays mounted
        try:
            connection = checked(connection)
            self._connector(connection, multipath=False).disconnect_volume(
                connection, None, force=True, ignore_errors=True
            )
        except Exception as error:  # noqa: BLE001 - os-brick's errors have no common base; the volume is detached anyway
            LOG.warning("A volume that a dead process has left cannot be disconnected: %s", error)

    def unmount(self) -> None:
        """Unmount the shares that this process has mounted, unless others use them."""
        for path in self._mounted:
            command = [*shlex.split(self._settings.root_helper), "umount", path]
            ended = subprocess.run(command, check=False, capture_output=True, timeout=60)  # noqa: S603 - of the operator
            if ended.returncode:
                LOG.info("%s stays mounted: %s", path, ended.stderr.decode(errors="replace").strip())
        self._mounted.clear()

    def _note_share(self, connector: Any, connection: dict[str, Any]) -> None:
        path = connector._remotefsclient.get_mount_point(connection["export"])  # noqa: SLF001 - there is no other way
        if not os.path.ismount(path):
            self._mounted.add(path)

    def _opened(self, kind: Any, path: Any, *, writable: bool) -> Device:
        if hasattr(path, "rbd_image"):
            return RbdDevice(path)
        check_path(kind, str(path))
        return PathDevice(str(path), writable=writable, root_helper=self._settings.root_helper)

    def _connector(self, connection: dict[str, Any], *, multipath: bool) -> Any:
        kind = connection.get("driver_volume_type")
        module = self._loaded()
        extra: dict[str, Any] = {}
        if kind == "nfs":
            extra = {"nfs_mount_point_base": f"{self._settings.mount_base}/nfs", "nfs_mount_options": None}
        try:
            return module.InitiatorConnector.factory(
                kind, self._settings.root_helper, use_multipath=multipath, conn=connection, **extra
            )
        except Exception as error:
            raise DeviceError(f"os-brick has no connector for volumes of the kind {kind}", permanent=True) from error

    def _loaded(self) -> Any:
        with self._lock:
            if self._module is None:
                self._module = _load(self._settings)
            return self._module


def _check_ceph() -> None:
    try:
        ceph_modules.load()
    except ImportError as error:
        LOG.error("Volumes in Ceph cannot be connected: %s", error)  # noqa: TRY400 - says all
        raise DeviceError(f"the volume cannot be connected: {error}", permanent=True) from error


def _load(settings: HostSettings) -> Any:
    """Import and set up os-brick.

    :raises DeviceError: it is not installed.
    """
    with suppress(ImportError):  # other volumes need no Ceph; for those in Ceph _check_ceph raises it again
        ceph_modules.load()  # os-brick's import finds them only in sys.path, or already loaded
    try:
        modules: tuple[Any, ...] = tuple(import_module(name) for name in _MODULES)
    except ImportError as error:
        LOG.error("The store needs os-brick: %s", error)  # noqa: TRY400 - says all
        raise DeviceError("os-brick is not installed", permanent=True) from error
    os_brick, connector, cfg, priv_context = modules
    cfg.CONF([], project="glimpse")
    os_brick.setup(cfg.CONF)
    cfg.CONF.set_override("lock_path", settings.lock_path, group="os_brick")
    priv_context.init(root_helper=shlex.split(settings.root_helper))
    return connector
