"""Contract of stores whose system fails: it hangs, is killed, is full, or refuses the credentials."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glimpse.errors import AccessDenied, DataNotFound, DeletionDenied, StoreFull, StoreUnavailable
from glimpse.stores.base import Store
from tests.contract.stores.rigs.all import built, parameters
from tests.contract.stores.rigs.base import ATTEMPT, Faults, Rig, new_id
from tests.support.images.content import noise

MIB = 1 << 20
CONTENT = noise(24 * MIB + 17)
#: Seconds that a store may take until it works again.
BACK = 90.0
#: Seconds that a call may need beside its deadlines, on a machine that does other work too.
SPARE = 20.0

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture(params=parameters(with_servers=True))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A store whose system is a server. What a test leaves is checked after the system works again."""
    rig = built(request.param, tmp_path)
    yield rig
    rig.end()


@pytest.fixture
def faults(rig: Rig) -> Faults:
    assert rig.faults is not None, "every rig with a server says how to harm it"
    return rig.faults


def _again(call: Callable[[], object]) -> None:
    """Call until the store works again."""
    end = time.monotonic() + BACK
    while True:
        try:
            call()
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Require that a call ends with StoreUnavailable in time."""
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        call()
    assert time.monotonic() - started <= seconds + SPARE


def test_a_system_that_hangs_costs_each_call_its_deadline(rig: Rig, faults: Faults):
    url = rig.put(CONTENT)
    with faults.hanging():
        _within(faults.deadline, lambda: rig.store.size(url))
        _within(faults.deadline, lambda: rig.get(url))
        _within(faults.deadline, lambda: rig.store.delete(url))
    _again(lambda: rig.store.size(url))
    assert rig.get(url) == CONTENT


def test_a_system_that_hangs_while_it_is_written_to(rig: Rig, faults: Faults):
    image_id = new_id()
    writer = rig.store.writer(image_id, len(CONTENT), ATTEMPT)
    writer.write(CONTENT[:MIB])

    def rest() -> None:
        writer.write(CONTENT[MIB:])
        writer.commit()

    with faults.hanging():
        # the data that fit into buffers, and the rest: a deadline each
        _within(2 * faults.deadline, rest)
        assert not writer.abort(), "nobody could remove anything"
    _again(lambda: rig.store.sweep(image_id, ATTEMPT))


def test_a_system_that_is_killed_while_it_is_written_to(rig: Rig, faults: Faults):
    image_id = new_id()
    writer = rig.store.writer(image_id, None, ATTEMPT)
    writer.write(CONTENT[: 9 * MIB])

    def rest() -> None:
        writer.write(CONTENT[9 * MIB :])
        writer.commit()

    with faults.down():
        with pytest.raises(StoreUnavailable):
            rest()
        assert not writer.abort(), "nobody could remove anything"
    _again(lambda: rig.store.sweep(image_id, ATTEMPT))
    url = rig.put(CONTENT, image_id)
    assert rig.get(url) == CONTENT


def test_a_system_that_is_killed_while_it_is_read(rig: Rig, faults: Faults):
    url = rig.put(CONTENT)
    reader = rig.store.reader(url)
    assert reader.read(1000) == CONTENT[:1000]

    def rest() -> None:
        while reader.read(MIB):
            pass

    with faults.down():
        with pytest.raises(StoreUnavailable):
            rest()
        reader.close()
    _again(lambda: rig.store.size(url))
    assert rig.get(url) == CONTENT


def test_a_system_that_is_down_at_first(rig: Rig, faults: Faults):
    url = rig.put(CONTENT)
    with faults.down():
        store = faults.new_store()
        _within(faults.deadline, lambda: store.size(url))
    _again(lambda: store.size(url))
    assert store.size(url) == len(CONTENT)
    store.close()


@pytest.mark.parametrize("known", [True, False])
def test_a_full_system(rig: Rig, faults: Faults, known: bool):
    image_id = new_id()
    block = noise(4 * MIB)

    def fill(store: Store) -> None:
        writer = store.writer(image_id, 64 * MIB if known else None, ATTEMPT)
        try:
            for _ in range(16):
                writer.write(block)
            writer.commit()
        finally:
            writer.abort()

    with faults.full() as store:
        with pytest.raises(StoreFull):
            fill(store)
        assert not store.sweep(image_id, ATTEMPT), "the aborted upload leaves nothing"
        store.close()


def test_wrong_credentials_are_refused(rig: Rig, faults: Faults):
    url = rig.put(b"content")
    store = faults.wrong_credentials()

    def written(store: Store) -> None:
        writer = store.writer(new_id(), 3, ATTEMPT)
        writer.write(b"abc")
        writer.commit()

    for call in (lambda: store.size(url), lambda: store.reader(url).read(1), lambda: written(store)):
        with pytest.raises(AccessDenied):
            call()
    with pytest.raises((AccessDenied, DeletionDenied)):
        store.delete(url)
    store.close()
    assert rig.get(url) == b"content"


@pytest.mark.parametrize("rig", parameters(with_servers=True, expiring=True), indirect=True)
def test_credentials_that_expire_during_a_transfer(rig: Rig, faults: Faults):
    assert faults.expire is not None
    image_id = new_id()
    writer = rig.store.writer(image_id, len(CONTENT), ATTEMPT)
    writer.write(CONTENT[: 9 * MIB])
    faults.expire(rig.store)
    writer.write(CONTENT[9 * MIB :])
    url = writer.commit().url
    reader = rig.store.reader(url)
    found = reader.read(1000)
    faults.expire(rig.store)
    while part := reader.read(MIB):
        found += part
    reader.close()
    assert found == CONTENT
    faults.expire(rig.store)
    rig.store.delete(url)
    with pytest.raises(DataNotFound):
        rig.store.size(url)
