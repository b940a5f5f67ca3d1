"""Probes of stores: what is down is known without waiting, and logged once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from glimpse.errors import AccessDenied, StoreBusy, StoreUnavailable
from glimpse.stores.health import StoreHealth
from tests.support.footprint import eventually


class Backend:
    """A store whose probe does what the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.answer = threading.Event()
        self.answer.set()
        self.probes = 0

    def probe(self) -> None:
        self.probes += 1
        self.answer.wait(20)
        if self.error is not None:
            raise self.error


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def health(backend: Backend) -> Iterator[StoreHealth]:
    health = StoreHealth({"ceph": backend}, 0.05, deadline=0.2)
    yield health
    health.stop()
    backend.answer.set()


def is_down(health: StoreHealth) -> bool:
    return [state.id for state in health.down()] == ["ceph"]


def test_a_store_goes_down_and_comes_back(
    health: StoreHealth, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    changes: list[tuple[str, bool]] = []
    health.on_change = lambda store_id, up: changes.append((store_id, up))
    health.start()
    assert eventually(lambda: backend.probes > 1, 30)
    assert health.down() == ()
    backend.error = StoreUnavailable("The cluster does not answer.")
    assert eventually(lambda: is_down(health), 30)
    (state,) = health.down()
    assert state.reason == "The cluster does not answer."
    assert state.since is not None
    assert abs(state.since - time.time()) < 60
    seen = backend.probes
    assert eventually(lambda: backend.probes > seen + 3, 30)
    assert health.down()[0].since == state.since
    backend.error = None
    assert eventually(lambda: health.down() == (), 30)
    logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert logged == ["Store ceph is down: The cluster does not answer.", "Store ceph works again after 0 s"]
    assert changes[0] == ("ceph", True)
    assert ("ceph", False) in changes
    assert changes[-1] == ("ceph", True)


def test_a_store_that_hangs_is_down_after_the_deadline(
    health: StoreHealth, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer.clear()
    health.start()
    assert eventually(lambda: is_down(health), 30)
    assert "Store ceph is down: Store ceph did not answer in 0.2 s." in caplog.text
    time.sleep(0.5)
    assert backend.probes == 1, "a probe that hangs keeps one thread, not more"
    backend.answer.set()
    assert eventually(lambda: health.down() == (), 30)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AccessDenied("The key is not valid."), "The key is not valid."),
        (ZeroDivisionError("defect"), "The probe failed; the log has the reason."),
    ],
)
def test_other_failures(health: StoreHealth, backend: Backend, error: Exception, reason: str) -> None:
    backend.error = error
    health.start()
    assert eventually(lambda: is_down(health), 30)
    assert health.down()[0].reason == reason


def test_a_busy_store_works(health: StoreHealth, backend: Backend) -> None:
    backend.error = StoreBusy("Store ceph has 2 streams open, its maximum.", 5)
    health.start()
    assert eventually(lambda: backend.probes > 2, 30)
    assert health.down() == ()


def test_a_failed_call_lets_the_store_be_probed_soon(backend: Backend) -> None:
    health = StoreHealth({"ceph": backend}, 3600)
    health.start()
    try:
        assert eventually(lambda: backend.probes == 1, 30)
        backend.error = StoreUnavailable("The cluster does not answer.")
        health.noticed("ceph", worked=True)
        health.noticed("other", worked=False)
        health.noticed("ceph", worked=False)
        assert eventually(lambda: is_down(health), 30)
        backend.error = None
        health.noticed("ceph", worked=True)
        assert eventually(lambda: health.down() == (), 30)
        assert backend.probes == 3
    finally:
        health.stop()


def test_no_thread_without_a_store_to_probe_or_before_the_start(backend: Backend) -> None:
    before = threading.active_count()
    idle = StoreHealth({}, 30)
    idle.start()
    assert idle.states() == ()
    assert StoreHealth({"ceph": backend}, 30).down() == ()
    assert (threading.active_count(), backend.probes) == (before, 0)
    idle.stop()
