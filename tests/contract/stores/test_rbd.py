"""What only RBD stores have: Glance's layout, clones, the trash, other pools, and connections that are lost."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from glimpse.errors import (
    AccessDenied,
    DataInUse,
    DataNotFound,
    Duplicate,
    ForeignLocation,
    StoreFull,
    StoreUnavailable,
)
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.rbd.options import RbdOptions
from glimpse.stores.rbd.store import RbdStore
from tests.contract.stores.rigs import rbd as rbd_rig
from tests.contract.stores.rigs.all import built
from tests.contract.stores.rigs.base import ATTEMPT, Rig, new_id
from tests.support.images.content import noise

MIB = 1 << 20

pytestmark = [pytest.mark.interop, pytest.mark.timeout(200)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = built((rbd_rig.NEEDS, rbd_rig.rbd), tmp_path)
    yield rig
    rig.end()


@pytest.fixture
def ceph(rig: Rig) -> rbd_rig.Ceph:
    return rbd_rig.ceph()


@pytest.fixture
def pool(ceph: rbd_rig.Ceph) -> Iterator[Any]:
    """The administrator's context of I/O for the pool of the store."""
    with ceph.admin.open_ioctx(ceph.pool) as context:
        yield context


def _image(ceph: rbd_rig.Ceph, pool: Any, name: str, **options: Any) -> Any:
    return ceph.bindings.rbd.Image(pool, name, **options)


def _clone(ceph: rbd_rig.Ceph, pool: Any, parent: str, name: str, clone_format: int) -> None:
    """Clone as Nova and Cinder do."""
    ceph.admin.conf_set("rbd_default_clone_format", str(clone_format))
    ceph.bindings.rbd.RBD().clone(pool, parent, "snap", pool, name, features=1)


def _with_features(ceph: rbd_rig.Ceph, directory: Path, features: str) -> RbdStore:
    """A store with its own features and object size of new images."""
    conf = directory / "ceph.conf"
    conf.write_text(f"{ceph.conf.read_text(encoding='utf-8')}rbd_default_features = {features}\n", encoding="utf-8")
    return RbdStore("ceph", ceph.options(rbd_store_ceph_conf=str(conf), rbd_store_chunk_size=4))


def test_the_layout_is_that_of_glance(rig: Rig, ceph: rbd_rig.Ceph, pool: Any):
    image_id = new_id()
    url = rig.put(noise(9 * MIB + 5), image_id)
    assert url == f"rbd://{ceph.fsid}/{ceph.pool}/{image_id}/snap"
    with _image(ceph, pool, image_id) as image:
        assert image.size() == 9 * MIB + 5
        assert image.stat()["order"] == 23
        assert not image.old_format()
        assert str(image.features()) == ceph.admin.conf_get("rbd_default_features") == "61"
        assert [found["name"] for found in image.list_snaps()] == ["snap"]
        assert image.is_protected_snap("snap")
        assert image.read(9 * MIB, 5) == noise(9 * MIB + 5)[-5:]


@pytest.mark.parametrize(("configured", "features"), [("1", 1), ("0", 1), ("layering,exclusive-lock", 5)])
def test_features_come_from_the_configuration_of_the_cluster(
    rig: Rig, ceph: rbd_rig.Ceph, pool: Any, tmp_path: Path, configured: str, features: int
):
    store = _with_features(ceph, tmp_path, configured)
    image_id = new_id()
    rig.kept.add(image_id)
    writer = store.writer(image_id, None, ATTEMPT)
    writer.write(b"data")
    assert rig.get(writer.commit().url) == b"data"
    with _image(ceph, pool, image_id) as image:
        assert (image.features(), image.stat()["order"]) == (features, 22)
    assert store.sweep(image_id, ATTEMPT)
    rig.kept.clear()
    store.close()


def test_an_image_with_a_clone_is_in_use_and_stays_as_it_is(rig: Rig, ceph: rbd_rig.Ceph, pool: Any):
    content = noise(MIB)
    image_id = new_id()
    url = rig.put(content, image_id)
    rig.kept.add("clone")
    _clone(ceph, pool, image_id, "clone", 1)
    for call in (rig.store.check_delete, rig.store.delete):
        with pytest.raises(DataInUse):
            call(url)
    with _image(ceph, pool, image_id, read_only=True) as image:
        assert image.is_protected_snap("snap")
    with _image(ceph, pool, "clone", read_only=True) as clone:
        assert clone.read(0, MIB) == content
    ceph.bindings.rbd.RBD().remove(pool, "clone")
    rig.store.check_delete(url)
    rig.store.delete(url)
    rig.kept.clear()


