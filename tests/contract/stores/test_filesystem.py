"""What only real files show: crashes, absent mounts, holes, links, permissions."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from glimpse.errors import AccessDenied, DataNotFound, DeletionDenied, Duplicate, Invalid, StoreUnavailable
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.reader import NOW_BYTES, FilesystemReader
from glimpse.stores.filesystem.store import FilesystemStore
from tests.contract.stores.rigs.base import new_id
from tests.support.images.content import noise

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
def store(directory: Path) -> FilesystemStore:
    return FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=str(directory)))


def _path(url: str) -> Path:
    return Path(url.removeprefix("file://"))


def _put(store: FilesystemStore, data: bytes) -> str:
    writer = store.writer(new_id(), len(data), "try1")
    writer.write(data)
    return writer.commit().url


def test_an_image_is_a_plain_file_of_its_id(store: FilesystemStore, directory: Path):
    url = _put(store, b"the bytes")
    (name,) = os.listdir(directory)
    assert url == f"file://{directory}/{name}"
    assert (directory / name).read_bytes() == b"the bytes"
    assert (directory / name).stat().st_nlink == 1


def test_files_of_others_are_read_by_either_scheme(store: FilesystemStore, directory: Path):
    (directory / "image").write_bytes(b"from another service")
    for url in (f"file://{directory}/image", f"filesystem://{directory}/image", f"FILE://{directory}/image?x#y"):
        assert store.size(url) == 20


def test_unfinished_data_have_a_hidden_name_that_no_location_reaches(store: FilesystemStore, directory: Path):
    writer = store.writer("image", None, "try1")
    assert os.listdir(directory) == [".image.try1.partial"]
    with pytest.raises(Invalid):
        store.reader(f"file://{directory}/.image.try1.partial")
    writer.abort()


_DIE = """
import sys, time
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.reader import NOW_BYTES, FilesystemReader
from glimpse.stores.filesystem.store import FilesystemStore
store = FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=sys.argv[1]))
writer = store.writer("image", None, "try1")
writer.write(b"half")
if sys.argv[2] == "committed":
    writer.commit()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("when", ["unfinished", "committed"])
