"""The service's Prometheus metrics.

Recording a request is one append; a background thread counts the collected records once a second. Workers write their
values to files in the directory from :func:`glimpse.telemetry.exposition.prepare`; the parent sums them.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram

#: Interval of counting in seconds: a request appears in the metrics after at most this time.
FLUSH_INTERVAL = 1.0
#: Seconds; transfers of large images take minutes.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Answered(msgspec.Struct, frozen=True):
    """One finished request.

    ``route`` is the template (``/v2/images/{image_id}``), never the path; ``status`` is 0 if there was no response;
    ``received`` and ``sent`` are bytes of bodies.
    """

    method: str
    route: str
    status: int
    seconds: float
    received: int
    sent: int


class Recorder(Protocol):
    """Records events. Thread-safe; its methods never wait or raise."""

    def request(self, answered: Answered) -> None:
        """Record a finished request."""
        ...

    def transfer_started(self, direction: str) -> None:
        """Record the start of a transfer; ``direction`` is ``upload`` or ``download``."""
        ...

    def transfer_ended(self, direction: str) -> None:
        """Record the end of a transfer, successful or not."""
        ...

    def notification(self, driver: str, outcome: str) -> None:
        """Record that a driver ``sent``, gave up (``failed``) or ``dropped`` a notification."""
        ...

    def database_connected(self) -> None:
        """Record a new database connection."""
        ...

    def job_ended(self, kind: str, outcome: str) -> None:
        """Record the end of a background job, for instance ``copy_removal`` with ``succeeded``."""
        ...

    def unfinished_jobs(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Record how many unfinished jobs the database has by kind and status, in place of the counts before."""
        ...

    def store_call(self, store: str, call: str, outcome: str, seconds: float) -> None:
        """A call of a store ended."""
        ...

    def store_bytes(self, store: str, direction: str, count: int) -> None:
        """A stream of a store ended that ``read`` or ``written`` so many bytes."""
        ...

    def download_failover(self, store: str, moment: str) -> None:
        """Record that the copy in a store failed, and another one is tried; ``moment`` is ``open`` or ``read``."""
        ...

    def store_up(self, store: str, up: bool) -> None:
        """Record whether a store works."""
        ...

    def close(self) -> None:
        """Count the remaining records. Safe to call twice."""
        ...


