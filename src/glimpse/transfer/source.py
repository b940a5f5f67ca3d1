"""Where the bytes of an image come from, as the thread that stores them sees it."""

from __future__ import annotations

from typing import Protocol


class ByteSource(Protocol):
    """The content of one image, read from its start to its end by one thread."""

    @property
    def received(self) -> int:
        """Bytes that arrived from the sender so far, those not yet handed out included."""
        ...

    def next_batch(self) -> bytes | None:
        """Wait for the next bytes; None once the end was signalled, and on every call after that.

        A batch is never empty. None is the only sign of a complete body (design, section 3, rule 2).

        :raises BodyIncomplete: the sender went away before the end.
        :raises BodyTimeout: nothing arrived for as long as the source waits.
        """
        ...

    def drain(self, max_bytes: int, seconds: float) -> bool:
        """Read and discard what still comes, so that an early refusal reaches a client that is still sending.

        Gives up after ``max_bytes`` bytes or ``seconds`` seconds, or when the sender goes away or pauses for too
        long. Returns True when the end of the body was reached. Never raises an error about the body.
        """
        ...

    def close(self) -> None:
        """Stop reading; the rest of the body is not wanted. Safe to call twice, and after the end."""
        ...
