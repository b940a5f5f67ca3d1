"""Parts of the Cinder driver that need no Cinder: locations, options, records, sharing, devices."""

from __future__ import annotations

import errno
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from glimpse.errors import AccessDenied, ForeignLocation, StoreUnavailable
from glimpse.settings.model import Secret
from glimpse.stores import ceph_modules
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.cinder import child, wire
from glimpse.stores.cinder.attacher import Attacher
from glimpse.stores.cinder.child import Server
from glimpse.stores.cinder.connection_checks import check_path, checked
from glimpse.stores.cinder.devices import DeviceError, PathDevice, RbdDevice, SharedDevice
from glimpse.stores.cinder.link import AttachingProcess
from glimpse.stores.cinder.locations import gibibytes, prefix, volume_of, without_store
from glimpse.stores.cinder.options import CinderOptions
from glimpse.stores.cinder.records import Records
from glimpse.stores.cinder.shared_volumes import SharedVolumes
from glimpse.stores.cinder.store import CinderStore, _size
from glimpse.stores.cinder.volumes import Volume
from glimpse.stores.cinder.wire import HostSettings

VOLUME = "7e918973-3a81-4c36-9a04-a7da6b0dd0e7"
GIB = 1 << 30


class TestLocations:
    @pytest.mark.parametrize("url", [f"cinder://{VOLUME}", f"cinder://vol/{VOLUME}", f" CINDER://vol/{VOLUME}\n"])
    def test_both_forms(self, url: str) -> None:
        assert volume_of(url, "vol") == VOLUME

    @pytest.mark.parametrize(
        "url",
        [
            f"cinder://other/{VOLUME}",
            f"cinder://vol/a/{VOLUME}",
            f"cinder:///{VOLUME}",
            f"cinder://vol/{VOLUME.upper()}",
            f"cinder://vol/{VOLUME.replace('-', '')}",
            f"cinder://vol/{VOLUME}?x",
            "cinder://vol/",
            "cinder://",
            f"rbd://{VOLUME}",
        ],
    )
    def test_others(self, url: str) -> None:
        with pytest.raises(ForeignLocation):
            volume_of(url, "vol")

    def test_a_store_without_a_name_writes_no_id(self) -> None:
        assert (prefix("default"), prefix("vol")) == ("cinder://", "cinder://vol/")
        assert without_store(f"cinder://{VOLUME}")
        assert not without_store(f"cinder://vol/{VOLUME}")

    @pytest.mark.parametrize(("size", "volume"), [(0, 1), (1, 1), (GIB, 1), (GIB + 1, 2), (5 * GIB, 5)])
    def test_size_of_the_volume(self, size: int, volume: int) -> None:
        assert gibibytes(size) == volume


@pytest.mark.parametrize(
    ("metadata", "size"),
    [
        ({}, 2 * GIB),
        ({"image_size": "17"}, 17),
        ({"image_size": "0"}, 2 * GIB),
        ({"image_size": "0", "glimpse_attempt": "a1"}, 0),
        ({"image_size": "many"}, 2 * GIB),
        ({"image_size": str(2 * GIB + 1)}, 2 * GIB),
    ],
)
def test_size_of_the_image(metadata: dict[str, str], size: int) -> None:
    assert _size(Volume(VOLUME, "available", 2, "2026-01-01T00:00:00", metadata=metadata)) == size


