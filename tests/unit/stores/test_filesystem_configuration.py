"""How a filesystem store is configured: directories, permissions, metadata file."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.filesystem.directories import Prepared, configured_directories, entry_above, read_mountpoints
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import DataDirectory, FilesystemStore, choose_directory


@pytest.mark.parametrize(
    ("single", "several", "expected"),
    [
        ("/srv/a", (), [("/srv/a", 0)]),
        (" //srv/./a/ ", (), [("/srv/a", 0)]),
        ("", ("/a", "/b:10", " /c : 5 "), [("/b", 10), ("/c", 5), ("/a", 0)]),
        ("", ("/a:1", "/b:1"), [("/a", 1), ("/b", 1)]),
    ],
)
def test_directories_come_by_priority(single: str, several: tuple[str, ...], expected: list[tuple[str, int]]):
    options = FilesystemOptions(filesystem_store_datadir=single, filesystem_store_datadirs=several)
    assert list(configured_directories("cheap", options)) == expected


@pytest.mark.parametrize(
    ("single", "several", "reason"),
    [
        ("", (), "set either"),
        ("/a", ("/b",), "set either"),
        ("", ("/a:1", "/a/:2"), "two priorities"),
        ("", ("/a:high",), "not path:priority"),
        ("", ("/a:1:2",), "not path:priority"),
        ("relative", (), "absolute path"),
        ("/srv/../etc", (), "absolute path"),
        ("/srv/a?b", (), "absolute path"),
        ("/srv/a#b", (), "absolute path"),
        ("", ("",), "absolute path"),
    ],
)
def test_directories_that_cannot_be(single: str, several: tuple[str, ...], reason: str):
    options = FilesystemOptions(filesystem_store_datadir=single, filesystem_store_datadirs=several)
    with pytest.raises(StoreMisconfigured, match=f"store cheap: .*{reason}"):
        configured_directories("cheap", options)


def test_a_directory_named_twice_is_only_warned_of(caplog: pytest.LogCaptureFixture):
    options = FilesystemOptions(filesystem_store_datadir="", filesystem_store_datadirs=("/a:1", "/a/:1"))
    with caplog.at_level(logging.WARNING):
        assert configured_directories("cheap", options) == (("/a", 1),)
    assert "/a is configured twice" in caplog.text


def test_a_missing_directory_is_made_with_its_parents_and_left_empty(tmp_path: Path):
    FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=f"{tmp_path}/a/b/c"))
    assert os.listdir(tmp_path / "a/b/c") == []


def test_a_file_in_place_of_the_directory(tmp_path: Path):
    (tmp_path / "images").touch()
    with pytest.raises(StoreMisconfigured, match="images cannot be used: File exists"):
        FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=f"{tmp_path}/images"))


_START = """
import os, sys, tempfile
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore
os.setuid(65534)
try:
    FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=sys.argv[1]))
except StoreMisconfigured as error:
    print(error)
"""


def test_a_directory_that_only_others_may_write():
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    # not a directory of the test: the way to it may be closed to others, which would be another error
    outcome = subprocess.run([sys.executable, "-c", _START, "/usr"], capture_output=True, text=True, check=True)
    assert outcome.stdout == "store cheap: data directory /usr cannot be used: Permission denied\n"


@pytest.mark.parametrize("digits", [8, 648, 40, 77, 1000, 7777])
def test_permissions_that_cannot_be(tmp_path: Path, digits: int):
    options = FilesystemOptions(filesystem_store_datadir=str(tmp_path), filesystem_store_file_perm=digits)
    with pytest.raises(StoreMisconfigured, match=f"filesystem_store_file_perm {digits} "):
        FilesystemStore("cheap", options)


class Sized(DataDirectory):
    """A directory whose free space is known."""

    def __init__(self, path: str, priority: int, free: int) -> None:
        super().__init__("cheap", path, priority, lambda: Prepared((0, 0), "/"), reserve=0)
        self.free = free

    def free_bytes(self) -> int:
        return self.free


SIZED = (Sized("/fast", 9, 100), Sized("/b", 1, 500), Sized("/c", 1, 600), Sized("/full", 1, 0))


@pytest.mark.parametrize(("size", "path"), [(None, "/fast"), (0, "/fast"), (100, "/fast"), (101, "/c"), (600, "/c")])
@pytest.mark.parametrize("thin", [False, True])
def test_priority_first_then_free_space(size: int | None, path: str, thin: bool):
    assert choose_directory("cheap", SIZED, size, thin=thin).path == path


def test_thin_provisioning_tries_the_roomiest_with_what_fits_nowhere():
    assert choose_directory("cheap", SIZED, 601, thin=True).path == "/c"


def _metadata_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "metadata.json"
    path.write_text(text)
    return str(path)


def test_the_metadata_file_goes_into_locations(tmp_path: Path):
    text = (
        f'[{{"id": "other", "mountpoint": "{tmp_path}/imag"}}, {{"id": "x", "mountpoint": "{tmp_path}", "zone": "a"}}]'
    )
    options = FilesystemOptions(
        filesystem_store_datadir=f"{tmp_path}/images", filesystem_store_metadata_file=_metadata_file(tmp_path, text)
    )
    placed = FilesystemStore("cheap", options).writer("image", 0, "try1").commit()
    assert placed.metadata == {"id": "x", "mountpoint": str(tmp_path), "zone": "a"}


def test_a_metadata_file_without_a_match_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    options = FilesystemOptions(
        filesystem_store_datadir=f"{tmp_path}/images",
        filesystem_store_metadata_file=_metadata_file(tmp_path, '{"id": "x", "mountpoint": "/elsewhere"}'),
    )
    placed = FilesystemStore("cheap", options).writer("image", 0, "try1").commit()
    assert placed.metadata == {}
    assert "no mountpoint in its metadata file" in caplog.text


@pytest.mark.parametrize("mountpoint", ["/srv", "/srv/", "/", "/srv/images"])
def test_mountpoints_above_a_file(mountpoint: str):
    entry = {"id": "x", "mountpoint": mountpoint}
    assert entry_above((entry,), "/srv/images/x") == entry


@pytest.mark.parametrize("text", ["", "7", "[1]", "{", '{"id": "x"}', '{"id": 1, "mountpoint": "/a"}', '[{"id": "x"}]'])
def test_metadata_files_that_cannot_be(tmp_path: Path, text: str):
    with pytest.raises(StoreMisconfigured, match=r"metadata file .*/metadata\.json"):
        read_mountpoints("cheap", _metadata_file(tmp_path, text))


def test_a_metadata_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(StoreMisconfigured, match="No such file"):
        read_mountpoints("cheap", f"{tmp_path}/absent")