class ProcessMetrics:
    """The :class:`Recorder` of one process."""

    def __init__(self, registry: CollectorRegistry | None = None, interval: float = FLUSH_INTERVAL) -> None:
        """``registry`` has the values of this process if no directory was prepared; ``interval`` is in seconds."""
        # imported here, because the package reads the directory from the environment at import
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415

        self.registry = registry or CollectorRegistry()
        own = self.registry
        route = ("method", "route")
        self._requests = Counter("glimpse_requests", "Requests answered.", (*route, "status"), registry=own)
        self._seconds = Histogram(
            "glimpse_request_seconds", "Time from request to response.", route, registry=own, buckets=BUCKETS
        )
        self._received = Counter("glimpse_received_bytes", "Bytes of request bodies.", route, registry=own)
        self._sent = Counter("glimpse_sent_bytes", "Bytes of response bodies.", route, registry=own)
        self._jobs_ended = Counter(
            "glimpse_jobs_ended", "Background jobs that ended, by outcome.", ("kind", "outcome"), registry=own
        )
        # all processes count the jobs of one database: the latest count is the right one, not their sum
        self._jobs = Gauge(
            "glimpse_jobs", "Unfinished jobs in the database.", ("kind", "status"), registry=own,
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self._counted_jobs: set[tuple[str, str]] = set()
        self._connections = Counter("glimpse_database_connections", "Database connections opened.", registry=own)
        self._notifications = Counter(
            "glimpse_notifications", "Notifications by outcome.", ("driver", "outcome"), registry=own
        )
        call = ("store", "call")
        self._store_calls = Counter(
            "glimpse_store_calls", "Calls of stores by how they ended.", (*call, "outcome"), registry=own
        )
        self._store_seconds = Histogram(
            "glimpse_store_seconds", "Time that calls of stores took.", call, registry=own, buckets=BUCKETS
        )
        self._store_bytes = Counter(
            "glimpse_store_bytes", "Bytes read from stores and written to them.", ("store", "direction"), registry=own
        )
        self._failovers = Counter(
            "glimpse_download_failovers", "Copies that failed while another one was left to try.", ("store", "moment"),
            registry=own,
        )  # fmt: skip
        # a store may be out of reach of one process only
        self._stores_up = Gauge(
            "glimpse_store_up", "1 if a store works, 0 if it is down.", ("store",), registry=own,
            multiprocess_mode="livemin",
        )  # fmt: skip
        transfers = Gauge(
            "glimpse_transfers", "Transfers in progress.", ("direction",), registry=own, multiprocess_mode="livesum"
        )
        self._transfers = {direction: transfers.labels(direction) for direction in ("upload", "download")}
        self._by_status: dict[tuple[str, str, int], Counter] = {}
        self._by_route: dict[tuple[str, str], tuple[Histogram, Counter, Counter]] = {}
        self._gathered: deque[Answered] = deque()
        self._counting = threading.Lock()
        self._closed = threading.Event()
        self._interval = interval
        threading.Thread(target=self._run, name="glimpse-metrics", daemon=True).start()
        atexit.register(self.close)

    def request(self, answered: Answered) -> None:
        self._gathered.append(answered)

    def transfer_started(self, direction: str) -> None:
        self._transfers[direction].inc()

    def transfer_ended(self, direction: str) -> None:
        self._transfers[direction].dec()

    def database_connected(self) -> None:
        self._connections.inc()

    def job_ended(self, kind: str, outcome: str) -> None:
        self._jobs_ended.labels(kind, outcome).inc()

    def unfinished_jobs(self, counts: Mapping[tuple[str, str], int]) -> None:
        self._counted_jobs.update(counts)
        for kind, status in self._counted_jobs:
            self._jobs.labels(kind, status).set(counts.get((kind, status), 0))

    def notification(self, driver: str, outcome: str) -> None:
        self._notifications.labels(driver, outcome).inc()

    def store_call(self, store: str, call: str, outcome: str, seconds: float) -> None:
        self._store_calls.labels(store, call, outcome).inc()
        self._store_seconds.labels(store, call).observe(seconds)

    def store_bytes(self, store: str, direction: str, count: int) -> None:
        self._store_bytes.labels(store, direction).inc(count)

    def download_failover(self, store: str, moment: str) -> None:
        self._failovers.labels(store, moment).inc()

    def store_up(self, store: str, up: bool) -> None:
        self._stores_up.labels(store).set(up)

    def flush(self) -> None:
        """Count the collected records."""
        with self._counting:
            gathered = self._gathered
            # records that arrive meanwhile wait for the next time, so that this loop ends
            for _ in range(len(gathered)):
                self._count(gathered.popleft())

    def close(self) -> None:
        self._closed.set()
        self.flush()
        atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closed.wait(self._interval):
            self.flush()

    def _count(self, done: Answered) -> None:
        method = done.method if done.method in _METHODS else "other"
        requests = self._by_status.get((method, done.route, done.status))
        if requests is None:
            requests = self._requests.labels(method, done.route, str(done.status))
            self._by_status[method, done.route, done.status] = requests
        requests.inc()
        children = self._by_route.get((method, done.route))
        if children is None:
            labels = (method, done.route)
            children = (self._seconds.labels(*labels), self._received.labels(*labels), self._sent.labels(*labels))
            self._by_route[labels] = children
        duration, received, sent = children
        duration.observe(done.seconds)
        if done.received:
            received.inc(done.received)
        if done.sent:
            sent.inc(done.sent)


# ------------------------------------------------------------ The registry's own metrics; its calls count as requests


class RegistryMetrics(ProcessMetrics):
    """The recorder of one worker of the registry."""

    def __init__(self) -> None:
        super().__init__()
        from prometheus_client import Counter, Gauge  # noqa: PLC0415 - see ProcessMetrics

        self._refusals = Counter(
            "glimpse_registry_refused_connections",
            "Connections whose TLS handshake failed: no certificate, or an invalid one.",
            registry=self.registry,
        )
        self._calls = Gauge(
            "glimpse_registry_calls",
            "Calls that are running or waiting for a thread.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def connection_refused(self) -> None:
        """Record a failed handshake."""
        self._refusals.inc()

    def calls_inside(self, count: int) -> None:
        """Record the number of running and waiting calls."""
        self._calls.set(count)
