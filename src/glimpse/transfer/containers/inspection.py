"""The inspection of an image whose container format is not ``bare``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from glimpse.errors import UnsupportedContent
from glimpse.transfer.containers.archive import BLOCK, Archive, is_archive
from glimpse.transfer.containers.compression import Allowance, Unpacking, decompressor_of
from glimpse.transfer.containers.disk_probe import DiskProbe

#: Maximum depth of nested compression that is inspected.
_MOST_LAYERS: Final = 3


class Content:
    """One stream: the upload itself, compressed content, or a member of an archive."""

    def __init__(self, allowance: Allowance, *, layers: int = _MOST_LAYERS, archives: bool = True) -> None:
        """It may contain ``layers`` of compression, and an archive if ``archives`` is true."""
        self._allowance = allowance
        self._layers = layers
        self._archives = archives
        self._probe = DiskProbe()
        self._head: bytes | None = b""
        self._feed_inner: Callable[[bytes], None] | None = None
        self._end_inner: Callable[[], None] | None = None
        self._inner_wants_more: Callable[[], bool] = lambda: False

    @property
    def wants_more(self) -> bool:
        """Whether further data matter."""
        return self._head is not None or self._probe.wants_more or self._inner_wants_more()

    def feed(self, data: bytes) -> None:
        """Look at the next bytes.

        :raises UnsupportedContent: they are refused.
        """
        self._probe.feed(data)
        if self._head is not None:
            self._head += data
            if len(self._head) >= BLOCK:
                self._look_inside()
        elif self._feed_inner is not None:
            self._feed_inner(data)

    def end(self) -> None:
        """End the stream.

        :raises UnsupportedContent: it is refused.
        """
        self._look_inside()
        if self._end_inner is not None:
            self._end_inner()
        self._probe.end()

    def _look_inside(self) -> None:
        if self._head is None:
            return
        head, self._head = self._head, None
        if self._archives and is_archive(head):
            archive = Archive(lambda _name: Content(self._allowance, layers=self._layers, archives=False))
            self._feed_inner, self._end_inner = archive.feed, archive.end
            self._inner_wants_more = lambda: True
        elif self._layers and (make := decompressor_of(head)) is not None:
            inner = Content(self._allowance, layers=self._layers - 1, archives=self._archives)

            def consume(data: bytes) -> bool:
                inner.feed(data)
                return inner.wants_more

            self._feed_inner, self._end_inner = Unpacking(make, consume, self._allowance).feed, inner.end
            self._inner_wants_more = lambda: inner.wants_more
        if self._feed_inner is not None:
            self._feed_inner(head)


class ContainerInspection:
    """Refuses content with a disk that refers to another file: other programs unpack such an image and open its
    disk.
    """

    def __init__(self, container_format: str) -> None:
        self._container_format = container_format
        self._allowance = Allowance()
        self._content: Content | None = Content(self._allowance)
        self._refusal: UnsupportedContent | None = None

    def feed(self, batch: bytes) -> None:
        """Feed the next bytes. Never raises; the result is determined at the end."""
        if self._content is None:
            return
        self._allowance.grow(len(batch))
        try:
            self._content.feed(batch)
        except UnsupportedContent as error:
            self._refuse(error)

    def finish(self) -> None:
        """End the stream.

        :raises UnsupportedContent: some content is refused; the text names the check and the option.
        """
        if self._content is not None:
            try:
                self._content.end()
            except UnsupportedContent as error:
                self._refuse(error)
        if self._refusal is not None:
            raise UnsupportedContent(
                f"{self._refusal} Images of container format {self._container_format} are inspected unless "
                f"[glimpse] uninspected_containers lists it."
            ) from self._refusal

    def _refuse(self, error: UnsupportedContent) -> None:
        # without its traceback, whose frames would keep the data in memory
        self._refusal = error.with_traceback(None)
        self._content = None
