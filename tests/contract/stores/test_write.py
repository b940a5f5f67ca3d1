"""Contract of writers: invisible until commit, whole after it, nothing after an abort."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glimpse.errors import DataNotFound, Duplicate, Invalid
from tests.contract.stores.rigs.base import Rig, new_id
from tests.support.images.content import noise

SIZES = st.integers(0, 40_000) | st.sampled_from((4095, 4096, 4097, 65535, 65536, 65537, 131072))


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.tuples(SIZES, st.booleans()), max_size=6), known=st.booleans())
def test_what_was_written_in_any_pieces_is_read(rig: Rig, pieces: list[tuple[int, bool]], known: bool):
    if rig.had_enough():
        return
    parts = [bytes(size) if zero else noise(size, str(size)) for size, zero in pieces]
    content = b"".join(parts)
    writer = rig.store.writer(new_id(), len(content) if known else None, "try1")
    for part in parts:
        writer.write(part)
    placed = writer.commit()
    assert rig.get(placed.url, batch=10_000) == content
    assert rig.store.size(placed.url) == len(content)
    rig.store.delete(placed.url)


def test_an_image_of_no_bytes(rig: Rig):
    url = rig.put(b"")
    assert rig.store.size(url) == 0
    assert rig.get(url) == b""


def test_an_image_without_any_write(rig: Rig):
    placed = rig.store.writer(new_id(), None, "try1").commit()
    assert rig.get(placed.url) == b""
    rig.store.delete(placed.url)


def test_many_small_writes(rig: Rig):
    content = noise(5000) + bytes(9000) + noise(3001, "end")
    writer = rig.begin(image_id := new_id())
    for start in range(0, len(content), 7):
        writer.write(content[start : start + 7])
    rig.kept.add(image_id)
    assert rig.get(writer.commit().url) == content


def test_the_caller_may_reuse_its_buffer(rig: Rig):
    buffer = bytearray(70_000)
    writer = rig.begin(image_id := new_id())
    for filling in (b"a", b"\0", b"b"):
        buffer[:] = filling * len(buffer)
        writer.write(buffer)
    buffer[:] = b"x" * len(buffer)
    rig.kept.add(image_id)
    assert rig.get(writer.commit().url) == b"a" * 70_000 + bytes(70_000) + b"b" * 70_000


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(data)[1:-1]])
def test_everything_that_holds_bytes_is_taken(rig: Rig, kind):
    data = kind(noise(100_000))
    assert rig.get(rig.put(data)) == bytes(data)


def test_nothing_is_visible_before_commit(rig: Rig):
    image_id = new_id()
    writer = rig.begin(image_id, b"unfinished")
    with pytest.raises(DataNotFound):
        rig.store.reader(rig.url(image_id))
    with pytest.raises(DataNotFound):
        rig.store.size(rig.url(image_id))
    with pytest.raises(DataNotFound):
        rig.store.delete(rig.url(image_id))
    writer.abort()


def test_the_location_is_the_known_one_and_plain_metadata(rig: Rig):
    image_id = new_id()
    rig.kept.add(image_id)
    placed = rig.begin(image_id, b"data").commit()
    assert placed.url.startswith(f"{rig.store.scheme}://")
    assert placed.url == rig.url(image_id)
    assert placed.metadata == {}


def test_an_abort_leaves_nothing(rig: Rig):
    writer = rig.begin(new_id(), noise(100_000))
    assert writer.abort() is True
    assert rig.leftovers() == []
    assert writer.abort() is True


def test_an_abort_before_the_first_write_leaves_nothing(rig: Rig):
    assert rig.store.writer(new_id(), 5, "try1").abort() is True


def test_after_an_abort_the_image_can_be_written_again(rig: Rig):
    image_id = new_id()
    assert rig.begin(image_id, b"first").abort() is True
    assert rig.get(rig.put(b"second", image_id)) == b"second"


def test_an_abort_after_the_commit_changes_nothing(rig: Rig):
    image_id = new_id()
    writer = rig.begin(image_id, b"data")
    rig.kept.add(image_id)
    placed = writer.commit()
    writer.abort()
    assert rig.get(placed.url) == b"data"


def test_an_image_that_exists_cannot_be_begun(rig: Rig):
    image_id = new_id()
    url = rig.put(b"first", image_id)
    with pytest.raises(Duplicate):
        rig.store.writer(image_id, None, "try2")
    assert rig.get(url) == b"first"


def test_of_two_attempts_the_second_to_commit_fails_and_changes_nothing(rig: Rig):
    image_id = new_id()
    first = rig.begin(image_id, b"first", attempt="try1")
    second = rig.begin(image_id, b"second", attempt="try2")
    rig.kept.add(image_id)
    url = second.commit().url
    with pytest.raises(Duplicate):
        first.commit()
    first.abort()
    first.abort()
    assert rig.get(url) == b"second"


def test_one_attempt_has_one_writer(rig: Rig):
    image_id = new_id()
    writer = rig.begin(image_id, attempt="try1")
    with pytest.raises(Duplicate):
        rig.store.writer(image_id, None, "try1")
    writer.abort()


HOSTILE = ("", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b", ".hidden", "-x/..", "a\nb", "\udc80", "ü", "x" * 300)


@pytest.mark.parametrize("name", HOSTILE)
def test_ids_that_could_mean_something_else_are_refused(rig: Rig, name: str):
    with pytest.raises(Invalid):
        rig.store.writer(name, None, "try1")
    with pytest.raises(Invalid):
        rig.store.writer(new_id(), None, name)
    with pytest.raises(Invalid):
        rig.store.sweep(name, "try1")
    with pytest.raises(Invalid):
        rig.store.sweep(new_id(), name)
