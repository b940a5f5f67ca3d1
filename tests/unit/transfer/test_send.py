"""The download loop, from real files."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator, MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from glimpse.errors import DataIncomplete, StoreUnavailable
from glimpse.transfer.send import PART_BYTES, send_reader
from tests.support.images import noise
from tests.unit.transfer.asgi_script import END, GONE, Script
from tests.unit.transfer.file_ends import FileReader

MIB = 1 << 20


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


class Client:
    """What an ASGI server would put on the wire; takes ``seconds`` for each part."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.parts: list[bytes] = []
        self.ended = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        assert not self.ended
        assert message["type"] == "http.response.body"
        await asyncio.sleep(self.seconds)
        self.parts.append(message["body"])
        self.ended = not message["more_body"]

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image"


def download(
    reader: FileReader,
    client: Client,
    executor: Executor,
    *,
    script: Script | None = None,
    part_bytes: int = PART_BYTES,
) -> int:
    async def main() -> int:
        try:
            return await send_reader(reader, client, script or Script([END]), executor, part_bytes=part_bytes)
        finally:
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    try:
        return asyncio.run(main())
    finally:
        assert reader.closed.wait(10)


@pytest.mark.parametrize("size", [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES, 5 * MIB + 3])
@pytest.mark.parametrize("at_most", [1 << 30, 100_003])
def test_sends_every_byte(path: Path, executor: Executor, size: int, at_most: int) -> None:
    path.write_bytes(noise(size))
    client = Client()
    assert download(FileReader(path, at_most=at_most), client, executor) == size
    assert client.ended
    assert client.body == path.read_bytes()
    assert [len(part) for part in client.parts[:-1]] == [PART_BYTES] * ((size - 1) // PART_BYTES)


def test_an_empty_image_is_one_empty_part(path: Path, executor: Executor) -> None:
    path.touch()
    client = Client()
    assert download(FileReader(path), client, executor) == 0
    assert client.parts == [b""]
    assert client.ended


def test_reads_one_part_ahead_and_no_further(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(100 * 1000))
    reader = FileReader(path)

    class Watching(Client):
        async def __call__(self, message: MutableMapping[str, Any]) -> None:
            assert reader.read <= len(self.body) + 2000
            await super().__call__(message)
            await asyncio.sleep(0.002)
            assert reader.read <= len(self.body) + 1000

    assert download(reader, Watching(), executor, part_bytes=1000) == 100_000


class FailingReader(FileReader):
    def readinto(self, buffer: memoryview) -> int:
        if self.read >= 3000:
            raise StoreUnavailable("the disk is gone")
        return super().readinto(buffer)


def test_a_failing_read_raises_before_the_end_is_told(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(10_000))
    client = Client()
    with pytest.raises(DataIncomplete, match="disk is gone") as raised:
        download(FailingReader(path), client, executor, part_bytes=1000)
    assert raised.value.sent == 3000
    assert client.body == bytes(3000)
    assert not client.ended


def test_data_that_end_early_are_not_the_end(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(10_000))
    reader = FileReader(path)
    reader.length = 12_000
    client = Client()
    with pytest.raises(DataIncomplete, match="after 10000 of 12000") as raised:
        download(reader, client, executor, part_bytes=1000)
    assert raised.value.sent == 10_000
    assert not client.ended


def test_a_client_that_goes_away_stops_the_reading(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1_000_000))
    reader, client = FileReader(path), Client(seconds=0.01)
    sent = download(reader, client, executor, script=Script([END, 0.5, GONE]), part_bytes=1000)
    assert 0 < sent < 1_000_000
    assert sent == len(client.body)
    assert reader.read <= sent + 2000
    assert not client.ended


def test_a_failing_send_stops_the_reading(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1_000_000))
    reader = FileReader(path)

    class Cut(Client):
        async def __call__(self, message: MutableMapping[str, Any]) -> None:
            if len(self.parts) == 3:
                raise OSError("wire cut")
            await super().__call__(message)

    with pytest.raises(OSError, match="wire cut"):
        download(reader, Cut(), executor, part_bytes=1000)
    assert reader.read <= 6000


def test_a_failing_receive_is_not_hidden(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1_000_000))
    with pytest.raises(OSError, match="wire cut"):
        download(FileReader(path), Client(0.001), executor, script=Script([OSError("wire cut")]), part_bytes=1000)


class SlowReader(FileReader):
    """A read of it takes a third of a second."""

    started = False

    def readinto(self, buffer: memoryview) -> int:
        count = super().readinto(buffer)
        with self._lock:
            self.started = True
            assert not self.closed.wait(0.3)
        return count


def test_a_cancelled_download_closes_the_reader_after_its_read(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1_000_000))
    reader = SlowReader(path)

    async def main() -> None:
        sending = asyncio.ensure_future(send_reader(reader, Client(), Script([END]), executor, part_bytes=1000))
        while not reader.started:
            await asyncio.sleep(0.001)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not reader.closed.is_set()

    asyncio.run(main())
    assert reader.closed.wait(10)


def test_a_download_that_outlives_its_executor_closes_its_reader(path: Path) -> None:
    path.write_bytes(noise(1000))
    executor = ThreadPoolExecutor(1)

    class LastPart(Client):
        async def __call__(self, message: MutableMapping[str, Any]) -> None:
            await super().__call__(message)
            executor.shutdown()

    assert download(FileReader(path), LastPart(), executor) == 1000


def test_memory_stays_at_a_few_parts(path: Path, executor: Executor) -> None:
    with path.open("wb") as file:
        file.truncate(64 * MIB)

    class Counting(Client):
        async def __call__(self, message: MutableMapping[str, Any]) -> None:
            self.parts = [self.parts[0] + len(message["body"]).to_bytes(4, "big")] if self.parts else [b""]
            await asyncio.sleep(0)

    tracemalloc.start()
    try:
        assert download(FileReader(path), Counting(), executor) == 64 * MIB
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * PART_BYTES + MIB
