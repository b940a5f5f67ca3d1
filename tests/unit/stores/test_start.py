"""Stores at start: nothing is opened for workers to inherit, and one that is down keeps no service from starting."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from glimpse.app import build_service
from glimpse.cli.startup_checks import try_stores
from glimpse.errors import StoreUnavailable
from glimpse.settings.model import StoreCalls, Stores, StoreSettings
from glimpse.stores import all as drivers
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.filesystem import store as filesystem
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore
from glimpse.stores.memory import MemoryOptions, MemoryStore
from tests.support.wire import settings_in

CALLS = ("writer", "reader", "size", "delete", "check_delete", "sweep", "objects", "close")


def counting(made: list[str]) -> type[MemoryStore]:
    """A store that notes each call, and opens its connection with the first one."""

    def noted(name: str) -> Any:
        def call(self: MemoryStore, *arguments: Any) -> Any:
            made.append(name)
            return getattr(MemoryStore, name)(self, *arguments)

        return call

    return type("CountingStore", (MemoryStore,), {name: noted(name) for name in CALLS})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    driver = drivers.Driver(kind="memory", schemes=("memory",), options=MemoryOptions, build=counting(made))
    monkeypatch.setitem(drivers.DRIVERS, "memory", driver)
    return made


def _stores(**more: Any) -> Stores:
    return Stores(default="ram", stores=(StoreSettings(id="ram", kind="memory", options=MemoryOptions()),), **more)


def test_the_parent_of_the_workers_opens_nothing(tmp_path: Path, made: list[str]):
    try_stores(settings_in(tmp_path, stores=_stores()))
    assert made == ["close"]


def test_a_worker_opens_nothing_before_it_needs_it_and_closes_it_at_its_end(tmp_path: Path, made: list[str]):
    service = build_service(settings_in(tmp_path, stores=_stores()))
    assert made == []
    service.close()
    assert made == ["close"]


def test_no_thread_and_no_file_is_left_for_workers(tmp_path: Path):
    options = FilesystemOptions(filesystem_store_datadir=str(tmp_path / "images"), filesystem_store_timeout=5)
    entry = StoreSettings(id="cheap", kind="file", options=options)
    stores = Stores(default="cheap", stores=(entry,), calls=StoreCalls(timeout=5, max_streams=2))
    settings = settings_in(tmp_path, stores=stores)
    threads, files = threading.active_count(), os.listdir("/proc/self/fd")
    try_stores(settings)
    assert (threading.active_count(), os.listdir("/proc/self/fd")) == (threads, files)


class TestDirectories:
    @pytest.fixture
    def options(self, tmp_path: Path) -> FilesystemOptions:
        return FilesystemOptions(filesystem_store_datadir=str(tmp_path / "images"))

    def failing(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("glimpse.stores.filesystem.directories.os.makedirs", fail)

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN])
    def test_one_whose_file_system_is_down_is_used_when_it_works(
        self, options: FilesystemOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int
    ):
        with pytest.MonkeyPatch.context() as patch:
            self.failing(patch, number)
            store = FilesystemStore("cheap", options)
            assert "Store cheap starts without its directory" in caplog.text
            with pytest.raises(StoreUnavailable, match="does not work"):
                store.writer("image", 4, "try1")
        writer = store.writer("image", 4, "try1")
        writer.write(b"data")
        assert store.size(writer.commit().url) == 4

    def test_one_that_hangs_does_not_keep_the_service_from_starting(
        self, options: FilesystemOptions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ):
        monkeypatch.setattr(filesystem, "START_SECONDS", 0.05)
        answer = threading.Event()
        real = os.makedirs

        def hang(*arguments: Any, **named: Any) -> None:
            answer.wait(30)
            real(*arguments, **named)

        monkeypatch.setattr("glimpse.stores.filesystem.directories.os.makedirs", hang)
        store = FilesystemStore("cheap", options)
        assert "did not answer in 0.05 s" in caplog.text
        answer.set()
        store.writer("image", 4, "try1").abort()

    def test_one_that_is_full_is_read(self, options: FilesystemOptions, monkeypatch: pytest.MonkeyPatch):
        def full(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("glimpse.stores.filesystem.directories.tempfile.TemporaryFile", full)
        store = FilesystemStore("cheap", options)
        (Path(options.filesystem_store_datadir) / "image").write_bytes(b"data")
        assert store.size(f"file://{options.filesystem_store_datadir}/image") == 4

    @pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTDIR, errno.ENAMETOOLONG])
    def test_one_that_is_configured_wrongly_stops_the_start(
        self, options: FilesystemOptions, monkeypatch: pytest.MonkeyPatch, number: int
    ):
        self.failing(monkeypatch, number)
        with pytest.raises(StoreMisconfigured):
            FilesystemStore("cheap", options)
