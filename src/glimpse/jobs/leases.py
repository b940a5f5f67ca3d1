"""The leases of this process: renewed by one heartbeat (ARCHITECTURE.md, Data safety, rule 4)."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager

from glimpse.db.base import Database
from glimpse.db.base_records import Lease
from glimpse.settings.model import Leases


def process_name() -> str:
    """A name for this process that no other has: host, pid, and a random part against reuse of the pid."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


class LeaseKeeper:
    """Makes leases in the name of this process and keeps those alive whose operation still runs.

    A lease that outlives its operation (because the database did not answer at its end) is renewed no more, so
    it runs out and is recovered. One statement renews all leases, however many transfers run; none, none.
    """

    def __init__(self, database: Database, settings: Leases, owner: str | None = None) -> None:
        self.owner = owner or process_name()
        self._database = database
        self._lifetime = settings.lifetime
        self._held: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, image_id: str, purpose: str, store: str | None = None) -> Generator[Lease]:
        """A new lease, renewed while the block runs.

        It is not recorded yet: a database operation records it together with what it protects.
        """
        lease = Lease(
            id=uuid.uuid4().hex,
            image_id=image_id,
            purpose=purpose,
            owner=self.owner,
            generation=1,
            expires_at=self.expiry(),
            store=store,
        )
        with self._lock:
            self._held.add(lease.id)
        try:
            yield lease
        finally:
            with self._lock:
                self._held.discard(lease.id)

    def expiry(self) -> float:
        """Seconds since 1970 at which a lease made or renewed now runs out."""
        return time.time() + self._lifetime

    def renew(self) -> int:
        """Move the end of every lease that is held; returns their number."""
        with self._lock:
            held = tuple(self._held)
        return self._database.renew_leases(self.owner, held, self.expiry()) if held else 0

    def take(self, lease: Lease) -> Lease | None:
        """Become the holder of an expired lease, or None when another process was first."""
        return self._database.take_lease(lease, self.owner, self.expiry())
