"""uvicorn's h11 protocol with strict line ends: in a head or a trailer every line ends with CR LF.

h11 accepts a bare LF as the end of a line (RFC 9112, section 2.2 allows it). A proxy that treats it as part of a value
reads other header fields than the server behind it, which allows request smuggling.
"""

from __future__ import annotations

import re
from typing import Any

from h11 import RemoteProtocolError
from h11._receivebuffer import ReceiveBuffer  # pyright: ignore[reportPrivateImportUsage] - it has no public name

from glimpse.launcher.h11_protocol import StatusH11Protocol

_BARE_LF = re.compile(rb"(?<!\r)\n")


class StrictReceiveBuffer(ReceiveBuffer):
    """Refuses blocks of lines with a bare LF."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """See h11; called for heads and trailers.

        :raises RemoteProtocolError: a line ends with a bare LF; uvicorn answers with 400.
        """
        before = bytes(self)
        lines = super().maybe_extract_lines()
        if lines is not None and _BARE_LF.search(before[: len(before) - len(self)]):
            raise RemoteProtocolError("a line ends with a bare LF")
        return lines


class StrictH11Protocol(StatusH11Protocol):
    """One connection of uvicorn."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn._receive_buffer = StrictReceiveBuffer()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