def test_an_image_with_a_clone_of_format_2_goes_to_the_trash(rig: Rig, ceph: rbd_rig.Ceph, pool: Any):
    content = noise(MIB)
    image_id = new_id()
    url = rig.put(content, image_id)
    _clone(ceph, pool, image_id, "clone", 2)
    rig.store.check_delete(url)
    rig.store.delete(url)
    rig.kept = {"clone", f"{image_id} in the trash"}
    with pytest.raises(DataNotFound):
        rig.store.size(url)
    with _image(ceph, pool, "clone", read_only=True) as clone:
        assert clone.read(0, MIB) == content
    # the id can be used again
    second = rig.put(b"second", image_id)
    assert rig.get(second) == b"second"
    rig.store.delete(second)
    rig.kept.discard(image_id)
    ceph.bindings.rbd.RBD().remove(pool, "clone")
    ceph.bindings.rbd.RBD().trash_purge(pool)
    rig.kept.clear()


def test_an_image_that_a_client_has_opened_is_in_use_and_stays_as_it_is(rig: Rig, ceph: rbd_rig.Ceph, pool: Any):
    image_id = new_id()
    url = rig.put(b"content", image_id)
    with _image(ceph, pool, image_id) as image:
        for call in (rig.store.check_delete, rig.store.delete):
            with pytest.raises(DataInUse):
                call(url)
        assert image.is_protected_snap("snap")
    assert rig.get(url) == b"content"


def test_a_deletion_that_was_interrupted_is_finished(rig: Rig, ceph: rbd_rig.Ceph, pool: Any):
    image_id = new_id()
    url = rig.put(b"content", image_id)
    with _image(ceph, pool, image_id) as image:
        image.unprotect_snap("snap")
        image.remove_snap("snap")
    with pytest.raises(DataNotFound):
        rig.store.size(url)
    rig.store.delete(url)
    rig.kept.clear()


def test_an_image_that_is_deleted_while_it_is_read_does_not_end_in_zeros(rig: Rig):
    content = noise(40 * MIB)
    url = rig.put(content)
    reader = rig.store.reader(url)
    received = reader.read(MIB)
    RbdStore("other", rbd_rig.ceph().options()).delete(url)
    rig.kept.clear()

    def rest() -> None:
        nonlocal received
        while part := reader.read(MIB):
            received += part

    with pytest.raises(StoreUnavailable, match="deleted"):
        rest()
    reader.close()
    assert content.startswith(received)


def test_an_image_of_glance_in_the_old_form(rig: Rig, ceph: rbd_rig.Ceph, pool: Any):
    rig.kept.add("old")
    ceph.bindings.rbd.RBD().create(pool, "old", MIB, 23, old_format=False, features=1)
    with _image(ceph, pool, "old") as image:
        image.write(b"glance", 0)
    assert rig.store.size("rbd://old") == MIB
    assert rig.get("rbd://old", 0, 10) == b"glance" + bytes(4)
    reader = rig.store.reader("rbd://old")
    with pytest.raises(DataInUse):
        rig.store.delete("rbd://old")
    reader.close()
    rig.store.delete("rbd://old")
    rig.kept.clear()


def test_an_image_in_another_pool_of_the_cluster(rig: Rig, ceph: rbd_rig.Ceph):
    other = RbdStore("other", ceph.options(rbd_store_pool=ceph.small_pool))
    writer = other.writer(new_id(), None, ATTEMPT)
    writer.write(b"elsewhere")
    url = writer.commit().url
    assert rig.get(url) == b"elsewhere"
    rig.store.delete(url)
    assert ceph.found(ceph.small_pool) == []
    with pytest.raises(DataNotFound):
        rig.store.size(url.replace(ceph.small_pool, "no-such-pool"))
    other.close()


def test_only_images_of_the_service_are_listed(rig: Rig, ceph: rbd_rig.Ceph, pool: Any):
    rig.kept.add("disk-of-a-server")
    ceph.bindings.rbd.RBD().create(pool, "disk-of-a-server", MIB, 23, old_format=False, features=1)
    url = rig.put(b"image")
    assert [found.url for found in rig.store.objects()] == [url]


