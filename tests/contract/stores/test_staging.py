"""Staging in a store of each kind that can (imports-and-stores 2.2): the interface of a staging area holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from glimpse.errors import DataNotFound, Duplicate, StoreUnavailable
from glimpse.staging.directory import DirectoryStaging
from glimpse.staging.objects import ObjectStaging
from tests.contract.stores.rigs.all import built, parameters
from tests.contract.stores.rigs.base import ATTEMPT, Rig, drained, eventually, new_id

DATA = bytes(range(256)) * 5000


#: Modules of the kinds of stores that can.
KINDS = ("memory", "rbd", "s3", "swift")


@pytest.fixture(params=parameters(modules=KINDS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    rig = built(request.param, tmp_path)
    yield rig
    rig.end()


@pytest.fixture
def area(rig: Rig, tmp_path: Path) -> ObjectStaging:
    return ObjectStaging(rig.store, DirectoryStaging(tmp_path / "local"))


def stage(area: ObjectStaging, image_id: str, data: bytes, attempt: str = ATTEMPT) -> None:
    writer = area.writer(image_id, attempt)
    for start in range(0, len(data), 1 << 20):
        writer.write(data[start : start + (1 << 20)])
    writer.commit()


@pytest.mark.parametrize("data", [b"", DATA])
def test_what_is_staged_is_read_and_removed(area: ObjectStaging, rig: Rig, data: bytes) -> None:
    image_id = new_id()
    before = time.time()
    assert area.size(image_id) is None
    with pytest.raises(DataNotFound):
        area.reader(image_id)
    stage(area, image_id, data)
    assert area.size(image_id) == len(data)
    assert drained(area.reader(image_id)) == data
    assert area.path(image_id) is None
    eventually(lambda: [found for found, _ in area.images()], [image_id], rig.settles)
    [(_, changed_at)] = area.images()
    assert before - 60 < changed_at < time.time() + 60
    assert area.remove(image_id)
    assert area.size(image_id) is None
    assert not area.remove(image_id)


def test_unfinished_data_are_not_there_but_found(area: ObjectStaging, rig: Rig) -> None:
    image_id = new_id()
    writer = area.writer(image_id, ATTEMPT)
    writer.write(DATA)
    assert area.size(image_id) is None
    assert list(area.images()) == []
    eventually(lambda: [found[:2] for found in area.unfinished()], [(image_id, ATTEMPT)], rig.settles)
    assert area.sweep(image_id, ATTEMPT)
    with pytest.raises(StoreUnavailable):
        writer.commit()
    writer.abort()
    assert area.size(image_id) is None


def test_files_of_programs_are_local(area: ObjectStaging) -> None:
    image_id = new_id()
    file = area.scratch(image_id, "a1")
    file.write_bytes(b"of a program")
    assert area.size(image_id) is None
    assert [found[:2] for found in area.unfinished()] == [(image_id, "a1")]
    assert area.sweep(image_id, "a1")
    assert not file.exists()
    assert not area.sweep(image_id, "a1")


def test_complete_data_are_not_replaced(area: ObjectStaging) -> None:
    image_id = new_id()
    stage(area, image_id, b"first")
    with pytest.raises(Duplicate):
        stage(area, image_id, b"second", "other")
    assert drained(area.reader(image_id)) == b"first"
    writer = area.fresh_writer(image_id, "third")
    writer.write(b"third")
    writer.commit()
    assert drained(area.reader(image_id)) == b"third"
    assert area.remove(image_id)


def test_a_name_that_is_no_image_id(area: ObjectStaging) -> None:
    assert area.size("../x") is None
    assert not area.remove("../x")
    with pytest.raises(DataNotFound):
        area.reader("../x")