def test_what_a_killed_process_left_is_swept_by_another(store: FilesystemStore, directory: Path, when: str):
    with subprocess.Popen([sys.executable, "-c", _DIE, directory, when], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
    assert len(os.listdir(directory)) == 1
    assert store.sweep("image", "try1") is True
    assert os.listdir(directory) == []


def test_a_file_without_a_mark_is_not_swept(store: FilesystemStore, directory: Path):
    (directory / "image").write_bytes(b"another service wrote this")
    assert store.sweep("image", "try1") is False
    assert os.listdir(directory) == ["image"]


def test_a_file_that_became_shorter_ends_its_reader_with_an_error(store: FilesystemStore, directory: Path):
    url = _put(store, noise(10_000))
    reader = store.reader(url)
    os.truncate(_path(url), 5000)
    assert len(reader.read(10_000)) == 5000
    with pytest.raises(StoreUnavailable, match="5000 bytes too early"):
        reader.read(5000)
    reader.close()


def test_what_the_page_cache_has_is_read_now_and_what_it_has_not_by_waiting(store: FilesystemStore, directory: Path):
    data = noise(3 * NOW_BYTES + 5)
    url = _put(store, data)
    reader = store.reader(url, 5)
    if reader.read_now(1) is None:
        pytest.skip("the file system of the test cannot tell what is cached")
    first = reader.read_now(1 << 30)
    assert first is not None
    assert 0 < len(first) <= NOW_BYTES
    with _path(url).open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert reader.read_now(100) is None
    second = reader.read(100)
    assert len(second) == 100
    # what follows may be at hand again: the kernel reads ahead
    received = data[5:6] + first + second
    while len(received) < reader.length:
        part = reader.read_now(1 << 30)
        received += reader.read(100) if part is None else part
    assert received == data[5:]
    assert reader.read_now(100) == b""
    reader.close()


def test_a_file_that_became_shorter_is_no_end_for_who_reads_now(store: FilesystemStore):
    url = _put(store, noise(10_000))
    reader = store.reader(url)
    os.truncate(_path(url), 5000)
    if reader.read_now(5000) is None:
        pytest.skip("the file system of the test cannot tell what is cached")
    with pytest.raises(StoreUnavailable, match="5000 bytes too early"):
        reader.read_now(5000)
    reader.close()


def test_a_file_system_that_cannot_tell_what_is_cached_is_always_waited_for():
    """Proc refuses such reads on every kernel, as network file systems do."""
    fd = os.open("/proc/self/status", os.O_RDONLY)
    reader = FilesystemReader("default", fd, 0, 5)
    assert reader.read_now(5) is None
    assert reader.read_now(5) is None
    assert reader.read(5) == b"Name:"
    reader.close()


@pytest.mark.parametrize("target", ["secret", "absent", "images/other"])
def test_symbolic_links_are_not_followed(store: FilesystemStore, directory: Path, target: str):
    (directory.parent / "secret").write_bytes(b"secret")
    (directory / "other").write_bytes(b"other")
    (directory / "image").symlink_to(directory.parent / target)
    url = f"file://{directory}/image"
    for operation in (store.reader, store.size, store.delete):
        with pytest.raises(Invalid):
            operation(url)
    assert sorted(os.listdir(directory)) == ["image", "other"]


def test_a_directory_behind_a_link_that_leads_out_is_refused(store: FilesystemStore, directory: Path):
    outside = directory.parent / "outside"
    outside.mkdir()
    (outside / "image").write_bytes(b"secret")
    (directory / "sub").symlink_to(outside)
    for operation in (store.reader, store.size, store.delete):
        with pytest.raises(Invalid):
            operation(f"file://{directory}/sub/image")
    assert (outside / "image").exists()


def test_another_name_of_the_data_directory_leads_to_its_files(store: FilesystemStore, directory: Path):
    url = _put(store, b"data")
    (directory.parent / "former").symlink_to(directory)
    assert store.size(url.replace("/images/", "/former/")) == 4


def test_what_is_no_file_is_no_image(store: FilesystemStore, directory: Path):
    (directory / "folder").mkdir()
    os.mkfifo(directory / "pipe")
    for name in ("folder", "pipe"):
        for operation in (store.reader, store.size, store.delete):
            with pytest.raises(Invalid):
                operation(f"file://{directory}/{name}")


def test_several_directories_hold_one_copy_of_an_image(tmp_path: Path):
    lines = (f"{tmp_path}/first:2", f"{tmp_path}/second:1")
    store = FilesystemStore("s", FilesystemOptions(filesystem_store_datadir="", filesystem_store_datadirs=lines))
    swapped = FilesystemOptions(
        filesystem_store_datadir="", filesystem_store_datadirs=(f"{tmp_path}/first:1", f"{tmp_path}/second:2")
    )
    same_store = FilesystemStore("s", swapped)
    first, second = store.writer("image", None, "try1"), same_store.writer("image", None, "try2")
    first.commit()
    with pytest.raises(Duplicate):
        second.commit()
    second.abort()
    with pytest.raises(Duplicate):
        same_store.writer("image", None, "try3")
    assert os.listdir(tmp_path / "first") == ["image"]
    assert os.listdir(tmp_path / "second") == []
    assert same_store.sweep("image", "try1") is True
    assert os.listdir(tmp_path / "first") == []


@pytest.mark.parametrize(
    ("digits", "file_mode", "passing"), [(640, 0o640, 0o010), (644, 0o644, 0o011), (600, 0o600, 0)]
)
def test_permissions(directory: Path, digits: int, file_mode: int, passing: int):
    directory.mkdir(mode=0o700)
    options = FilesystemOptions(filesystem_store_datadir=str(directory), filesystem_store_file_perm=digits)
    store = FilesystemStore("cheap", options)
    path = _path(_put(store, b"data"))
    assert stat.S_IMODE(path.stat().st_mode) == file_mode
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700 | passing


def test_without_permissions_the_umask_decides(store: FilesystemStore):
    former = os.umask(0o027)
    try:
        path = _path(_put(store, b"data"))
    finally:
        os.umask(former)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_image_of_five_gibibytes_with_holes_takes_little_space(directory: Path):
    options = FilesystemOptions(filesystem_store_datadir=str(directory), filesystem_thin_provisioning=True)
    store = FilesystemStore("cheap", options)
    islands = {0: noise(70_000, "a"), 3 * GIB + 12_345: noise(100_001, "b"), 5 * GIB - 9: noise(9, "c")}
    zeros, size = memoryview(bytes(4 * MIB)), 5 * GIB
    writer = store.writer("image", size, "try1")
    position = 0
    for start, data in sorted(islands.items()):
        while position < start:
            count = min(len(zeros), start - position)
            writer.write(zeros[:count])
            position += count
        writer.write(data)
        position += len(data)
    url = writer.commit().url
    assert store.size(url) == size
    assert _path(url).stat().st_blocks * 512 < MIB
    for start, data in islands.items():
        before = min(start, 1000)
        behind = min(size - start - len(data), 1000)
        reader = store.reader(url, start - before, before + len(data) + behind)
        assert reader.read(reader.length) == bytes(before) + data + bytes(behind)
        reader.close()


def test_a_file_system_that_becomes_read_only(small_disk: Path):
    store = FilesystemStore(
        "cheap", FilesystemOptions(filesystem_store_datadir=str(small_disk), filesystem_store_reserve=0)
    )
    url = _put(store, b"data")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(AccessDenied):
        store.writer(new_id(), 5, "try1")
    with pytest.raises(DeletionDenied):
        store.delete(url)
    assert store.size(url) == 4


def test_a_read_only_file_system_serves_with_a_marker_and_without(small_disk: Path):
    options = FilesystemOptions(filesystem_store_datadir=str(small_disk), filesystem_store_reserve=0)
    url = _put(FilesystemStore("cheap", options), b"data")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    store = FilesystemStore("cheap", options)
    store.check_markers(lambda _: [url])
    assert store.size(url) == 4
    with pytest.raises(AccessDenied):
        store.writer(new_id(), 5, "try1")


def test_an_unmounted_directory_is_not_mistaken_for_an_empty_one(small_disk: Path):
    store = FilesystemStore(
        "cheap", FilesystemOptions(filesystem_store_datadir=f"{small_disk}/images", filesystem_store_reserve=0)
    )
    url = _put(store, b"data")
    other = small_disk.parent / "kept"
    other.mkdir()
    subprocess.run(["mount", "--move", small_disk, other], check=True)
    try:
        for make in (lambda: None, (small_disk / "images").mkdir):
            make()
            for operation in (store.reader, store.size, store.delete):
                with pytest.raises(StoreUnavailable):
                    operation(url)
            with pytest.raises(StoreUnavailable):
                store.writer(new_id(), None, "try2")
            with pytest.raises(StoreUnavailable):
                store.sweep("image", "try1")
    finally:
        subprocess.run(["mount", "--move", other, small_disk], check=True)
    assert store.size(url) == 4
    store.delete(url)
    with pytest.raises(DataNotFound):
        store.size(url)
