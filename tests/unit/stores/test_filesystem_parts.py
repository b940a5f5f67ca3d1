"""Parts of the filesystem driver on their own: runs of data, the two ways to publish."""

import errno
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.errors import (
    AccessDenied,
    DataNotFound,
    DeletionDenied,
    ForeignLocation,
    StoreFull,
    StoreUnavailable,
)
from glimpse.stores.filesystem.marks import is_of_attempt
from glimpse.stores.filesystem.os_errors import delete_error, open_error, read_error, write_error
from glimpse.stores.filesystem.writer import (
    create_marked,
    data_runs,
    publish_by_link,
    publish_by_rename,
)

ZEROS = bytes(8)


@given(
    pieces=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=8),
    position=st.integers(0, 40),
)
def test_runs_hold_everything_that_is_not_zero(pieces: list[tuple[int, bool]], position: int):
    content = b"".join(bytes(size) if zero else b"x" * size for size, zero in pieces)
    runs = data_runs(memoryview(content), position, ZEROS)
    rebuilt = bytearray(len(content))
    for start, end in runs:
        assert 0 <= start < end
        rebuilt[start:end] = content[start:end]
    assert rebuilt == content
    assert all(first[1] < second[0] for first, second in itertools.pairwise(runs))


def test_whole_blocks_of_zeros_are_left_out_wherever_the_writes_are_cut():
    content = b"x" * 8 + bytes(24) + b"x" * 4
    for cut in range(len(content) + 1):
        first = data_runs(memoryview(content)[:cut], 0, ZEROS)
        second = [(start + cut, end + cut) for start, end in data_runs(memoryview(content)[cut:], cut, ZEROS)]
        for start, end in first + second:
            assert end <= 8 or start >= 32


Publish = Callable[[str, str, int], None]


def _by_rename(unfinished: str, final: str, fd: int) -> None:
    publish_by_rename(unfinished, final, "try1")


@pytest.fixture(params=[publish_by_link, _by_rename], ids=["link", "rename"])
def publish(request: pytest.FixtureRequest) -> Publish:
    return request.param


def _finished(directory: Path, content: bytes, attempt: str = "try1") -> tuple[str, int]:
    path = f"{directory}/.image.{attempt}.partial"
    fd = create_marked(path, attempt)
    os.write(fd, content)
    return path, fd


def test_a_published_file_has_its_final_name_only(tmp_path: Path, publish: Publish):
    path, fd = _finished(tmp_path, b"data")
    publish(path, f"{tmp_path}/image", fd)
    os.close(fd)
    assert os.listdir(tmp_path) == ["image"]
    assert (tmp_path / "image").read_bytes() == b"data"
    assert is_of_attempt(f"{tmp_path}/image", "try1") is not False


def test_a_file_that_exists_is_not_replaced(tmp_path: Path, publish: Publish):
    (tmp_path / "image").write_bytes(b"there before")
    path, fd = _finished(tmp_path, b"data")
    with pytest.raises(FileExistsError):
        publish(path, f"{tmp_path}/image", fd)
    os.close(fd)
    assert (tmp_path / "image").read_bytes() == b"there before"
    assert sorted(os.listdir(tmp_path)) == [".image.try1.partial", "image"]


def test_a_file_whose_name_was_taken_away_is_not_published(tmp_path: Path, publish: Publish):
    path, fd = _finished(tmp_path, b"data")
    os.unlink(path)
    with pytest.raises(FileNotFoundError):
        publish(path, f"{tmp_path}/image", fd)
    os.close(fd)
    assert os.listdir(tmp_path) == []


def test_of_rivals_exactly_one_is_published_and_a_sweep_stops_the_rest(tmp_path: Path, publish: Publish):
    final = f"{tmp_path}/image"
    for _ in range(30):
        files = [_finished(tmp_path, attempt.encode(), attempt) for attempt in ("try1", "try2", "try3")]
        together = threading.Barrier(len(files))
        won: list[str] = []

        def run(path: str, fd: int, won: list[str] = won, together: threading.Barrier = together) -> None:
            together.wait()
            try:
                publish(path, final, fd)
                won.append(path)
            except FileExistsError:
                os.unlink(path)

        threads = [threading.Thread(target=run, args=file) for file in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _, fd in files:
            os.close(fd)
        assert len(won) == 1
        assert os.listdir(tmp_path) == ["image"]
        assert (tmp_path / "image").read_text() in won[0]
        os.unlink(final)


def test_a_link_that_was_made_already_counts(tmp_path: Path):
    # a network file system may carry out a request, lose the answer and repeat it
    path, fd = _finished(tmp_path, b"data")
    os.link(path, f"{tmp_path}/image")
    publish_by_link(path, f"{tmp_path}/image", fd)
    os.close(fd)
    assert os.listdir(tmp_path) == ["image"]


@pytest.mark.parametrize(
    ("meaning", "code", "expected"),
    [
        (write_error, errno.ENOSPC, StoreFull),
        (write_error, errno.EDQUOT, StoreFull),
        (write_error, errno.EFBIG, StoreFull),
        (write_error, errno.EIO, StoreUnavailable),
        (write_error, errno.EROFS, AccessDenied),
        (write_error, errno.EACCES, AccessDenied),
        (write_error, errno.ENOENT, StoreUnavailable),
        (open_error, errno.ENOENT, DataNotFound),
        (open_error, errno.ELOOP, ForeignLocation),
        (open_error, errno.EIO, StoreUnavailable),
        (open_error, errno.EACCES, AccessDenied),
        (read_error, errno.EIO, StoreUnavailable),
        (read_error, errno.EACCES, StoreUnavailable),
        (delete_error, errno.ENOENT, DataNotFound),
        (delete_error, errno.EPERM, DeletionDenied),
        (delete_error, errno.EROFS, DeletionDenied),
        (delete_error, errno.EIO, StoreUnavailable),
    ],
)
def test_what_errors_of_the_file_system_mean(meaning, code: int, expected: type[Exception]):
    error = meaning("cheap", OSError(code, os.strerror(code), "/srv/images/image"))
    assert type(error) is expected
    assert "cheap" in str(error)
    assert "/srv" not in str(error)
