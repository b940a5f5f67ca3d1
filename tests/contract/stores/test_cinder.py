"""Cinder stores against a real Cinder: other kinds of volumes, images of unknown size, dead processes, clones."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.context import CALLER, Context
from glimpse.errors import AccessDenied, DataInUse, DataNotFound, ForeignLocation, StoreFull, StoreUnavailable
from glimpse.settings.model import Secret
from glimpse.stores.base import LocationRepair, Probed, Reader, Store, ability
from glimpse.stores.cinder.locations import GIB
from glimpse.stores.cinder.store import CinderStore
from glimpse.stores.cinder.writer import CinderWriter
from tests.contract.stores.rigs.base import ATTEMPT, new_id
from tests.contract.stores.rigs.cinder import (
    NEEDS,
    CinderRig,
    attaching_processes,
    kill_attaching,
    of_type,
)
from tests.support.images.content import noise
from tests.support.needs import unavailable

MIB = 1 << 20
CONTENT = noise(9 * MIB + 17)

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


def _rig(kind: str) -> Iterator[CinderRig]:
    if not os.environ.get(NEEDS):
        unavailable(f"{NEEDS} names no server; dev/rigs starts one")
    rig = of_type(kind)
    yield rig
    rig.end()


@pytest.fixture
def rig() -> Iterator[CinderRig]:
    yield from _rig("rbd")


@pytest.fixture(params=["loop", "nfs"])
def on_paths(request: pytest.FixtureRequest) -> Iterator[CinderRig]:
    """A rig whose volumes are block devices, or files on a share."""
    yield from _rig(request.param)


def _other(rig: CinderRig, **options: Any) -> CinderStore:
    """Another store of the same rig with some other options."""
    assert isinstance(rig.store, CinderStore)
    return CinderStore(rig.store.id, msgspec.structs.replace(rig.store._options, **options))


def _rest(reader: Reader) -> bytes:
    return b"".join(iter(lambda: reader.read(MIB), b""))


def _delete(rig: CinderRig, url: str) -> None:
    rig.store.delete(url)
    rig.kept.clear()


def test_a_device_and_a_share_hold_an_image(on_paths: CinderRig) -> None:
    rig = on_paths
    url = rig.put(CONTENT)
    assert rig.store.size(url) == len(CONTENT)
    assert rig.get(url) == CONTENT
    readers = [rig.store.reader(url, start, MIB) for start in (0, 3 * MIB, len(CONTENT) - MIB)]
    for reader, start in zip(readers, (0, 3 * MIB, len(CONTENT) - MIB), strict=True):
        found = _rest(reader)
        assert found == CONTENT[start : start + MIB]
        reader.close()
    writer = rig.begin(image_id := new_id(), b"unfinished")
    assert rig.store.sweep(image_id, ATTEMPT)
    writer.abort()
    _delete(rig, url)
    with pytest.raises(DataNotFound):
        rig.store.size(url)


def _written_beyond(rig: CinderRig, store: CinderStore, size: int) -> None:
    """Write an image of unknown size that is larger than the first volume, and read its end."""
    writer = store.writer(image_id := new_id(), None, ATTEMPT)
    block, tail = bytes(64 * MIB), noise(5 * MIB + 3)
    for _ in range(size // len(block)):
        writer.write(block)
    writer.write(tail)
    url = writer.commit().url
    rig.kept.add(image_id)
    total = size // len(block) * len(block) + len(tail)
    assert store.size(url) == total
    assert rig.get(url, total - len(tail) - 10) == bytes(10) + tail
    [volume] = rig.project.volumes()
    assert volume["size"] == -(-total // GIB)
    store.delete(url)
    rig.kept.clear()


def test_an_image_of_unknown_size_grows_with_detaching(on_paths: CinderRig) -> None:
    assert isinstance(on_paths.store, CinderStore)
    _written_beyond(on_paths, on_paths.store, GIB)


def test_an_image_of_unknown_size_grows_while_attached(rig: CinderRig) -> None:
    store = _other(rig, cinder_do_extend_attached=True)
    _written_beyond(rig, store, 2 * GIB)
    store.close()


def test_an_image_of_unknown_size_reaches_the_quota(rig: CinderRig) -> None:
    rig.project.set_quota(1)
    try:
        _fill(rig)
    finally:
        rig.project.set_quota(-1)


def _fill(rig: CinderRig) -> None:
    writer = rig.store.writer(image_id := new_id(), None, ATTEMPT)
    block = bytes(64 * MIB)

    def fill() -> None:
        for _ in range(17):
            writer.write(block)

    with pytest.raises(StoreFull, match="exceeds"):
        fill()
    writer.abort()
    assert not rig.store.sweep(image_id, ATTEMPT)


def test_attachments_of_a_killed_attaching_process_are_removed(rig: CinderRig) -> None:
    assert isinstance(rig.store, CinderStore)
    url = rig.put(CONTENT)
    reader = rig.store.reader(url)
    kill_attaching(rig.store)
    with pytest.raises(StoreUnavailable, match="has ended"):
        _rest(reader)
    reader.close()
    [volume] = rig.project.volumes()
    assert volume["status"] == "in-use"
    assert rig.get(url) == CONTENT
    assert rig.project.volumes()[0]["status"] == "available"
    _delete(rig, url)


PROGRAM = """
import sys, time, msgspec
from glimpse.stores.cinder.options import CinderOptions
from glimpse.stores.cinder.store import CinderStore
store = CinderStore("vol", msgspec.json.decode(sys.argv[1], type=CinderOptions, dec_hook=lambda kind, text: kind(text)))
if sys.argv[2] == "read":
    stream = store.reader(sys.argv[3])
    stream.read(10)
