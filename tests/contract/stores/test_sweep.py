"""Contract of sweeping: whatever a dead writer left goes, and a writer that only seemed dead cannot come back."""

import threading

import pytest

from glimpse.errors import DataNotFound, GlimpseError, StoreUnavailable
from tests.contract.stores.rigs.base import Rig, new_id


def test_nothing_to_sweep(rig: Rig):
    assert rig.store.sweep(new_id(), "try1") is False


def test_unfinished_data_are_swept(rig: Rig):
    image_id = new_id()
    writer = rig.begin(image_id, b"unfinished", attempt="try1")
    assert rig.store.sweep(image_id, "try1") is True
    assert rig.store.sweep(image_id, "try1") is False
    assert writer.abort() is True


def test_a_swept_writer_cannot_commit(rig: Rig):
    image_id = new_id()
    writer = rig.begin(image_id, b"stalled", attempt="try1")
    rig.store.sweep(image_id, "try1")
    with pytest.raises(StoreUnavailable):
        writer.commit()
    writer.abort()
    with pytest.raises(DataNotFound):
        rig.store.size(rig.url(image_id))


def test_a_swept_writer_cannot_harm_the_next_attempt(rig: Rig):
    image_id = new_id()
    stalled = rig.begin(image_id, b"stalled", attempt="try1")
    rig.store.sweep(image_id, "try1")
    rig.kept.add(image_id)
    url = rig.begin(image_id, b"second", attempt="try2").commit().url
    with pytest.raises(GlimpseError):
        stalled.commit()
    stalled.abort()
    assert rig.get(url) == b"second"


def test_committed_data_that_nobody_recorded_are_swept(rig: Rig):
    image_id = new_id()
    url = rig.begin(image_id, b"committed", attempt="try1").commit().url
    assert rig.store.sweep(image_id, "try1") is True
    with pytest.raises(DataNotFound):
        rig.store.reader(url)


def test_a_late_sweep_spares_the_data_of_the_next_attempt(rig: Rig):
    image_id = new_id()
    rig.begin(image_id, b"first", attempt="try1").abort()
    rig.kept.add(image_id)
    url = rig.begin(image_id, b"second", attempt="try2").commit().url
    assert rig.store.sweep(image_id, "try1") is False
    assert rig.get(url) == b"second"


def test_a_sweep_spares_other_attempts_and_other_images(rig: Rig):
    image_id, other_id = new_id(), new_id()
    other = rig.begin(other_id, b"other", attempt="try1")
    rival = rig.begin(image_id, b"rival", attempt="try2")
    assert rig.store.sweep(image_id, "try1") is False
    rig.kept.update((image_id, other_id))
    assert rig.get(other.commit().url) == b"other"
    assert rig.get(rival.commit().url) == b"rival"


def test_whichever_of_commit_and_sweep_comes_first_nothing_stays(rig: Rig):
    for _ in rig.repetitions(50):
        image_id = new_id()
        writer = rig.begin(image_id, b"data", attempt="try1")
        start = threading.Barrier(2)

        def commit(writer=writer, start=start) -> None:
            start.wait()
            try:
                writer.commit()
            except StoreUnavailable:
                writer.abort()

        thread = threading.Thread(target=commit)
        thread.start()
        start.wait()
        rig.store.sweep(image_id, "try1")
        thread.join()
        assert rig.leftovers() == []
