"""A catalogue of images as a cloud has it, as rows: the same for every database, from a seed.

Rows come in the order of their image's id, so that every index by image grows at its end while they are loaded.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

#: The project that owns a quarter of all images.
LARGE = "f" * 32
#: When the newest image was made.
END = datetime(2026, 11, 22)  # noqa: DTZ001 - naive UTC, as everywhere in the database

PROPERTIES = 8
TAGS = 2

_YEARS = 4
_COMMON_NAMES = ("snapshot", "backup", "ubuntu-24.04", "debian-12", "rocky-9", "cirros", "windows-2022", "golden")
_STATUSES = ("active", "queued", "deactivated", "saving", "importing", "killed", "pending_delete")
_STATUS_WEIGHTS = (925, 40, 20, 5, 6, 2, 2)
_VISIBILITIES = ("private", "shared", "community", "public")
_VISIBILITY_WEIGHTS = (470, 490, 30, 10)
_DISK_FORMATS = ("qcow2", "raw", "iso", "vmdk", "vhd", None)
_DISK_WEIGHTS = (600, 300, 40, 20, 5, 35)
_CONTAINER_FORMATS = ("bare", "ovf", "docker", None)
_CONTAINER_WEIGHTS = (930, 20, 15, 35)
_DISTROS = ("ubuntu", "debian", "rocky", "fedora", "windows", "rhel", "sles", "arch", "alpine", "freebsd")
_DISTRO_WEIGHTS = (40, 20, 12, 8, 8, 5, 3, 2, 1, 1)
_SIZES = tuple(gigabytes << 30 for gigabytes in (1, 2, 5, 10, 20, 40))

Row = tuple[Any, ...]


class Loaded(NamedTuple):
    """One table: its name, its columns, and its rows."""

    table: str
    columns: tuple[str, ...]
    rows: Iterator[Row]


_CHILD = ("image_id", "created_at", "updated_at", "deleted_at", "deleted")
_IMAGE = (
    *("id", "name", "size", "status", "created_at", "updated_at", "deleted_at", "deleted", "disk_format"),
    *("container_format", "checksum", "owner", "min_disk", "min_ram", "protected", "virtual_size", "visibility"),
    *("os_hidden", "os_hash_algo", "os_hash_value"),
)


class Catalogue:
    """``size`` images, one in ten of them deleted; a quarter of ``size`` are live images of :data:`LARGE`.

    It has two accepted memberships for every 1,333 images, and half as many others.
    """

    def __init__(self, size: int, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._images = sorted(self._make_images(size))

    def tables(self) -> Iterator[Loaded]:
        """The tables in the order in which their foreign keys allow them to be loaded."""
        yield Loaded("images", _IMAGE, iter(self._images))
        yield Loaded("image_properties", (*_CHILD, "name", "value"), self._properties())
        yield Loaded("image_tags", (*_CHILD, "value"), self._tags())
        yield Loaded("image_locations", (*_CHILD, "value", "meta_data", "status"), self._locations())
        yield Loaded("image_members", (*_CHILD, "member", "can_share", "status"), self._members())

    def _make_images(self, size: int) -> Iterator[Row]:
        pick = self._random
        others = [f"{pick.getrandbits(128):032x}" for _ in range(max(size // 100, 1))]
        frequencies = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(others))))
        start = END - timedelta(days=365 * _YEARS)
        step = timedelta(days=365 * _YEARS) / size
        live = 0
        for number in range(size):
            deleted = number % 10 == 0
            live += not deleted
            is_large = not deleted and live % 18 < 5
            owner = LARGE if is_large else pick.choices((None, *others), cum_weights=(0.01, *frequencies))[0]
            # one in twenty was made in a burst: many images of one second
            created = start + step * (number // 200 * 200 if number % 20 == 7 else number + pick.random())
            yield self._image(owner, created, deleted=deleted)

    def _image(self, owner: str | None, created: datetime, *, deleted: bool) -> Row:
        pick = self._random
        status = "deleted" if deleted else pick.choices(_STATUSES, _STATUS_WEIGHTS)[0]
        stored = status not in {"queued", "saving", "importing"}
        sizes = pick.choice(_SIZES) if pick.random() < 0.2 else pick.randrange(1 << 20, 1 << 36)
        updated = created + timedelta(seconds=pick.expovariate(1 / 86400))
        return (
            _uuid(pick),
            self._name(created),
            sizes if stored else None,
            status,
            _text(created),
            None if pick.random() < 0.01 else _text(updated),
            _text(updated) if deleted else None,
            int(deleted),
            pick.choices(_DISK_FORMATS, _DISK_WEIGHTS)[0],
            pick.choices(_CONTAINER_FORMATS, _CONTAINER_WEIGHTS)[0],
            f"{pick.getrandbits(128):032x}" if stored else None,
            owner,
            pick.choice((0, 0, 0, 10, 20)),
            pick.choice((0, 0, 0, 512, 2048)),
            int(pick.random() < 0.03),
            sizes * 2 if stored else None,
            pick.choices(_VISIBILITIES, _VISIBILITY_WEIGHTS)[0],
            int(pick.random() < 0.01),
            "sha512" if stored else None,
            f"{pick.getrandbits(512):0128x}" if stored else None,
        )

    def _name(self, created: datetime) -> str | None:
        kind = self._random.random()
        if kind < 0.05:
            return None
        if kind < 0.2:
            return self._random.choice(_COMMON_NAMES)
        return f"{self._random.choice(_COMMON_NAMES)}-{created:%Y%m%d}-{self._random.getrandbits(32):08x}"

    def _child(self, image: Row) -> Row:
        # as Glance leaves them: with a deleted image its children are deleted
        return (image[0], image[4], image[5], image[6], image[7])

    def _properties(self) -> Iterator[Row]:
        pick = self._random
        for image in self._images:
            child = self._child(image)
            distro = pick.choices(_DISTROS, _DISTRO_WEIGHTS)[0]
            snapshot = pick.random() < 0.6
            yield (*child, "architecture", "x86_64" if pick.random() < 0.95 else "aarch64")
            yield (*child, "base_image_ref", f"{pick.randrange(2000):08x}-0000-4000-8000-000000000000")
            yield (*child, "hw_disk_bus", "virtio" if pick.random() < 0.8 else "scsi")
            yield (*child, "hw_firmware_type", "uefi" if pick.random() < 0.3 else "bios")
            yield (*child, "image_type", "snapshot" if snapshot else "image")
            yield (*child, "instance_uuid", _uuid(pick))
            yield (*child, "os_distro", distro)
            yield (*child, "os_version", f"{pick.randrange(8, 26)}.{pick.choice(('04', '10', '0'))}")

    def _tags(self) -> Iterator[Row]:
        pick = self._random
        for image in self._images:
            child = self._child(image)
            yield (*child, f"env-{min(int(pick.expovariate(0.5)), 20)}")
            yield (*child, f"team-{pick.randrange(500)}")

    def _locations(self) -> Iterator[Row]:
        for image in self._images:
            if image[2] is not None:
                url = f"rbd://4f1d5a64-0000-4000-8000-2a3a5c1b0a01/images/{image[0]}/snap"
                yield (*self._child(image), url, '{"store": "ceph"}', "deleted" if image[7] else "active")

    def _members(self) -> Iterator[Row]:
        pick = self._random
        owners = sorted({image[11] for image in self._images if image[11]} - {LARGE})
        shared = [image for image in self._images if image[16] == "shared" and not image[7]]
        foreign = [image for image in shared if image[11] != LARGE]
        chosen = pick.sample(foreign, len(self._images) * 9 // 4000)
        for number, image in enumerate(chosen):
            status = pick.choice(("pending", "rejected")) if number % 3 == 0 else "accepted"
            yield (*self._child(image), LARGE, 0, status)
        for image in shared:
            for member in {pick.choice(owners) for _ in range(pick.choice((0, 0, 0, 1, 2)))} if owners else ():
                yield (*self._child(image), member, 0, pick.choice(("accepted", "accepted", "pending", "rejected")))


def _uuid(pick: random.Random) -> str:
    digits = f"{pick.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _text(moment: datetime) -> str:
    return moment.isoformat(" ", timespec="microseconds")
