"""Contract of readers, sizes and deletions."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glimpse.errors import DataInUse, DataNotFound, ForeignLocation, RangeNotSatisfiable
from tests.contract.stores.rigs.base import Rig, new_id
from tests.support.images.content import noise

CONTENT = noise(3000) + bytes(20_000) + noise(7001, "behind the hole")
SIZE = len(CONTENT)


@pytest.fixture
def url(rig: Rig) -> str:
    """Where ``CONTENT`` is."""
    return rig.put(CONTENT)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_range_within_the_data_is_read_exactly(rig: Rig, url: str, data: st.DataObject):
    offset = data.draw(st.integers(0, SIZE - 1))
    length = data.draw(st.none() | st.integers(0, SIZE - offset))
    batch = data.draw(st.sampled_from((1 << 20, 4096, 1021)))
    if rig.had_enough():
        return
    end = SIZE if length is None else offset + length
    assert rig.get(url, offset, length, batch=batch) == CONTENT[offset:end]


def test_the_last_byte(rig: Rig, url: str):
    assert rig.get(url, SIZE - 1) == CONTENT[-1:]
    assert rig.get(url, SIZE - 1, 1) == CONTENT[-1:]


def test_a_reader_delivers_no_byte_beyond_its_range(rig: Rig, url: str):
    reader = rig.store.reader(url, 10, 20)
    assert reader.length == 20
    assert reader.read(100) == CONTENT[10:30]
    assert reader.read(100) == b""
    reader.close()


@pytest.mark.parametrize(
    ("offset", "length"), [(SIZE, None), (SIZE, 0), (SIZE + 1, None), (0, SIZE + 1), (SIZE - 1, 2)]
)
def test_a_range_that_is_not_within_the_data_is_refused_with_their_size(rig: Rig, url: str, offset, length):
    with pytest.raises(RangeNotSatisfiable) as caught:
        rig.store.reader(url, offset, length)
    assert caught.value.size == SIZE


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1), (-1, 1)])
def test_negative_ranges_are_refused(rig: Rig, url: str, offset: int, length: int | None):
    with pytest.raises(RangeNotSatisfiable):
        rig.store.reader(url, offset, length)


def test_ranges_of_an_empty_image(rig: Rig):
    empty = rig.put(b"")
    assert rig.get(empty, 0, 0) == b""
    for offset, length in ((0, 1), (1, None), (1, 0)):
        with pytest.raises(RangeNotSatisfiable):
            rig.store.reader(empty, offset, length)


def test_closing_twice(rig: Rig, url: str):
    reader = rig.store.reader(url)
    reader.close()
    reader.close()


def test_two_readers_of_one_image_are_independent(rig: Rig, url: str):
    first, second = rig.store.reader(url), rig.store.reader(url, 5)
    first.read(10)
    assert second.read(10) == CONTENT[5:15]
    first.close()
    assert second.read(10) == CONTENT[15:25]
    second.close()


def test_blanks_around_a_location_do_not_matter(rig: Rig, url: str):
    assert rig.store.size(f"  {url}\n") == SIZE


def test_size(rig: Rig, url: str):
    assert rig.store.size(url) == SIZE


def test_a_deleted_image_is_gone_for_good(rig: Rig, url: str):
    rig.store.delete(url)
    rig.kept.clear()
    assert rig.leftovers() == []
    with pytest.raises(DataNotFound):
        rig.store.reader(url)
    with pytest.raises(DataNotFound):
        rig.store.delete(url)


def test_a_deletion_leaves_other_images(rig: Rig, url: str):
    other_id = new_id()
    other = rig.put(b"other", other_id)
    rig.store.delete(url)
    rig.kept.intersection_update({other_id})
    assert rig.get(other) == b"other"


def test_a_running_reader_survives_the_deletion(rig: Rig, url: str):
    reader = rig.store.reader(url)
    received = reader.read(100)
    if rig.readers_protect:
        with pytest.raises(DataInUse):
            rig.store.delete(url)
    else:
        rig.store.delete(url)
        rig.kept.clear()
    while part := reader.read(SIZE):
        received += part
    reader.close()
    assert received == CONTENT


def test_after_a_deletion_the_image_can_be_written_again(rig: Rig):
    image_id = new_id()
    rig.store.delete(rig.put(b"first", image_id))
    assert rig.get(rig.put(b"second", image_id)) == b"second"


def test_an_unknown_image(rig: Rig):
    url = rig.url(new_id())
    for operation in (rig.store.reader, rig.store.size, rig.store.delete):
        with pytest.raises(DataNotFound):
            operation(url)


def test_locations_of_others_are_refused(rig: Rig, url: str):
    general = ("", "image", "://image", "rbd://pool/image", "http://host/image", "unknown:///x", "/etc/passwd")
    for foreign in rig.foreign_urls + general:
        for operation in (rig.store.reader, rig.store.size, rig.store.delete):
            with pytest.raises(ForeignLocation):
                operation(foreign)
    assert rig.get(url) == CONTENT
