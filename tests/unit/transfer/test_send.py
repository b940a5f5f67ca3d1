"""The download loop, from real files."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Iterator, MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from glimpse.errors import DataIncomplete, StoreUnavailable
from glimpse.transfer.part_sizes import LARGE_PART, SMALL_PART, PartMemory, bytes_held
from glimpse.transfer.send import send_reader
from glimpse.transfer.turn_budget import TURN_BYTES, TurnBudget
from tests.support.images import noise
from tests.unit.transfer.asgi_script import END, GONE, Script
from tests.unit.transfer.file_ends import FileReader

MIB = 1 << 20


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


START: MutableMapping[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}


class Client:
    """What an ASGI server would put on the wire; takes ``seconds`` for each part."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.parts: list[bytes] = []
        self.started = False
        self.ended = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        assert not self.ended
        if not self.started:
            assert message == START
            self.started = True
            return
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
    memory: PartMemory | None = None,
) -> int:
    async def main() -> int:
        try:
            receive = script or Script([END])
            return await send_reader(
                reader,
                client,
                receive,
                executor,
                start=START,
                memory=memory or PartMemory(64 * MIB),
                turns=TurnBudget(),
            )
        finally:
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    try:
        return asyncio.run(main())
    finally:
        assert reader.closed.wait(10)


@pytest.mark.parametrize("size", [1, SMALL_PART - 1, SMALL_PART, SMALL_PART + 1, 3 * LARGE_PART, 5 * MIB + 3])
@pytest.mark.parametrize("at_most", [1 << 30, 100_003])
def test_sends_every_byte(path: Path, executor: Executor, size: int, at_most: int) -> None:
    path.write_bytes(noise(size))
    client = Client()
    assert download(FileReader(path, at_most=at_most), client, executor) == size
    assert client.ended
    assert client.body == path.read_bytes()
    assert all(SMALL_PART <= len(part) <= LARGE_PART for part in client.parts[:-1])


def test_an_empty_image_is_one_empty_part(path: Path, executor: Executor) -> None:
    path.touch()
    client = Client()
    assert download(FileReader(path), client, executor) == 0
    assert client.parts == [b""]
    assert client.ended


def test_reads_one_part_ahead_and_no_further(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(30 * SMALL_PART))
    reader = FileReader(path)

    class Watching(Client):
        async def __call__(self, message: MutableMapping[str, Any]) -> None:
            assert reader.delivered <= len(self.body) + 2 * SMALL_PART
            await super().__call__(message)
            await asyncio.sleep(0.002)
            assert reader.delivered <= len(self.body) + SMALL_PART

    assert download(reader, Watching(), executor, memory=PartMemory(0)) == 30 * SMALL_PART


class FailingReader(FileReader):
    def read(self, size: int) -> bytes:
        if self.delivered >= 3 * SMALL_PART:
            raise StoreUnavailable("the disk is gone")
        return super().read(size)


def test_a_failing_read_raises_before_the_end_is_told(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(10 * SMALL_PART))
    client = Client()
    with pytest.raises(DataIncomplete, match="disk is gone") as raised:
        download(FailingReader(path), client, executor)
    assert raised.value.sent == 3 * SMALL_PART
    assert client.body == bytes(3 * SMALL_PART)
    assert not client.ended


def test_data_that_end_early_are_not_the_end(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(10_000))
    reader = FileReader(path)
    reader.length = 12_000
    client = Client()
    with pytest.raises(DataIncomplete, match="after 10000 of 12000") as raised:
        download(reader, client, executor)
    assert raised.value.sent == 10_000
    assert not client.ended


def test_a_client_that_goes_away_stops_the_reading(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1_000_000))
    reader, client = FileReader(path), Client(seconds=0.01)
    sent = download(reader, client, executor, script=Script([END, 0.05, GONE]))
    assert 0 < sent < 1_000_000
    assert sent == len(client.body)
    assert reader.delivered <= sent + 2 * SMALL_PART
    assert not client.ended


def test_a_send_that_finds_no_client_stops_the_reading(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1_000_000))
    reader = FileReader(path)

    class Cut(Client):
        async def __call__(self, message: MutableMapping[str, Any]) -> None:
            if len(self.parts) == 3:
                raise OSError("wire cut")
            await super().__call__(message)

    assert download(reader, Cut(), executor) < 1_000_000
    assert reader.delivered <= 6 * SMALL_PART


def test_an_answer_whose_start_fails_closes_its_reader(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1000))
    reader = FileReader(path)

    async def failing(_: MutableMapping[str, Any]) -> None:
        raise OSError("wire cut")

    with pytest.raises(OSError, match="wire cut"):
        asyncio.run(
            send_reader(reader, failing, Script([END]), executor, start=START, memory=PartMemory(0), turns=TurnBudget())
        )
    assert reader.closed.wait(10)
    assert reader.delivered == 0


def test_a_source_that_drips_is_passed_on_as_it_drips(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1000))

    class Dripping(FileReader):
        def read(self, size: int) -> bytes:
            time.sleep(0.4)
            return super().read(size)

    client = Client()
    assert download(Dripping(path, at_most=200), client, executor) == 1000
    assert len(client.parts[0]) < 1000


def test_a_failing_receive_is_not_hidden(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1_000_000))
    with pytest.raises(OSError, match="wire cut"):
        download(FileReader(path), Client(0.001), executor, script=Script([OSError("wire cut")]))


class SlowReader(FileReader):
    """A read of it takes a third of a second."""

    started = False

    def read(self, size: int) -> bytes:
        part = super().read(size)
        with self._lock:
            self.started = True
            assert not self.closed.wait(0.3)
        return part


