"""The registry's own metrics; its calls count as requests."""

from __future__ import annotations

from glimpse.telemetry.metrics import ProcessMetrics


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