def test_prefixes_of_a_store_without_a_cluster_id(rig: Rig, ceph: rbd_rig.Ceph, tmp_path: Path):
    assert rig.store.url_prefixes == (rig.prefix,)
    conf = tmp_path / "ceph.conf"
    lines = ceph.conf.read_text(encoding="utf-8").splitlines()
    conf.write_text("".join(f"{line}\n" for line in lines if not line.startswith("fsid")), encoding="utf-8")
    url = rig.put(b"content")
    store = RbdStore("ceph", ceph.options(rbd_store_ceph_conf=str(conf)))
    assert store.url_prefixes == ()
    assert store.size(url) == 7
    with pytest.raises(ForeignLocation):
        store.size(rig.foreign_urls[0])
    store.close()


def _text(value: str) -> bytes:
    return len(value).to_bytes(4, "little") + value.encode()


def test_names_that_a_killed_renaming_left(rig: Rig, ceph: rbd_rig.Ceph, pool: Any):
    """Each state between the steps of a renaming is swept, or does not hinder the next attempt."""
    image_id = new_id()
    # the new name exists, the directory still has the old one
    writer = rig.begin(image_id, b"first", attempt="try1")
    unfinished = f".{image_id}.try1.partial"
    with _image(ceph, pool, unfinished, read_only=True) as image:
        number = image.id()
    pool.write_full(f"rbd_id.{image_id}", _text(number))
    with pytest.raises(Duplicate):
        rig.store.writer(image_id, None, "try2")
    assert rig.store.sweep(image_id, "try1")
    writer.abort()
    assert rig.leftovers() == []
    # both names exist, the directory has the new one
    url = rig.begin(image_id, b"first", attempt="try1").commit().url
    with _image(ceph, pool, image_id, read_only=True) as image:
        number = image.id()
    pool.write_full(f"rbd_id.{unfinished}", _text(number))
    assert rig.store.sweep(image_id, "try1")
    assert rig.leftovers() == []
    # the new name refers to nothing
    pool.write_full(f"rbd_id.{image_id}", _text("0123456789ab"))
    url = rig.put(b"second", image_id)
    assert rig.get(url) == b"second"


def test_data_written_after_another_process_removed_the_image_are_removed(
    rig: Rig, ceph: rbd_rig.Ceph, pool: Any, tmp_path: Path
):
    """A writer that was stalled for so long that its watch has expired does not know that it was swept. With a lock on
    the image the cluster would exclude it, so the image has none.
    """
    image_id = new_id()
    store = _with_features(ceph, tmp_path, "1")
    writer = store.writer(image_id, 32 * MIB, ATTEMPT)
    writer.write(noise(MIB))
    # what a removal by another process leaves of it, as its watch still exists here
    with _image(ceph, pool, f".{image_id}.{ATTEMPT}.partial", read_only=True) as image:
        number = image.id()
    pool.remove_object(f"rbd_id..{image_id}.{ATTEMPT}.partial")
    pool.remove_object(f"rbd_header.{number}")
    pool.execute("rbd_directory", "rbd", "dir_remove_image", _text(f".{image_id}.{ATTEMPT}.partial") + _text(number))
    with pytest.raises(StoreUnavailable):
        writer.commit()
    writer.abort()
    assert rig.leftovers() == []
    store.close()


def test_a_client_that_the_cluster_excludes_connects_again(rig: Rig, ceph: rbd_rig.Ceph):
    url = rig.put(noise(MIB))
    writer = rig.begin(new_id(), noise(2 * MIB))
    session = rig.store._cluster.session()
    address = session.connection._handle.get_addrs().split("/")
    session.close()
    text = f"{address[0].rpartition(':')[0].rpartition('v2:')[2]}:0/{address[1].rstrip(']').split(',')[0]}"
    ceph.command("osd blocklist", blocklistop="add", addr=text)

    def again() -> bool:
        try:
            return rig.store.size(url) == MIB
        except StoreUnavailable:
            return False

    end = time.monotonic() + 60
    while not again():
        assert time.monotonic() < end
        time.sleep(0.5)
    with pytest.raises(StoreUnavailable):
        writer.commit()
    writer.abort()
    assert rig.get(rig.put(b"again")) == b"again"
    ceph.command("osd blocklist", blocklistop="rm", addr=text)
    end = time.monotonic() + 60
    while rig.store._unremoved:
        assert time.monotonic() < end
        time.sleep(1)
        rig.store.probe()


