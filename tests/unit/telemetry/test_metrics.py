"""Metrics: cheap to record, and summed over processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from glimpse.background import count_unfinished
from glimpse.context import Context
from glimpse.db.schema import sync
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.job_kinds import COPY_REMOVAL, KINDS, CopyRemovalInput
from glimpse.errors import DatabaseUnavailable, DataNotFound, ForeignLocation
from glimpse.jobs.periodic import Periodic
from glimpse.jobs.queue import JobQueue
from glimpse.settings.model import DatabaseSettings, Metrics, Secret, StoreCalls
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.wrap import wrapped
from glimpse.telemetry.exposition import prepare
from glimpse.telemetry.metrics import Answered, ProcessMetrics

SHOW = Answered("GET", "/v2/images/{image_id}", 200, 0.02, 0, 512)


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float | None:
    return values(text).get((name, frozenset(labels.items())))


@pytest.fixture
def metrics() -> Iterator[ProcessMetrics]:
    found = ProcessMetrics(CollectorRegistry(), interval=3600)
    yield found
    found.close()


def exposed(metrics: ProcessMetrics) -> str:
    metrics.flush()
    return generate_latest(metrics.registry).decode()


def test_requests(metrics: ProcessMetrics) -> None:
    metrics.request(SHOW)
    metrics.request(SHOW)
    metrics.request(Answered("PUT", "/v2/images/{image_id}/file", 204, 12.0, 1000, 0))
    text = exposed(metrics)
    route = {"method": "GET", "route": "/v2/images/{image_id}"}
    assert value(text, "glimpse_requests_total", **route, status="200") == 2
    assert value(text, "glimpse_sent_bytes_total", **route) == 1024
    assert value(text, "glimpse_request_seconds_count", **route) == 2
    assert value(text, "glimpse_request_seconds_bucket", **route, le="0.01") == 0
    assert value(text, "glimpse_request_seconds_bucket", **route, le="0.025") == 2
    upload = {"method": "PUT", "route": "/v2/images/{image_id}/file"}
    assert value(text, "glimpse_received_bytes_total", **upload) == 1000
    assert value(text, "glimpse_request_seconds_sum", **upload) == 12.0


def test_strange_methods_make_no_series_of_their_own(metrics: ProcessMetrics) -> None:
    for number in range(50):
        metrics.request(Answered(f"M{number}", "other", 405, 0.001, 0, 0))
    assert value(exposed(metrics), "glimpse_requests_total", method="other", route="other", status="405") == 50


def test_transfers_and_jobs(metrics: ProcessMetrics) -> None:
    metrics.transfer_started("upload")
    metrics.transfer_started("upload")
    metrics.transfer_ended("upload")
    metrics.job_ended("copy_removal", "succeeded")
    text = exposed(metrics)
    assert value(text, "glimpse_transfers", direction="upload") == 1
    assert value(text, "glimpse_transfers", direction="download") == 0
    assert value(text, "glimpse_jobs_ended_total", kind="copy_removal", outcome="succeeded") == 1


class TestUnfinishedJobs:
    def test_a_kind_without_jobs_has_none(self, metrics: ProcessMetrics) -> None:
        metrics.unfinished_jobs({("upload", "running"): 2, ("unknown", "pending"): 1})
        metrics.unfinished_jobs({("upload", "running"): 3})
        text = exposed(metrics)
        assert value(text, "glimpse_jobs", kind="upload", status="running") == 3
        assert value(text, "glimpse_jobs", kind="unknown", status="pending") == 0

    def test_counts_are_those_of_the_database(self, metrics: ProcessMetrics, tmp_path: Path) -> None:
        engine = connect(DatabaseSettings(connection=Secret(f"sqlite:///{tmp_path}/jobs.sqlite")))
        sync(engine)
        database = SqlDatabase(engine)
        queue = JobQueue(database)
        context = Context(request_id="r", user_id="u", project_id="p")
        queue.add(queue.draft(context, COPY_REMOVAL, CopyRemovalInput(url="memory://x"), image_id="1"))
        count_unfinished(database, metrics)
        database.close()
        text = exposed(metrics)
        assert value(text, "glimpse_jobs", kind="copy_removal", status="pending") == 1
        assert {
            (dict(labels)["kind"], dict(labels)["status"])
            for (name, labels), number in values(text).items()
            if name == "glimpse_jobs" and number == 0
        } == {(kind, status) for kind in KINDS for status in ("pending", "running")} - {("copy_removal", "pending")}

    def test_without_the_database_the_counts_stay(
        self, metrics: ProcessMetrics, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked = threading.Semaphore(0)

        class Away:
            def count_jobs(self) -> dict[str, dict[str, int]]:
                asked.release()
                raise DatabaseUnavailable("The database is not responding.")

        metrics.unfinished_jobs({("upload", "running"): 2})
        beat = Periodic("The count of jobs", 0.01, lambda: count_unfinished(Away(), metrics))  # type: ignore[arg-type]
        beat.start()
        try:
            assert all(asked.acquire(timeout=20) for _ in range(2)), "it asks again after a failure"
        finally:
            beat.stop()
        assert value(exposed(metrics), "glimpse_jobs", kind="upload", status="running") == 2
        assert "The count of jobs was skipped this time: The database is not responding." in caplog.text


def test_notifications(metrics: ProcessMetrics) -> None:
    for outcome in ("sent", "sent", "dropped"):
        metrics.notification("messagingv2", outcome)
    text = exposed(metrics)
    counts = [
        value(text, "glimpse_notifications_total", driver="messagingv2", outcome=outcome)
        for outcome in ("sent", "dropped", "failed")
    ]
    assert counts == [2, 1, None]


def test_stores(metrics: ProcessMetrics) -> None:
    """As the wrapper of a store records them."""
    store = wrapped(MemoryStore("ram", MemoryOptions()), StoreCalls(), None, metrics)
    writer = store.writer("image", 4, "try1")
    writer.write(b"data")
    reader = store.reader(writer.commit().url, 1)
    assert reader.read(99) == b"ata"
    reader.close()
    with pytest.raises(DataNotFound):
        store.size("memory://ram/missing")
    with pytest.raises(ForeignLocation):
        store.delete("memory://other/image")
    text = exposed(metrics)
    for call, outcome in (
        ("create", "ok"), ("commit", "ok"), ("open", "ok"), ("size", "answer"), ("delete", "refused"),
    ):  # fmt: skip
        assert value(text, "glimpse_store_calls_total", store="ram", call=call, outcome=outcome) == 1
        assert value(text, "glimpse_store_seconds_count", store="ram", call=call) == 1
    assert value(text, "glimpse_store_bytes_total", store="ram", direction="written") == 4
    assert value(text, "glimpse_store_bytes_total", store="ram", direction="read") == 3


def test_closing_counts_what_is_left(metrics: ProcessMetrics) -> None:
    metrics.request(SHOW)
    metrics.close()
    metrics.close()
    text = generate_latest(metrics.registry).decode()
    assert value(text, "glimpse_requests_total", method="GET", route="/v2/images/{image_id}", status="200") == 1


def test_the_background_thread_counts() -> None:
    metrics = ProcessMetrics(CollectorRegistry(), interval=0.01)
    metrics.request(SHOW)
    labels = {"method": "GET", "route": "/v2/images/{image_id}", "status": "200"}
    for _ in range(1000):
        if metrics.registry.get_sample_value("glimpse_requests_total", labels) == 1:
            break
        time.sleep(0.01)
    counted = metrics.registry.get_sample_value("glimpse_requests_total", labels)
    metrics.close()
    assert counted == 1


def test_recording_costs_few_calls(metrics: ProcessMetrics) -> None:
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        metrics.request(SHOW)
    finally:
        sys.setprofile(None)
    assert calls <= 2


def test_without_a_port_nothing_is_kept(tmp_path: Path) -> None:
    assert prepare(Metrics(), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_values_of_a_former_run_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    old = tmp_path / "metrics" / "9100" / "counter_1.db"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    assert prepare(Metrics(port=9100), tmp_path) == old.parent
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(old.parent)
    assert not old.exists()


WORKERS = """
    import os, signal, sys, urllib.request
    from pathlib import Path
    from glimpse.settings.model import Metrics
    from glimpse.telemetry.exposition import prepare, serve_metrics
    from glimpse.telemetry.metrics import Answered, ProcessMetrics

    data_dir = Path(sys.argv[1])
    directory = prepare(Metrics(port=9), data_dir)
    children = []
    for number in (1, 2):
        ready_in, ready_out = os.pipe()
        pid = os.fork()
        if pid == 0:
            mine = ProcessMetrics()
            for _ in range(number):
                mine.request(Answered("GET", "/r", 200, 0.02, 0, 100))
            mine.transfer_started("upload")
            mine.unfinished_jobs({("upload", "running"): 10 + number})
            mine.close()
            os.write(ready_out, b"x")
            signal.pause()
        os.read(ready_in, 1)
        children.append(pid)
    endpoint = serve_metrics(Metrics(port=None), directory)

    def scrape():
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics") as answer:
            return answer.read().decode()

    print(scrape())
    print("=====")
    os.kill(children[1], signal.SIGKILL)
    os.waitpid(children[1], 0)
    print(scrape())
    os.kill(children[0], signal.SIGKILL)
    os.waitpid(children[0], 0)
    endpoint.close()
"""


def test_two_processes_are_added_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(WORKERS), str(tmp_path)],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    both, one_dead = done.stdout.split("=====")
    assert value(both, "glimpse_requests_total", method="GET", route="/r", status="200") == 3
    assert value(both, "glimpse_sent_bytes_total", method="GET", route="/r") == 300
    assert value(both, "glimpse_transfers", direction="upload") == 2
    assert value(both, "glimpse_jobs", kind="upload", status="running") == 12, "the latest count, no sum"
    assert any(name == "glimpse_build_info" for name, _ in values(both))
    # what was counted stays, what ran in the dead process runs no more
    assert value(one_dead, "glimpse_requests_total", method="GET", route="/r", status="200") == 3
    assert value(one_dead, "glimpse_transfers", direction="upload") == 1
