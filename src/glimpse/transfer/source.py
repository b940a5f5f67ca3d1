"""The source of an image's bytes, and the steps that process them.

A use case that receives data is a generator, so that it is one function in order and occupies no thread while it waits.
Each ``yield`` asks for the next batch. It gets a non-empty batch, or None at the end of the data, and then ends. Errors
of the source are thrown into it. Code that starts the steps must run them to their end.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeVar

T = TypeVar("T")

Steps = Generator[None, bytes | None, T]


class ByteSource(Protocol):
    """The content of one image, read from start to end by one thread of a job, which may wait."""

    def next_batch(self) -> bytes | None:
        """Wait for the next bytes; None after the end, and on every later call.

        A batch is never empty. None is the only sign of complete data (ARCHITECTURE.md, Data safety, rule 2).

        :raises BodyIncomplete: the client disconnected before the end.
        :raises BodyTimeout: no data arrived in time.
        """
        ...


def drive(steps: Steps[T], source: ByteSource) -> T:
    """Run ``steps`` on ``source`` in this thread to their end, and return or raise their result."""
    try:
        next(steps)
        while True:
            try:
                batch = source.next_batch()
            except BaseException as error:  # noqa: BLE001 - the steps clean up and raise it
                steps.throw(error)
            else:
                steps.send(batch)
    except StopIteration as end:
        return end.value