class TestOptions:
    def test_root_helper(self) -> None:
        assert CinderOptions().root_helper == "sudo glance-rootwrap /etc/glance/rootwrap.conf"
        assert CinderOptions(rootwrap_config="doas brick-rootwrap /etc/x").root_helper == "doas brick-rootwrap /etc/x"

    def test_a_login_is_used_only_if_it_is_complete(self) -> None:
        login: dict[str, Any] = {
            "cinder_store_auth_address": "http://keystone/v3",
            "cinder_store_user_name": "glance",
            "cinder_store_password": Secret("made-up"),
            "cinder_store_project_name": "service",
        }
        assert CinderOptions(**login).has_login
        for name in login:
            assert not CinderOptions(**login | {name: None}).has_login
        credential: dict[str, Any] = {
            "cinder_store_auth_address": "http://keystone/v3",
            "cinder_store_application_credential_id": "id",
            "cinder_store_application_credential_secret": Secret("made-up"),
        }
        assert CinderOptions(**credential).has_login

    @pytest.mark.parametrize(
        "wrong",
        [
            {"cinder_catalog_info": "volumev3"},
            {"cinder_mount_point_base": "relative"},
            {"cinder_ca_certificates_file": "/missing"},
        ],
    )
    def test_what_cannot_work_is_found_at_start(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(StoreMisconfigured):
            CinderStore("vol", CinderOptions(**wrong))

    def test_without_user_and_login(self) -> None:
        store = CinderStore("vol", CinderOptions())
        with pytest.raises(AccessDenied, match="no credentials"):
            store.size(f"cinder://{VOLUME}")


class TestRecords:
    def test_they_are_found_by_volume(self, tmp_path: Path) -> None:
        records = Records("vol", str(tmp_path), "name")
        records.prepare()
        records.add(VOLUME, "first")
        records.add(VOLUME, "second")
        records.add("other", "third")
        assert sorted(records.of(VOLUME)) == ["first", "second"]
        records.remove(VOLUME, "first")
        records.remove(VOLUME, "first")
        assert records.of(VOLUME) == ["second"]

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "attachments").touch()
        with pytest.raises(AccessDenied, match="cinder_mount_point_base"):
            Records("vol", str(tmp_path), "name").prepare()


class TestSharing:
    def test_readers_share_and_the_last_has_the_turn(self) -> None:
        volumes = SharedVolumes()
        first = volumes.acquire(VOLUME, writable=False)
        assert first.changing
        volumes.ready(first)
        second = volumes.acquire(VOLUME, writable=False)
        assert second is first
        assert not volumes.leave(first)
        assert volumes.leave(second)
        volumes.forget(second)
        assert volumes.acquire(VOLUME, writable=True).changing

    def test_a_writer_is_alone(self) -> None:
        volumes = SharedVolumes()
        volumes.ready(volumes.acquire(VOLUME, writable=True))
        for writable in (True, False):
            with pytest.raises(DeviceError, match="another transfer"):
                volumes.acquire(VOLUME, writable=writable)

    def test_the_turn_passes_on(self) -> None:
        volumes = SharedVolumes()
        first = volumes.acquire(VOLUME, writable=False)
        found = []
        waiting = threading.Thread(target=lambda: found.append(volumes.acquire(VOLUME, writable=False)))
        waiting.start()
        volumes.forget(first)
        waiting.join(5)
        assert found[0] is not first
        assert found[0].changing


class FakeConnector:
    def __init__(self) -> None:
        self.disconnected = 0

    def disconnect_volume(self, *_: object, **__: object) -> None:
        self.disconnected += 1


class FakeImage:
    """An image of librbd; the test ends the operations."""

    def __init__(self) -> None:
        self.ends: list[Any] = []

    def aio_read(self, _offset: int, _length: int, ended: Any) -> None:
        self.ends.append(ended)

    def aio_write(self, _data: bytes, _offset: int, ended: Any) -> None:
        self.ends.append(ended)

    def end(self, number: int, result: int, *data: bytes) -> None:
        self.ends[number](SimpleNamespace(get_return_value=lambda: result), *data)