def test_a_cancelled_download_closes_the_reader_after_its_read(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(1_000_000))
    reader = SlowReader(path)

    async def main() -> None:
        sending = asyncio.ensure_future(
            send_reader(
                reader, Client(), Script([END]), executor, start=START, memory=PartMemory(0), turns=TurnBudget()
            )
        )
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
            if self.ended:
                executor.shutdown()

    assert download(FileReader(path), LastPart(), executor) == 1000


def peak_of(reader: FileReader, executor: Executor, memory: PartMemory) -> int:
    class Counting(Client):
        async def __call__(self, message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(0)

    tracemalloc.start()
    try:
        assert download(reader, Counting(), executor, memory=memory) == reader.length
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("memory", "part"), [(0, SMALL_PART), (64 * MIB, LARGE_PART)])
def test_memory_stays_at_a_few_parts(path: Path, executor: Executor, memory: int, part: int) -> None:
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    assert peak_of(FileReader(path), executor, PartMemory(memory)) < 4 * part + 256 * 1024


def test_a_download_gives_the_memory_of_large_parts_back(path: Path, executor: Executor) -> None:
    with path.open("wb") as file:
        file.truncate(128 * MIB)
    memory = PartMemory(bytes_held(LARGE_PART))
    largest = [max(map(len, parts_of(path, executor, memory))) for _ in range(2)]
    assert largest[0] == largest[1] > SMALL_PART


def parts_of(path: Path, executor: Executor, memory: PartMemory) -> list[bytes]:
    client = Client()
    download(FileReader(path), client, executor, memory=memory)
    return client.parts


class CachedReader(FileReader):
    """Has the data at hand that begin in one of the KiB of ``cached``; None: all. Remembers how each part was read."""

    def __init__(self, path: Path, cached: range | None = None) -> None:
        super().__init__(path)
        self.cached = cached
        self.parts: list[str] = []

    def read_now(self, size: int) -> bytes | None:
        assert not self._lock.locked(), "the event loop and a thread in one reader"
        if self.cached is not None and self.delivered // 1024 not in self.cached:
            self.parts.append("none")
            return None
        self.parts.append("now")
        part = self._file.read(size)
        self.delivered += len(part)
        return part

    def read(self, size: int) -> bytes:
        self.parts.append("thread")
        return super().read(size)


@pytest.mark.parametrize("size", [0, 1, SMALL_PART, 20 * MIB + 3])
def test_data_at_hand_are_read_by_the_event_loop(path: Path, executor: Executor, size: int) -> None:
    path.write_bytes(noise(size))
    reader, client = CachedReader(path), Client()
    assert download(reader, client, executor) == size
    assert client.ended
    assert client.body == path.read_bytes()
    assert set(reader.parts) == {"now"}
    assert max(map(len, client.parts)) <= LARGE_PART


def test_data_not_at_hand_are_read_by_threads_in_ever_longer_rows(path: Path, executor: Executor) -> None:
    path.write_bytes(noise(80 * SMALL_PART))
    reader, client = CachedReader(path, range(0)), Client()
    assert download(reader, client, executor, memory=PartMemory(0)) == 80 * SMALL_PART
    assert client.body == path.read_bytes()
    rows = [len(row.split()) for row in " ".join(reader.parts).split("none")[1:]]
    assert rows[:6] == [1, 2, 4, 8, 16, 16]


def test_after_a_part_of_a_thread_the_event_loop_goes_on(path: Path, executor: Executor) -> None:
    """As after the first read of a disk, whose read-ahead brings the parts that follow."""
    path.write_bytes(noise(10 * SMALL_PART))
    reader, client = CachedReader(path, range(SMALL_PART // 1024, 1 << 20)), Client()
    assert download(reader, client, executor, memory=PartMemory(0)) == 10 * SMALL_PART
    assert client.body == path.read_bytes()
    assert reader.parts == ["none", "thread", *["now"] * 9]


def test_a_failing_read_on_the_spot_raises_before_the_end_is_told(path: Path, executor: Executor) -> None:
    path.write_bytes(bytes(10 * SMALL_PART))

    class Failing(CachedReader):
        def read_now(self, size: int) -> bytes | None:
            if self.delivered >= 3 * SMALL_PART:
                raise StoreUnavailable("the disk is gone")
            return super().read_now(size)

    client = Client()
    with pytest.raises(DataIncomplete, match="disk is gone") as raised:
        download(Failing(path), client, executor)
    assert raised.value.sent == 3 * SMALL_PART
    assert not client.ended


def test_64_streams_at_hand_leave_turns_to_others(path: Path, executor: Executor) -> None:
    """A client that takes all at once never makes ``send`` wait, so nothing but the budget ends a turn."""
    with path.open("wb") as file:
        file.truncate(8 * MIB)
    moved = 0

    async def take(message: MutableMapping[str, Any]) -> None:
        nonlocal moved
        moved += len(message.get("body", b""))

    async def main() -> list[int]:
        turns, memory = TurnBudget(), PartMemory(1024 * MIB)
        readers = [CachedReader(path) for _ in range(64)]
        sending = [
            asyncio.ensure_future(
                send_reader(reader, take, Script([]), executor, start=START, memory=memory, turns=turns)
            )
            for reader in readers
        ]
        in_turn: list[int] = []
        while not all(one.done() for one in sending):
            before = moved
            await asyncio.sleep(0)
            in_turn.append(moved - before)
        assert sum(one.result() for one in sending) == moved == 64 * 8 * MIB
        assert all(reader.closed.wait(10) for reader in readers)
        return in_turn

    in_turn = asyncio.run(main())
    assert max(in_turn) <= 2 * TURN_BYTES + LARGE_PART
