"""Where the bytes of an image come from, and the steps that take them.

A use case that takes data is a generator, so that it stays one function in order and holds no thread while it waits.
Each ``yield`` asks for the next batch. It is sent a batch that is not empty, or None at the end of the data, and after
that ends. What goes wrong with the source is thrown in. Whoever starts the steps also sees them to their end.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeVar

T = TypeVar("T")

Steps = Generator[None, bytes | None, T]


class ByteSource(Protocol):
    """The content of one image, read from its start to its end by one thread: of jobs, which may wait."""

    def next_batch(self) -> bytes | None:
        """Wait for the next bytes; None once the end was signalled, and on every call after that.

        A batch is never empty. None is the only sign of complete data (ARCHITECTURE.md, Data safety, rule 2).

        :raises BodyIncomplete: the sender went away before the end.
        :raises BodyTimeout: nothing arrived for as long as the source waits.
        """
        ...


def drive(steps: Steps[T], source: ByteSource) -> T:
    """Run ``steps`` on ``source`` in this thread to their end, and return or raise what they do."""
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
