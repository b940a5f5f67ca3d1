"""Limits on the number of concurrent transfers, in total and per party."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from glimpse.errors import Busy

#: Seconds after which a refused client may try again (``Retry-After``).
RETRY_SECONDS = 10


class Concurrency:
    """Counts running transfers. Belongs to one event loop and never waits, so it needs no lock."""

    def __init__(self, what: str, most: int, most_of_party: int) -> None:
        """``what`` is the plural name of the transfers in messages; ``most`` and ``most_of_party`` are at least 1."""
        self._what = what
        self._most = most
        self._most_of_party = most_of_party
        self._running = 0
        self._of_party: dict[str, int] = {}

    @property
    def running(self) -> int:
        """Transfers in progress."""
        return self._running

    @contextmanager
    def place(self, party: str) -> Generator[None]:
        """Count one more transfer of ``party`` while the block runs.

        :raises Busy: the maximum has been reached.
        """
        own = self._of_party.get(party, 0)
        if own >= self._most_of_party:
            raise Busy(
                f"This project already has the maximum of {own} running {self._what}; try again later.",
                RETRY_SECONDS,
            )
        if self._running >= self._most:
            raise Busy(f"The service is busy with {self._running} {self._what}; try again later.", RETRY_SECONDS)
        self._running += 1
        self._of_party[party] = own + 1
        try:
            yield
        finally:
            self._running -= 1
            left = self._of_party[party] - 1
            if left:
                self._of_party[party] = left
            else:
                del self._of_party[party]
