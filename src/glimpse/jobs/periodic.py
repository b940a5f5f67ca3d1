"""A background thread that runs one action at a fixed interval."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from glimpse.errors import Unavailable

LOG = logging.getLogger(__name__)


class Periodic:
    """Runs ``action`` immediately and then every ``interval`` seconds, until stopped.

    Each action has a thread of its own, so that a slow recovery does not delay the renewal of leases.
    """

    def __init__(self, name: str, interval: float, action: Callable[[], object]) -> None:
        self._name = name
        self._interval = interval
        self._action = action
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start; the first run is immediate."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the run in progress."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._once()
            if self._stopped.wait(self._interval):
                return

    def _once(self) -> None:
        try:
            self._action()
        except Unavailable as error:
            LOG.warning("%s was skipped this time: %s", self._name, error)
        except Exception:
            # the thread must survive a defect, or every transfer of this worker would lose its lease
            LOG.exception("%s failed", self._name)
