"""uvicorn's protocol on h11, with the status that h11 names for a request that it cannot read."""

from __future__ import annotations

import http
import sys

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class StatusH11Protocol(H11Protocol):
    """Answers 501 to an unknown transfer coding (RFC 9112, section 6.1) and 431 to too many header bytes, not 400."""

    def send_400_response(self, msg: str) -> None:
        """Refuse the request that :meth:`handle_events` is just failing to read, and close the connection."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        reason = http.HTTPStatus(status).phrase.encode()
        for event in (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=msg.encode("ascii")),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
