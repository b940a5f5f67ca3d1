"""Complete responses for errors."""

from __future__ import annotations

import math

from glimpse.api.error_body import error_body
from glimpse.api.errors import Refusal, status_of
from glimpse.api.exchange import Reply
from glimpse.errors import Busy, GlimpseError, RangeNotSatisfiable, TooManyAttempts

_INTERNAL = "The service failed to handle the request. The reason is in its log, under the request id."

#: The message of 415 is this general sentence; the reason is its detail (images-api 7.1).
_GENERAL = {415: "The media type or the content of the request is not supported here."}


class FailureReply:
    """``challenge`` is the value of WWW-Authenticate for 401, if any."""

    def __init__(self, challenge: str | None) -> None:
        self._challenge = challenge

    def to(self, error: GlimpseError | Refusal | None, accept: str | None) -> Reply:
        """Build the response to ``error`` in the format of ``accept``; None is a defect, whose cause is in the log."""
        if error is None:
            status, message = 500, _INTERNAL
        elif isinstance(error, Refusal):
            status, message = error.status, str(error)
        else:
            status, message = status_of(error), str(error)
        general = _GENERAL.get(status)
        made = error_body(status, general or message, message if general else "", accept=accept)
        headers = [(b"content-type", made.content_type.encode())]
        match error:
            case Refusal():
                headers.extend(error.headers)
            case RangeNotSatisfiable() if error.size is not None:
                headers.append((b"content-range", f"bytes */{error.size}".encode()))
            case Busy():
                headers.append((b"retry-after", str(error.retry_seconds).encode()))
            case TooManyAttempts():
                headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
            case _:
                pass
        if status == 401 and self._challenge:
            headers.append((b"www-authenticate", self._challenge.encode()))
        return Reply(status, made.body, tuple(headers))
