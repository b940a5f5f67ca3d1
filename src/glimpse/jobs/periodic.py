"""A background thread that does one thing at a fixed interval."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from glimpse.errors import Unavailable

LOG = logging.getLogger(__name__)


class Periodic:
    """Runs ``action`` at once and then every ``interval`` seconds, until stopped.

    Work that must not wait for other work has a thread of its own: leases are renewed while a recovery is slow.
    """

    def __init__(self, name: str, interval: float, action: Callable[[], object]) -> None:
        self._name = name
        self._interval = interval
        self._action = action
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first run comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the run that is under way."""
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
            LOG.warning("%s missed a turn: %s", self._name, error)
        except Exception:
            # the thread must outlive a defect, or every transfer of this worker would lose its lease
            LOG.exception("%s failed", self._name)
