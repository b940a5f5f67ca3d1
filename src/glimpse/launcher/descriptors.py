"""The limit on open descriptors (RLIMIT_NOFILE): raises it, and computes how many connections it allows."""

from __future__ import annotations

import logging
import resource

LOG = logging.getLogger(__name__)

#: Highest limit that is set: programs that we run may close every descriptor up to the limit.
MOST_DESCRIPTORS = 65536
#: Descriptors of a worker besides two for each connection (the connection itself, and its file or backend).
SPARE_DESCRIPTORS = 128


def raise_soft_limit() -> int:
    """Raise the soft limit of this process to the hard one, at most to 65,536, and return the new soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_DESCRIPTORS
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def affordable_connections(wanted: int) -> int:
    """Return how many connections the limit allows for a worker, at most ``wanted``.

    Raises the soft limit, and logs a WARNING if even the hard one is too low. A granian worker that runs out of
    descriptors spins in accept() and serves no requests, so it must stop accepting earlier.
    """
    limit = raise_soft_limit()
    possible = max(1, (limit - SPARE_DESCRIPTORS) // 2)
    if possible >= wanted:
        return wanted
    LOG.warning(
        "The limit on open files (RLIMIT_NOFILE) is %d, which allows %d connections per worker instead of %d. Raise "
        "the hard limit to %d (systemd: LimitNOFILE=).",
        limit,
        possible,
        wanted,
        2 * wanted + SPARE_DESCRIPTORS,
    )
    return possible
