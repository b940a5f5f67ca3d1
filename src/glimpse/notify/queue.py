"""Queues between request threads and drivers: a bounded queue in memory and one thread for each driver.

A driver that waits for a dead broker delays neither requests nor other drivers. Messages that do not fit into its queue
are dropped and counted (configuration 11; ARCHITECTURE.md, Data safety).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Final

import msgspec

from glimpse.notify.base import BrokerAway, CountOutcome, Driver, SendFailed

LOG = logging.getLogger(__name__)

#: Size of one driver's queue; an image with the maximum of properties makes a message of 8 MiB.
MAX_MESSAGES: Final = 10_000
MAX_BYTES: Final = 32 << 20
#: First and longest interval between attempts with a message, in seconds; it doubles each time.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
#: Seconds between two log lines about the same problem.
QUIET_SECONDS: Final = 60.0


class Pace:
    """Limits log lines about a lasting problem to one every ``seconds``."""

    def __init__(self, seconds: float = QUIET_SECONDS) -> None:
        self._seconds = seconds
        self._next = float("-inf")

    def due(self) -> bool:
        """Tell whether a line is due; True starts the next interval."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


class Outbox:
    """The queue of one driver. Messages are sent in order.

    ``sent``, ``failed`` (the driver gave up) and ``dropped`` (never passed to the driver) count messages. The thread
    starts with the first message, so it runs in the serving process, even after forks.
    """

    def __init__(
        self,
        driver: Driver,
        count: CountOutcome,
        *,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """At most ``max_bytes`` of JSON, in at most ``max_messages`` messages, may wait."""
        self.sent = 0
        self.failed = 0
        self.dropped = 0
        self._driver = driver
        self._count = count
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._closing = False
        self._drop_lines = Pace()
        self._failure_lines = Pace()
        self._troubled = False

    @property
    def name(self) -> str:
        """The driver's name."""
        return self._driver.name

    def put(self, encoded: bytes) -> None:
        """Queue one message, as JSON, or drop it; never waits for the driver."""
        with self._changed:
            taken = self._has_room(len(encoded)) and self._is_running()
            if taken:
                self._waiting.append(encoded)
                self._waiting_bytes += len(encoded)
                self._changed.notify()
        if not taken:
            self.drop()
            if self._drop_lines.due():
                LOG.warning(
                    "Notifications are dropped, %d so far: driver %s cannot send them, and %d are already waiting",
                    self.dropped, self.name, len(self._waiting),
                )  # fmt: skip

    def drop(self, number: int = 1) -> None:
        """Count ``number`` messages as lost."""
        with self._changed:
            self.dropped += number
            self._troubled = True
        for _ in range(number):
            self._count(self.name, "dropped")

    def close(self, deadline: float) -> None:
        """Accept no more messages, send the waiting ones until ``deadline`` (of ``time.monotonic``), and drop the rest.

        A driver that is still waiting then is abandoned; its thread does not prevent the process from ending.
        """
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is None:
            self._driver.close()
            return
        thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            left = len(self._waiting)
            self._waiting.clear()
        self.drop(left)
        if thread.is_alive():
            LOG.warning(
                "Driver %s did not send its notifications in time: %d were dropped, and one may or may not have "
                "been sent",
                self.name, left,
            )  # fmt: skip

    def _has_room(self, size: int) -> bool:
        return (
            not self._closing
            and len(self._waiting) < self._max_messages
            and self._waiting_bytes + size <= self._max_bytes
        )

    def _is_running(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=f"notify-{self.name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # the system cannot start a thread; the next message tries again
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while (encoded := self._next()) is not None:
            pause = FIRST_PAUSE
            while not self._deliver(encoded):
                self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._driver.close()

    def _next(self) -> bytes | None:
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            encoded = self._waiting.popleft()
            self._waiting_bytes -= len(encoded)
            return encoded

    def _deliver(self, encoded: bytes) -> bool:
        """Tell whether the driver is done with the message, sent or failed."""
        try:
            self._driver.send(msgspec.json.decode(encoded))
        except BrokerAway as error:
            if not self._closing:
                self._troubled = True
                if self._failure_lines.due():
                    LOG.warning("Driver %s will retry a notification: %s", self.name, error)
                return False
            self._record_failure(str(error))
        except SendFailed as error:
            self._record_failure(str(error))
        except Exception as error:  # noqa: BLE001  # a defect of a driver must not end the thread; it is logged whole
            self._record_failure(f"{type(error).__name__}: {error}", unexpected=True)
        else:
            self.sent += 1
            self._count(self.name, "sent")
            self._say_recovered()
        return True

    def _rest(self, seconds: float) -> None:
        """Wait, but return when the outbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def _record_failure(self, reason: str, *, unexpected: bool = False) -> None:
        self.failed += 1
        self._troubled = True
        self._count(self.name, "failed")
        if self._failure_lines.due():
            LOG.error(
                "Driver %s gave up a notification, %d so far: %s", self.name, self.failed, reason, exc_info=unexpected
            )

    def _say_recovered(self) -> None:
        if self._troubled and not self._waiting:
            self._troubled = False
            LOG.info(
                "Driver %s sends notifications again; so far %d were dropped and %d given up",
                self.name, self.dropped, self.failed,
            )  # fmt: skip
