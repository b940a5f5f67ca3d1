"""A Cinder volume driver for tests, whose volumes are sparse files that it attaches as loop devices of this machine.

A client gets what the drivers for iSCSI, Fibre Channel and NVMe give it, a block device owned by root that is as large
as the volume, without their kernel modules. os-brick calls this connector ``local``.
"""

import os
import subprocess
from pathlib import Path

from cinder import exception, interface
from cinder.image import image_utils
from cinder.volume import configuration, driver, volume_utils
from oslo_config import cfg
from oslo_utils import units

OPTIONS = [cfg.StrOpt("rig_dir", help="directory of the volume files")]
CAPACITY_GB = 100
cfg.CONF.register_opts(OPTIONS, group=configuration.SHARED_CONF_GROUP)


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def other_attachments(volume, connector) -> bool:
    """Whether another attachment of the volume remains."""
    states = [attachment.attach_status for attachment in volume.volume_attachment]
    return connector is not None and sum(state in {"attached", "attaching"} for state in states) > 1


@interface.volumedriver
class LoopDriver(driver.VolumeDriver):
    VERSION = "1.0.0"
    CI_WIKI_NAME = "none"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)
        self.dir = Path(self.configuration.rig_dir)

    def check_for_setup_error(self):
        self.dir.mkdir(parents=True, exist_ok=True)

    def local_path(self, volume):
        return str(self.dir / volume.name)

    def _devices(self, volume):
        return [line.split(":")[0] for line in run("losetup", "-j", self.local_path(volume)).splitlines()]

    def create_volume(self, volume):
        with open(self.local_path(volume), "xb") as file:
            file.truncate(volume.size * units.Gi)

    def delete_volume(self, volume):
        if self._devices(volume):
            raise exception.VolumeIsBusy(volume_name=volume.name)
        Path(self.local_path(volume)).unlink(missing_ok=True)

    def _copy(self, source, target, size=None):
        run("cp", "--sparse=always", "--reflink=auto", self.local_path(source), self.local_path(target))
        if size:
            os.truncate(self.local_path(target), size * units.Gi)

    def create_snapshot(self, snapshot):
        self._copy(snapshot.volume, snapshot)

    def delete_snapshot(self, snapshot):
        Path(self.local_path(snapshot)).unlink(missing_ok=True)

    def create_volume_from_snapshot(self, volume, snapshot):
        self._copy(snapshot, volume, volume.size)

    def create_cloned_volume(self, volume, src_vref):
        self._copy(src_vref, volume, volume.size)

    def extend_volume(self, volume, new_size):
        os.truncate(self.local_path(volume), new_size * units.Gi)
        for device in self._devices(volume):
            run("losetup", "-c", device)

    def ensure_export(self, context, volume):
        pass

    def create_export(self, context, volume, connector):
        pass

    def remove_export(self, context, volume):
        pass

    def initialize_connection(self, volume, connector):  # noqa: ARG002  # Cinder's interface
        devices = self._devices(volume)
        device = devices[0] if devices else run("losetup", "--find", "--show", self.local_path(volume))
        return {"driver_volume_type": "local", "data": {"device_path": device}}

    def terminate_connection(self, volume, connector, **kwargs):  # noqa: ARG002
        if other_attachments(volume, connector):
            return True
        for device in self._devices(volume):
            run("losetup", "-d", device)
        return False

    def copy_image_to_volume(self, context, volume, image_service, image_id, **kwargs):  # noqa: ARG002
        block = self.configuration.volume_dd_blocksize
        image_utils.fetch_to_raw(context, image_service, image_id, self.local_path(volume), block, size=volume.size)
        os.truncate(self.local_path(volume), volume.size * units.Gi)

    def copy_volume_to_image(self, context, volume, image_service, image_meta):
        volume_utils.upload_volume(context, image_service, image_meta, self.local_path(volume), volume)

    def _update_volume_stats(self):
        place = os.statvfs(self.dir)
        free = min(CAPACITY_GB, place.f_bavail * place.f_frsize // units.Gi)
        pool = {
            "pool_name": "files",
            "total_capacity_gb": CAPACITY_GB,
            "free_capacity_gb": free,
            "reserved_percentage": 0,
            "provisioned_capacity_gb": 0,
            "max_over_subscription_ratio": 100,
            "thin_provisioning_support": True,
            "multiattach": True,
            "QoS_support": False,
        }
        self._stats = {
            "volume_backend_name": self.configuration.volume_backend_name,
            "vendor_name": "test",
            "driver_version": self.VERSION,
            "storage_protocol": "local",
            "multiattach": True,
            "thin_provisioning_support": True,
            "pools": [pool],
        }