else:
    stream = store.writer(sys.argv[3], None, sys.argv[4])
    stream.write(b"unfinished")
print("ready", flush=True)
time.sleep(600)
"""


def _killed_while(rig: CinderRig, *arguments: str) -> None:
    """Run a service that reads or writes, and kill it."""
    assert isinstance(rig.store, CinderStore)
    options = msgspec.json.encode(rig.store._options, enc_hook=str).decode()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, options, *arguments], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()


def test_attachments_of_a_killed_service_are_removed_by_the_next_reader(rig: CinderRig) -> None:
    url = rig.put(CONTENT)
    _killed_while(rig, "read", url)
    assert rig.project.volumes()[0]["status"] == "in-use"
    assert rig.get(url) == CONTENT
    _delete(rig, url)


@pytest.mark.parametrize("with_attaching_process", [False, True])
def test_a_killed_upload_is_swept(rig: CinderRig, with_attaching_process: bool) -> None:
    assert isinstance(rig.store, CinderStore)
    _killed_while(rig, "write", image_id := new_id(), "try7")
    if with_attaching_process:
        kill_attaching(rig.store)
    assert rig.store.sweep(image_id, "try7")
    assert rig.project.volumes() == []
    assert not rig.store.sweep(image_id, "try7")


def _in_use_without_an_attachment(rig: CinderRig) -> None:
    """Leave the only volume as Cinder does that completes an attachment while it deletes it. Its API refuses to."""
    config = ConfigParser(interpolation=None)
    config.read(Path(os.environ["GLIMPSE_TEST_CINDER_RUN"]).parent / "etc" / "cinder.conf")
    [volume] = rig.project.volumes()
    engine = sa.create_engine(config["database"]["connection"])
    with engine.begin() as connection:
        changed = sa.text("UPDATE volumes SET status = 'in-use' WHERE id = :id AND status = 'available'")
        assert connection.execute(changed, {"id": volume["id"]}).rowcount == 1
    engine.dispose()
    [volume] = rig.project.volumes()
    assert (volume["status"], volume["attachments"]) == ("in-use", [])


def test_a_volume_in_use_without_an_attachment(rig: CinderRig) -> None:
    url = rig.put(CONTENT)
    _in_use_without_an_attachment(rig)
    assert rig.get(url) == CONTENT
    _in_use_without_an_attachment(rig)
    assert isinstance(rig.store, CinderStore)
    rig.store.check_delete(url)
    _delete(rig, url)
    assert rig.project.volumes() == []


def test_an_unfinished_volume_in_use_without_an_attachment_is_swept(rig: CinderRig) -> None:
    writer = rig.begin(image_id := new_id(), b"unfinished")
    assert isinstance(writer, CinderWriter)
    writer._close_attachment()
    _in_use_without_an_attachment(rig)
    assert rig.store.sweep(image_id, ATTEMPT)
    assert rig.project.volumes() == []


def test_a_volume_that_only_a_dead_reader_has_is_deleted(rig: CinderRig) -> None:
    url = rig.put(CONTENT)
    _killed_while(rig, "read", url)
    _delete(rig, url)
    assert rig.project.volumes() == []


def test_a_volume_is_deleted_while_its_last_reader_detaches_it(rig: CinderRig) -> None:
    assert isinstance(rig.store, CinderStore)
    url = rig.put(CONTENT)
    for delete in (rig.store.check_delete, rig.store.delete):
        reader = rig.store.reader(url)
        assert _rest(reader) == CONTENT
        closing = threading.Timer(0.1, reader.close)
        closing.start()
        delete(url)
        closing.join()
    rig.kept.clear()
    assert rig.project.volumes() == []


def test_a_volume_that_is_being_read_is_not_deleted(rig: CinderRig) -> None:
    assert isinstance(rig.store, CinderStore)
    url = rig.put(CONTENT)
    reader = rig.store.reader(url)
    for delete in (rig.store.check_delete, rig.store.delete):
        with pytest.raises(DataInUse):
            delete(url)
    assert _rest(reader) == CONTENT
    reader.close()
    _delete(rig, url)


def test_two_services_of_a_host_share_an_attachment(rig: CinderRig) -> None:
    assert isinstance(rig.store, CinderStore)
    url = rig.put(CONTENT)
    second = _other(rig)
    readers = [rig.store.reader(url), second.reader(url)]
    assert (
        len(_cinder(rig, "GET", "/attachments?all_tenants=1&volume_id=" + url.rpartition("/")[2])["attachments"]) == 1
    )
    assert len(attaching_processes(rig.store)) == 1
    for reader in readers:
        assert _rest(reader) == CONTENT
        reader.close()
    second.close()
    _delete(rig, url)


def test_the_attaching_process_ends_after_the_last_service(rig: CinderRig) -> None:
    store = _other(rig, cinder_mount_point_base=str(Path(rig.store._options.cinder_mount_point_base) / "own"))
    store.writer(new_id(), 1, ATTEMPT).abort()
    assert attaching_processes(store)
    store.close()
    end = time.monotonic() + 30
    while attaching_processes(store):
        assert time.monotonic() < end
        time.sleep(0.5)


def test_a_stopped_attaching_process_costs_its_deadline(rig: CinderRig) -> None:
    assert isinstance(rig.store, CinderStore)
    url = rig.put(CONTENT)
    reader = rig.store.reader(url)
    assert reader.read(10) == CONTENT[:10]
    [pid] = attaching_processes(rig.store)
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable, match="in time"):
            _rest(reader)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert time.monotonic() - started < 25
    reader.close()
    assert rig.get(url) == CONTENT
    _delete(rig, url)


def _cinder(rig: CinderRig, method: str, path: str, body: object = None) -> dict[str, Any]:
    return rig.project.cloud.call(method, f"{rig.project.cloud.admin_cinder}{path}", body)


def _available(rig: CinderRig, path: str, kind: str) -> None:
    end = time.monotonic() + 60
    while _cinder(rig, "GET", path)[kind]["status"] != "available":
        assert time.monotonic() < end
        time.sleep(0.3)


def test_a_clone_that_cinder_registers_is_served(rig: CinderRig) -> None:
    """As with ``image_upload_use_cinder_backend``: the metadata are those that Cinder sets (consumers)."""
    assert isinstance(rig.store, CinderStore)
    source = rig.put(CONTENT)
    volumes = rig.store._volumes()
    metadata = {"image_owner": rig.project.id}
    body = {"volume": {"size": 1, "source_volid": source.rpartition("/")[2], "name": "clone", "metadata": metadata}}
    made = rig.store._api.call(volumes._access, "POST", "/volumes", body)["volume"]
    volumes.wait_for(made["id"], "available")
    for url in (f"cinder://{made['id']}", f"cinder://vol/{made['id']}"):
        assert rig.store.size(url) == GIB
        assert rig.get(url, 0, len(CONTENT)) == CONTENT
    assert rig.get(f"cinder://{made['id']}", GIB - 5) == bytes(5)
    rig.store.delete(f"cinder://vol/{made['id']}")
    _delete(rig, source)


def test_a_volume_with_a_snapshot_stays(rig: CinderRig) -> None:
    url = rig.put(CONTENT)
    volume_id = url.rpartition("/")[2]
    store = rig.store
    assert isinstance(store, CinderStore)
    access = store._credentials.access()
    body = {"snapshot": {"volume_id": volume_id, "name": "kept"}}
    made = store._api.call(access, "POST", "/snapshots", body)["snapshot"]
    _available(rig, f"/snapshots/{made['id']}", "snapshot")
    with pytest.raises(DataInUse, match="snapshot"):
        store.delete(url)
    assert rig.get(url) == CONTENT
    store._api.call(access, "DELETE", f"/snapshots/{made['id']}")
    end = time.monotonic() + 60
    while store._api.get(access, "/snapshots")["snapshots"]:
        assert time.monotonic() < end
        time.sleep(0.3)
    _delete(rig, url)


def test_a_location_without_a_store_id_belongs_to_the_store_of_its_type(rig: CinderRig) -> None:
    url = rig.put(CONTENT)
    legacy = url.replace("cinder://vol/", "cinder://")
    other = _other(rig, cinder_volume_type="loop")
    with pytest.raises(ForeignLocation):
        other.size(legacy)
    assert rig.store.size(legacy) == len(CONTENT)
    untyped = _other(rig, cinder_volume_type=None)
    assert [_repaired(store, legacy) for store in (rig.store, other)] == [url, None]
    default = untyped._volumes().default_type()
    assert _repaired(untyped, legacy) == (url if default == "rbd" else None)
    assert _repaired(rig.store, url) is None
    assert _repaired(rig.store, f"cinder://{new_id()}") is None
    untyped.close()
    other.close()
    _delete(rig, url)


def _repaired(store: Store, url: str) -> str | None:
    repair = ability(store, LocationRepair)
    assert repair is not None
    return repair.repaired(url)


def test_the_token_of_the_user(rig: CinderRig) -> None:
    """Without a login of its own the store acts as the user, who then owns the volume."""
    assert isinstance(rig.store, CinderStore)
    store = _other(rig, cinder_store_password=None)
    with pytest.raises(AccessDenied, match="no credentials"):
        store.writer(new_id(), 1, ATTEMPT)
    token = rig.store._credentials.access().token
    reset = CALLER.set(Context(request_id="req", project_id=rig.project.id, token=token))
    try:
        writer = store.writer(image_id := new_id(), len(CONTENT), ATTEMPT)
        writer.write(CONTENT)
        url = writer.commit().url
        [volume] = rig.project.volumes()
        assert volume["metadata"]["image_owner"] == rig.project.id
        assert volume["metadata"]["glance_image_id"] == image_id
        reader = store.reader(url)
        assert _rest(reader) == CONTENT
        reader.close()
        store.delete(url)
        CALLER.set(Context(request_id="req", project_id=rig.project.id, token=Secret("wrong")))
        with pytest.raises(AccessDenied):
            store.size(url)
    finally:
        CALLER.reset(reset)
        store.close()


def test_what_glance_reads(rig: CinderRig) -> None:
    """The volume is as Glance leaves it (store-formats 9.2)."""
    url = rig.put(CONTENT, image_id := new_id())
    [volume] = rig.project.volumes()
    assert url == f"cinder://vol/{volume['id']}"
    assert (volume["name"], volume["size"], volume["status"]) == (f"image-{image_id}", 1, "available")
    expected = {"glance_image_id": image_id, "image_size": str(len(CONTENT)), "image_owner": rig.project.id}
    assert expected.items() <= volume["metadata"].items()
    assert "glimpse_state" not in volume["metadata"]
    shown = _cinder(rig, "GET", f"/volumes/{volume['id']}")["volume"]
    assert shown["metadata"].get("readonly", "True") == "True"
    _delete(rig, url)


def test_unknown_type_and_probe(rig: CinderRig) -> None:
    probed = ability(rig.store, Probed)
    assert probed is not None
    probed.probe()
    store = _other(rig, cinder_volume_type="missing")
    with pytest.raises(AccessDenied, match="missing"):
        store.writer(new_id(), 1, ATTEMPT)
    store.close()
