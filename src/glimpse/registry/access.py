"""The access line of each call to the registry."""

from __future__ import annotations

import logging

from glimpse.telemetry.formatters import CALLER

# telemetry/log.py writes the lines of this logger with the least work, here and in the API
ACCESS = logging.getLogger("glimpse.access")

_LINE = "%s %s %s %s in %d out %d %.1f ms"


def log_call(*, client: str, peer: str, method: str, outcome: str, seconds: float, received: int, sent: int) -> None:
    """``outcome`` is ``ok``, the name of an error, ``defect``, or ``gone`` if the client disconnected before the
    response.

    ``received`` and ``sent`` are bytes of bodies.
    """
    if not ACCESS.isEnabledFor(logging.INFO):
        return
    arguments = (peer, client or "-", method, outcome, received, sent, seconds * 1000)
    record = logging.LogRecord(ACCESS.name, logging.INFO, __file__, 0, _LINE, arguments, None)
    record.__dict__.update(
        caller=CALLER.get(),
        client=client,
        peer=peer,
        method=method,
        outcome=outcome,
        bytes_in=received,
        bytes_out=sent,
        milliseconds=round(seconds * 1000, 3),
    )
    ACCESS.handle(record)
