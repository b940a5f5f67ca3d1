"""The metrics endpoint: sums the values of all workers in the parent process."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from glimpse import __version__
from glimpse.settings.model import Metrics

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

#: Directory for the values of each process; the Prometheus library reads this variable when it is imported.
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def prepare(settings: Metrics, data_dir: Path) -> Path | None:
    """Create an empty directory for the workers' values, and pass it to them in the environment.

    Call it in the parent before workers start. Values of a former run are removed. None without a metrics port.

    :raises OSError: the directory cannot be created.
    """
    if settings.port is None:
        return None
    # the port distinguishes services that share a data directory
    directory = data_dir / "metrics" / str(settings.port)
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True, mode=0o700)
    os.environ[DIRECTORY_VARIABLE] = str(directory)
    return directory


class Endpoint:
    """A running metrics endpoint."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.port = server.server_port

    def close(self) -> None:
        """Stop the endpoint."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(settings: Metrics, directory: Path) -> Endpoint:
    """Serve metrics on ``settings.host`` and ``settings.port`` in a thread of this process.

    ``directory`` is the result of :func:`prepare`.

    :raises OSError: the address cannot be bound.
    """
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415  # see metrics.ProcessMetrics

    registry = CollectorRegistry()
    registry.register(AllProcesses(directory))
    server, thread = start_http_server(settings.port or 0, settings.host, registry)
    return Endpoint(server, thread)


class AllProcesses:
    """Collects the values of all processes that write to a directory, including ended ones."""

    def __init__(self, directory: Path) -> None:
        # Imported before any thread exists: a worker may be forked at any time, and must not inherit an unfinished
        # import of another thread.
        from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        self._directory = directory
        self._build = GaugeMetricFamily("glimpse_build_info", "Version of the service.", labels=["version"])
        self._build.add_metric([__version__], 1)
        self._workers = MultiProcessCollector(None, str(directory))

    def collect(self) -> Iterable[Metric]:
        """Return the current values. Running work is counted only in living processes."""
        self._forget_the_dead()
        yield self._build
        yield from self._workers.collect()

    def _forget_the_dead(self) -> None:
        """Remove values of running work in dead processes; their counters remain."""
        for file in self._directory.glob("gauge_live*_*.db"):
            pid = file.stem.rpartition("_")[2]
            if not Path("/proc", pid).exists():
                file.unlink(missing_ok=True)
