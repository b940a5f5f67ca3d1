"""What the strict readings of all formats share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SECTOR: Final = 512
#: Bytes of the end of the stream that a reading gets to see: footer marker, footer and end marker of a VMDK.
TAIL_BYTES: Final = 3 * SECTOR


class Violation(Exception):
    """A check of a format fails."""

    def __init__(self, format_name: str, check: str, reason: str, advice: str = "") -> None:
        """``reason`` and ``advice`` are parts of the sentence for the user: "it …", and what to do."""
        super().__init__(f"{format_name} check {check}: {reason}")
        self.advice = advice


@dataclass(frozen=True, slots=True)
class End:
    """What is known at the end of the stream."""

    #: bytes of the stream
    size: int
    #: the last bytes of the stream, ``TAIL_BYTES`` unless it is shorter
    tail: bytes
    #: what :attr:`Reading.wanted` asked for, as far as the stream reaches
    region: bytes

    @property
    def sectors(self) -> int:
        """The size in sectors, rounded up as readers do."""
        return -(-self.size // SECTOR)


class Reading:
    """A format whose front has been read without a violation; some checks wait for the end of the stream."""

    #: offset and length of a region behind the front that :meth:`finish` needs
    wanted: tuple[int, int] | None = None
    #: bytes of the disk inside, where the library does not find them
    virtual_size: int | None = None

    def finish(self, end: End) -> None:
        """Check what only the whole stream tells.

        :raises Violation: a check fails.
        """
