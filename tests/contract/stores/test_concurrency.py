"""Contract under load: different objects at the same time, in any thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

from glimpse.errors import Duplicate
from tests.contract.stores.rigs.base import Rig, new_id
from tests.support.images.content import noise

MIB = 1 << 20


def test_images_are_written_read_and_deleted_side_by_side(rig: Rig):
    together = threading.Barrier(6)

    def life(number: int) -> None:
        content = noise(MIB + number, str(number))
        image_id = new_id()
        together.wait()
        writer = rig.store.writer(image_id, len(content), "try1")
        for start in range(0, len(content), 100_000):
            writer.write(memoryview(content)[start : start + 100_000])
        url = writer.commit().url
        assert rig.get(url, batch=64 * 1024) == content
        rig.store.delete(url)

    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(life, number) for number in range(6)]:
            done.result()


def test_readers_read_while_another_image_is_written(rig: Rig):
    content = noise(2 * MIB)
    url = rig.put(content)
    writer = rig.begin(new_id())
    stop = threading.Event()

    def write() -> int:
        count = 0
        while not stop.is_set() and count < 32:
            writer.write(content[:MIB])
            count += 1
        return count

    with ThreadPoolExecutor(5) as threads:
        writing = threads.submit(write)
        readings = [threads.submit(rig.get, url, offset) for offset in (0, 1, MIB, 2 * MIB - 1)]
        results = [reading.result() for reading in readings]
        stop.set()
        assert writing.result() > 0
    writer.abort()
    assert results == [content[offset:] for offset in (0, 1, MIB, 2 * MIB - 1)]


def test_of_many_commits_of_one_image_exactly_one_succeeds(rig: Rig):
    for _ in rig.repetitions(10):
        image_id = new_id()
        writers = {
            attempt: rig.begin(image_id, attempt.encode(), attempt=attempt)
            for attempt in ("try1", "try2", "try3", "try4")
        }
        together = threading.Barrier(len(writers))

        def commit(attempt: str, writers=writers, together=together) -> tuple[str, str] | None:
            together.wait()
            try:
                return attempt, writers[attempt].commit().url
            except Duplicate:
                writers[attempt].abort()
                return None

        with ThreadPoolExecutor(len(writers)) as threads:
            won = [result for result in threads.map(commit, writers) if result]
        assert len(won) == 1
        attempt, url = won[0]
        assert rig.get(url) == attempt.encode()
        rig.store.delete(url)