class TestDevices:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "device"
        path.write_bytes(bytes(100))
        return path

    def test_reading_and_writing(self, path: Path) -> None:
        device = PathDevice(str(path), writable=True, root_helper="")
        device.write(7, memoryview(b"data"))
        device.flush()
        area = bytearray(6)
        device.read(6, memoryview(area))
        assert area == b"\0data\0"
        assert device.size() == 100
        with pytest.raises(OSError, match="shorter"):
            device.read(98, memoryview(area))
        device.close()

    def test_a_volume_that_was_taken_away(self, path: Path) -> None:
        connector = FakeConnector()
        shared = SharedDevice(connector, {}, None, PathDevice(str(path), writable=False, root_helper=""))
        assert shared.size() == 100
        shared.close(keep_connected=False)
        shared.close(keep_connected=False)
        assert connector.disconnected == 1
        with pytest.raises(DeviceError, match="took the volume over"):
            shared.size()

    def test_a_device_that_others_use_stays_connected(self, path: Path) -> None:
        connector = FakeConnector()
        shared = SharedDevice(connector, {}, None, PathDevice(str(path), writable=False, root_helper=""))
        shared.close(keep_connected=True)
        assert connector.disconnected == 0

    def test_errors_are_told_without_details(self, path: Path) -> None:
        shared = SharedDevice(FakeConnector(), {}, None, PathDevice(str(path), writable=False, root_helper=""))
        with pytest.raises(DeviceError) as caught, shared.used() as device:
            device.write(0, memoryview(b"x"))
        assert str(path) not in str(caught.value)

    def test_operations_run_beside_each_other_and_report_their_end(self, path: Path) -> None:
        shared = SharedDevice(FakeConnector(), {}, None, PathDevice(str(path), writable=True, root_helper=""))
        ended: queue.SimpleQueue[DeviceError | None] = queue.SimpleQueue()
        shared.start(3, memoryview(b"data"), ended.put, write=True)
        assert ended.get(timeout=5) is None
        area = bytearray(5)
        shared.start(2, memoryview(area), ended.put, write=False)
        assert ended.get(timeout=5) is None
        assert area == b"\0data"
        shared.start(98, memoryview(area), ended.put, write=False)
        assert isinstance(ended.get(timeout=5), DeviceError)
        shared.close(keep_connected=False)
        with pytest.raises(DeviceError, match="took the volume over"):
            shared.start(0, memoryview(area), ended.put, write=False)

    def test_the_end_of_operations_in_ceph(self) -> None:
        image = FakeImage()
        handle = SimpleNamespace(rbd_image=image)
        shared = SharedDevice(FakeConnector(), {}, None, RbdDevice(handle))
        ended: list[DeviceError | None] = []
        area = bytearray(4)
        shared.start(0, memoryview(area), ended.append, write=False)
        shared.start(0, memoryview(b"data"), ended.append, write=True)
        assert ended == []
        image.end(0, 4, b"data")
        assert area == b"data"
        image.end(1, -errno.ENOSPC)
        assert ended[0] is None
        assert ended[1] is not None
        assert ended[1].full
        shared.start(0, memoryview(area), ended.append, write=False)
        image.end(2, 3, b"dat")
        assert ended[2] is not None
        shared.close(keep_connected=False)

    def test_missing_modules_of_ceph_are_named(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def missing() -> None:
            raise ImportError("needs the module rados")

        monkeypatch.setattr(ceph_modules, "load", missing)
        attacher = Attacher(HostSettings(root_helper="", mount_base="", lock_path="", address=""))
        with pytest.raises(DeviceError, match="cannot be connected: needs the module rados") as caught:
            attacher.connected(TestConnectionChecks.RBD, writable=False, multipath=False)
        assert caught.value.permanent
        assert "needs the module rados" in caplog.text


class TestPeers:
    """Every user of the host can connect to an abstract socket, and bind one."""

    SETTINGS = HostSettings(root_helper="", mount_base="/nowhere", lock_path="", address="")

    @pytest.fixture
    def listening(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(f"\0{AttachingProcess('vol', self.SETTINGS, 5).name}")
            listening.listen()
            yield listening

    @pytest.mark.usefixtures("listening")
    def test_a_socket_of_another_user_is_not_used(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(wire, "peer_user", lambda _: os.getuid() + 1)
        with pytest.raises(StoreUnavailable, match="another user occupies"):
            AttachingProcess("vol", self.SETTINGS, 5).link()
        assert "ss -xlp" in caplog.text

    def test_connections_of_another_user_are_refused(
        self, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wire, "peer_user", lambda _: os.getuid() + 1)
        monkeypatch.setattr(child, "LINGER", 0.0)
        serving = threading.Thread(target=Server(listening, self.SETTINGS).run)
        serving.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(10)
            connection.connect(listening.getsockname())
            assert connection.recv(100) == b""
        serving.join(30)
        assert not serving.is_alive()

    def test_no_secrets_in_the_command_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        commands: list[list[str]] = []
        monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
        options = CinderOptions(
            cinder_store_auth_address="http://keystone/v3",
            cinder_store_user_name="glance",
            cinder_store_password=Secret("made-up-password"),
            cinder_store_project_name="service",
        )
        CinderStore("vol", options)._host.process._start()
        assert "made-up-password" not in str(commands)
        assert "glimpse.stores.cinder.child" in commands[0]


class TestConnectionChecks:
    RBD: ClassVar[dict[str, Any]] = {
        "driver_volume_type": "rbd",
        "name": "volumes/volume-1",
        "cluster_name": "ceph",
        "auth_username": "cinder",
        "hosts": ["10.0.0.1", "[fd00::1]"],
        "ports": ["6789", "3300"],
    }
    SHARE: ClassVar[dict[str, Any]] = {
        "driver_volume_type": "nfs",
        "export": "nfs.example.org:/volumes",
        "name": "volume-1",
        "options": "-o vers=4.1,nolock",
        "format": "raw",
    }

    @pytest.mark.parametrize("connection", [RBD, RBD | {"auth_username": None}])
    def test_volumes_in_ceph(self, connection: dict[str, Any]) -> None:
        unwanted = {"keyring": "[client.cinder]", "do_local_attach": True}
        assert checked(connection | unwanted) == connection | {"do_local_attach": False}

    @pytest.mark.parametrize("export", ["10.0.0.1:/volumes", "[fd00::1]:/volumes", "host:/with blank"])
    @pytest.mark.parametrize("options", [None, "", "-o vers=3", "-overs=3 -o nolock"])
    def test_shares(self, export: str, options: str | None) -> None:
        connection = self.SHARE | {"export": export, "options": options}
        assert checked(connection) == connection

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": "volume-1"},
            {"name": "volumes/a/b"},
            {"name": "volumes/volume-1\n"},
            {"cluster_name": "../x"},
            {"auth_username": "cinder\nlog_file = /etc/x"},
            {"hosts": ["10.0.0.1\nadmin_socket = /x"]},
            {"hosts": "10.0.0.1"},
            {"hosts": [1]},
            {"ports": ["6789\n"]},
            {"ports": None},
        ],
    )
    def test_other_values_for_ceph_are_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(DeviceError, match="form that is not accepted") as caught:
            checked(self.RBD | wrong)
        assert caught.value.permanent

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": "../../etc/shadow"},
            {"name": ".."},
            {"name": None},
            {"export": "/etc"},
            {"export": "-o:/bind"},
            {"options": "--bind"},
            {"options": "-o vers=3 -t ext4"},
            {"options": ["-o", "vers=3"]},
            {"format": "qcow2"},
            {"encrypted": True},
        ],
    )
    def test_other_values_for_a_share_are_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(DeviceError) as caught:
            checked(self.SHARE | wrong)
        assert caught.value.permanent

    def test_formats_of_devices_do_not_matter(self) -> None:
        connection = {"driver_volume_type": "iscsi", "format": "qcow2", "encrypted": True}
        assert checked(connection) == connection

    def test_only_files_and_devices_are_opened(self, tmp_path: Path) -> None:
        file, link = tmp_path / "volume", tmp_path / "link"
        file.touch()
        link.symlink_to(file)
        check_path("nfs", str(file))
        for kind, path in (("nfs", link), ("nfs", tmp_path), ("iscsi", file), ("local", Path("/dev/null"))):
            with pytest.raises(DeviceError, match="not a volume"):
                check_path(kind, str(path))