def test_a_forked_process_makes_its_own_connection(rig: Rig):
    url = rig.put(b"content")
    child = os.fork()
    if not child:
        try:
            os._exit(0 if rig.store.size(url) == 7 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert rig.store.size(url) == 7


def test_a_probe_tells_what_is_wrong(rig: Rig, ceph: rbd_rig.Ceph, tmp_path: Path):
    rig.store.probe()
    for options, error in (
        (ceph.options(rbd_store_user="nobody"), AccessDenied),
        (rbd_rig.wrong_credentials(tmp_path), AccessDenied),
        (ceph.options(rbd_store_pool="no-such-pool"), StoreUnavailable),
        (ceph.options(rbd_store_pool="images"), AccessDenied),
    ):
        store = RbdStore("ceph", options)
        with pytest.raises(error):
            store.probe()
        store.close()


def test_monitors_that_do_not_answer(rig: Rig):
    url = rig.put(noise(MIB))
    with rbd_rig.hanging("mon.a"):
        store = RbdStore("ceph", rbd_rig.ceph().options())
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.size(url)
        assert time.monotonic() - started < rbd_rig.DEADLINE + 5
        # what is connected still reads
        assert rig.get(url) == noise(MIB)
        writer = rig.begin(new_id(), noise(MIB))
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            # the number of a snapshot comes from the monitors
            writer.commit()
        assert time.monotonic() - started < 4 * rbd_rig.DEADLINE
        writer.abort()
    end = time.monotonic() + 60
    while rig.store._unremoved:
        assert time.monotonic() < end
        time.sleep(1)
        rig.store.probe()
    assert store.size(url) == MIB
    store.close()


@pytest.mark.parametrize("known", [True, False])
def test_a_pool_that_becomes_full_while_it_is_written_to(rig: Rig, ceph: rbd_rig.Ceph, known: bool):
    store = RbdStore("small", ceph.options(rbd_store_pool=ceph.small_pool))
    writer = store.writer(new_id(), 64 * MIB if known else None, ATTEMPT)
    writer.write(noise(2 * MIB))
    with rbd_rig.full_pool():
        started = time.monotonic()

        def rest() -> None:
            for _ in range(32):
                writer.write(noise(2 * MIB))
            writer.commit()

        with pytest.raises(StoreFull):
            rest()
        writer.abort()
        assert time.monotonic() - started < rbd_rig.DEADLINE
        assert ceph.found(ceph.small_pool) == []
    store.close()


def test_a_configuration_file_that_is_missing(tmp_path: Path):
    with pytest.raises(StoreMisconfigured, match="there is no file"):
        RbdStore("ceph", RbdOptions(rbd_store_ceph_conf=str(tmp_path / "none.conf")))


def test_parallel_ranges_are_the_whole(rig: Rig):
    content = noise(32 * MIB + 11)
    url = rig.put(content)
    step = len(content) // 8 + 1
    with ThreadPoolExecutor(8) as threads:
        parts = threads.map(
            lambda offset: rig.get(url, offset, min(step, len(content) - offset)), range(0, len(content), step)
        )
        assert b"".join(parts) == content


def test_what_has_arrived_is_read_without_waiting(rig: Rig):
    content = noise(8 * MIB)
    reader = rig.store.reader(rig.put(content))
    assert reader.read_now(1000) is None
    received = reader.read(1000)
    while len(received) < len(content):
        part = reader.read_now(MIB)
        received += reader.read(MIB) if part is None else part
    assert reader.read_now(1) == b""
    assert received == content
    reader.close()


@pytest.mark.heavy
def test_a_sparse_image_takes_the_space_of_its_data(rig: Rig, ceph: rbd_rig.Ceph):
    """20 GiB with 200 MiB of data in areas of 1 MiB."""
    block, zeros = noise(MIB), bytes(MIB)
    writer = rig.store.writer(image_id := new_id(), 20480 * MIB, ATTEMPT)
    for number in range(20480):
        writer.write(block if number % 102 == 0 and number < 20400 else zeros)
    url = writer.commit().url
    rig.kept.add(image_id)
    stored = 0
    end = time.monotonic() + 60
    # the manager counts every few seconds
    while stored < 200 * MIB and time.monotonic() < end:
        time.sleep(1)
        found = ceph.command("df")["pools"]
        stored = next(one["stats"]["bytes_used"] for one in found if one["name"] == ceph.pool)
    assert 200 * MIB <= stored <= 220 * MIB
    assert rig.get(url, 102 * MIB, MIB) == block
    assert rig.get(url, 103 * MIB, MIB) == zeros
    rig.store.delete(url)
    rig.kept.clear()
