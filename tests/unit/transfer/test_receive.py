"""The upload loop, on real pumps, digests, inspections and files."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from glimpse.errors import BodyIncomplete, LimitExceeded, SizeMismatch, StoreFull, UnsupportedContent
from glimpse.settings.model import Formats
from glimpse.stores.base import Bytes
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.pump import Digests, Received, receive_into
from tests.support.images import HOSTILE, VALID, noise
from tests.unit.transfer.asgi_script import END, GONE, Script, Step, run_steps
from tests.unit.transfer.file_ends import FileWriter

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


class Upload:
    """One upload to a file in ``folder``."""

    def __init__(self, folder: Path, executor: Executor) -> None:
        self.path = folder / "image"
        self.writer = FileWriter(self.path)
        self.executor = executor
        self.stored: list[int] = []
        self.progress: Callable[[int], None] = self.stored.append
        self.disk_format = "raw"
        self.declared_size: int | None = None
        self.size_cap = 1 << 40
        self.batch_bytes = MIB

    def run(self, steps: Iterable[Step]) -> Received:
        received = receive_into(
            self.writer,
            Digests("sha256", self.executor),
            Inspection(self.disk_format, "bare", Formats()),
            declared_size=self.declared_size,
            size_cap=self.size_cap,
            progress=self.progress,
        )
        return run_steps(Script(steps), received, batch_bytes=self.batch_bytes)


@pytest.fixture
def upload(tmp_path: Path, executor: Executor) -> Iterator[Upload]:
    upload = Upload(tmp_path, executor)
    yield upload
    upload.writer.abort()


def parts_of(data: bytes, part_bytes: int = 64 * KIB) -> list[Step]:
    return [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]


@pytest.mark.parametrize("declared", [None, 0, 5 * MIB + 77])
def test_stores_and_describes_a_whole_body(upload: Upload, declared: int | None) -> None:
    data = noise(5 * MIB + 77)
    upload.declared_size = declared
    assert upload.run([*parts_of(data), END]) == Received(
        size=len(data),
        checksum=hashlib.md5(data).hexdigest(),
        hash_algo="sha256",
        hash_value=hashlib.sha256(data).hexdigest(),
        virtual_size=len(data),
    )
    assert upload.path.read_bytes() == data
    assert upload.stored == [1 * MIB, 2 * MIB, 3 * MIB, 4 * MIB, 5 * MIB, 5 * MIB + 77]


def test_an_empty_body_is_an_image(upload: Upload) -> None:
    received = upload.run([END])
    assert received.size == 0
    assert received.checksum == hashlib.md5(b"").hexdigest()
    assert received.hash_value == hashlib.sha256(b"").hexdigest()
    assert received.virtual_size is None
    assert upload.stored == []


def test_virtual_size_is_that_of_the_format(upload: Upload) -> None:
    upload.disk_format = "qcow2"
    data = VALID["qcow2-v3"].build()
    received = upload.run([*parts_of(data), END])
    assert (received.size, received.virtual_size) == (len(data), VALID["qcow2-v3"].virtual_size)


@pytest.mark.parametrize("declared", [1, 2999, -5])
def test_more_bytes_than_declared_end_the_upload_at_once(upload: Upload, declared: int) -> None:
    upload.declared_size = declared
    upload.batch_bytes = 1000
    with pytest.raises(SizeMismatch) as caught:
        upload.run([bytes(1000), bytes(1000), bytes(1000), 3600.0])
    assert caught.value.announced == declared
    assert caught.value.received == max(1000, min(3000, declared + 1000) // 1000 * 1000)
    assert upload.path.stat().st_size <= max(declared, 0), "no byte beyond the declared size is written"


@pytest.mark.parametrize("declared", [3001, -5])
def test_fewer_bytes_than_declared(upload: Upload, declared: int) -> None:
    upload.declared_size = declared
    with pytest.raises(SizeMismatch) as caught:
        upload.run([bytes(3000), END] if declared > 0 else [END])
    assert caught.value.announced == declared


@pytest.mark.parametrize("declared", [None, 3000])
def test_bytes_beyond_the_cap(upload: Upload, declared: int | None) -> None:
    upload.size_cap = 2000
    upload.declared_size = declared
    upload.batch_bytes = 1000
    with pytest.raises(LimitExceeded, match="3000 bytes or more, image_size_cap allows 2000"):
        upload.run([bytes(1000), bytes(1000), bytes(1000), 3600.0])
    assert upload.path.stat().st_size == (2000 if declared is None else 0)


def test_exactly_the_cap(upload: Upload) -> None:
    upload.size_cap = upload.declared_size = 2000
    assert upload.run([bytes(2000), END]).size == 2000


def test_refused_content(upload: Upload) -> None:
    upload.disk_format = "qcow2"
    with pytest.raises(UnsupportedContent, match="backing_file"):
        upload.run([*parts_of(HOSTILE["qcow2-backing-file"].build()), END])


@pytest.mark.parametrize("whole", [0, 3000])
def test_a_sender_that_goes_away_is_never_complete(upload: Upload, whole: int) -> None:
    """Not even after the last declared byte: only the signalled end completes a body."""
    upload.declared_size = whole
    with pytest.raises(BodyIncomplete):
        upload.run([*parts_of(bytes(whole)), GONE])


def test_what_progress_raises_ends_the_upload(upload: Upload) -> None:
    class Cancelled(Exception):
        pass

    def cancel(stored: int) -> None:
        raise Cancelled(stored)

    upload.progress = cancel
    with pytest.raises(Cancelled, match=str(MIB)):
        upload.run([*[bytes(MIB)] * 3, 3600.0])
    assert upload.path.stat().st_size == MIB


class FullWriter(FileWriter):
    def write(self, data: Bytes) -> None:
        super().write(data)
        if self._file.tell() > 2 * MIB:
            raise StoreFull("no space")


def test_what_the_writer_raises_ends_the_upload(tmp_path: Path, executor: Executor) -> None:
    upload = Upload(tmp_path, executor)
    upload.writer.abort()
    upload.writer = FullWriter(upload.path)
    with pytest.raises(StoreFull):
        upload.run([*[bytes(MIB)] * 5, 3600.0])
    upload.writer.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mib", [48, pytest.param(512, marks=pytest.mark.heavy)])
def test_memory_stays_at_a_few_batches(mib: int, tmp_path: Path, executor: Executor) -> None:
    """Four batches of 1 MiB, and what the parts cost besides. Every part is a new object, as the servers deliver."""
    pattern = os.urandom(64 * KIB)

    def generated() -> Iterator[Step]:
        for index in range(mib * 16):
            yield index.to_bytes(8, "big") + pattern[8:]
        yield END

    upload = Upload(tmp_path, executor)
    upload.run([END])  # imports and threads are paid for
    upload.writer.abort()
    upload.writer = FileWriter(upload.path)
    tracemalloc.start()
    try:
        received = upload.run(generated())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        upload.writer.abort()
    assert received.size == mib * MIB
    assert peak < 5 * MIB
