"""Content inspection: checks the format and safety of the content, and finds the size of the disk inside.

All inspectors of oslo.utils read the stream as it passes; :class:`Inspection` decides at its end (images-api 4.5).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from glimpse.errors import UnsupportedContent
from glimpse.settings.model import Formats
from glimpse.transfer.fixed_vhd import disk_bytes
from glimpse.transfer.luks2 import LUKS2_FRONT, Luks2, Luks2Error
from glimpse.transfer.partition_table import has_partition_table
from glimpse.transfer.refusals import luks2_refusal, mismatch, unsafe, warn_of_mismatch, warn_of_tolerated

if TYPE_CHECKING:
    from oslo_utils.imageutils.format_inspector import FileInspector

    from glimpse.transfer.containers.inspection import ContainerInspection
    from glimpse.transfer.strict.examiner import Examiner

#: The front of the stream, collected before any decision, so that the result never depends on how the client splits its
#: data. A VMDK text descriptor is parsed at once, and QEMU reads no more than this of one.
HEAD_BYTES: Final = 1 << 20
#: An inspector finds at most one new structure per piece; a VHDX has a chain of three.
_PIECE_BYTES: Final = 64 << 10
#: Largest number that fits into the column ``virtual_size``.
_MAX_VIRTUAL_SIZE: Final = (1 << 63) - 1
#: Formats whose virtual size is the length of the stream; the others have it in a header.
_SIZED_BY_STREAM: Final = frozenset({"gpt", "luks"})
#: Matches the front of all formats that glimpse.transfer.strict reads: those that QEMU's probe knows, and text that may
#: be a descriptor. Raw data skip the strict checks.
READ_STRICTLY: Final = re.compile(
    rb"KDMV|COWD|QFI\xfb|QED\0|OOOM|MOOO|conectix|vhdxfile|LUKS\xba\xbe|WithoutFreeSpace|WithouFreSpacExt"
    rb"|Bochs Virtual HD Image|(?s:.{64})\x7f\x10\xda\xbe|\s*+(?:\xef\xbb\xbf\s*+)?(?:#|(?i:version))"
)
#: Checks of the library that the strict parsers replace: the library requires ASCII descriptors, and does not know
#: extended L2 entries.
_READ_BETTER: Final = {"vmdk": ("descriptor",), "qcow2": ("unknown_features",)}
#: The end of the stream, which contains the footer of a VHD.
_FOOTER_BYTES: Final = 1024


@cache
def inspectors() -> dict[str, type[FileInspector]]:
    """Return the inspectors of oslo.utils by name, including ``raw``; imported on first use, which takes 0.1 s."""
    from oslo_utils.imageutils import format_inspector  # noqa: PLC0415 - see the docstring

    # The library logs parts of the inspected data, up to a MiB each; here the user gets the reason instead.
    logging.getLogger(format_inspector.__name__).setLevel(logging.CRITICAL)
    return format_inspector.ALL_FORMATS


class Match:
    """One format's inspector on one stream, fed as long as it needs data."""

    __slots__ = ("_broken", "_inspector", "_rest", "live", "name", "suits")

    def __init__(self, name: str, inspector: FileInspector) -> None:
        self.name = name
        #: whether more of the stream could change the inspector's result
        self.live = True
        #: whether the inspector has accepted the data so far
        self.suits = False
        self._inspector = inspector
        self._broken: Exception | None = None
        self._rest = b""

    def read_head(self, head: bytes) -> None:
        """Feed the front of the stream, ``HEAD_BYTES`` long unless the stream is shorter."""
        if self.name == "vmdk":
            if _may_be_vmdk(head):
                self._eat(head)
            else:
                self.live = False
        else:
            self._eat_pieces(head)

    def read_on(self, batch: bytes) -> None:
        """Feed further data."""
        if self.name != "vmdk":
            self._eat_pieces(batch)
        elif self._inspector.has_region("footer") and self._inspector.region("descriptor").complete:
            # Only the end of the stream still matters, wherever it is: only tails can be part of it.
            self._eat(batch[-_PIECE_BYTES:])
        else:
            self._eat(batch)

    def found(self) -> bool:
        """Tell whether the complete stream has this format.

        :raises UnsupportedContent: the inspector cannot tell.
        """
        if self.live and self._rest:
            self._eat(self._rest)
        self._inspector.finish()
        try:
            matches = self._inspector.format_match
        except Exception as exc:
            raise self._unparsable() from exc
        if matches and self.name == "gpt":
            return has_partition_table(bytes(self._inspector.region("mbr").data))
        return matches

    def check_safety(self, tolerated: frozenset[str]) -> Mapping[str, object]:
        """Evaluate the safety conditions; return the reasons of those violated that are ``tolerated``.

        :raises UnsupportedContent: another condition is violated, or one cannot be evaluated.
        """
        failures = self._violations()
        for check in _READ_BETTER.get(self.name, ()):
            failures.pop(check, None)
        if violated := failures.keys() - tolerated:
            raise unsafe(self.name, {check: failures[check] for check in violated})
        if self._broken is not None:
            raise self._unparsable() from self._broken
        return failures

    def virtual_size(self, size: int) -> int:
        """Return the size of the disk inside a stream of ``size`` bytes; 0 if the format does not contain it.

        :raises UnsupportedContent: the format contains an impossible size.
        """
        try:
            virtual_size = self._inspector.virtual_size
        except Exception as exc:
            raise self._unparsable() from exc
        if self.name in _SIZED_BY_STREAM:
            virtual_size += size - self._inspector.actual_size
        if not 0 <= virtual_size <= _MAX_VIRTUAL_SIZE:
            raise UnsupportedContent(f"The content is refused: its virtual size cannot be {virtual_size} bytes.")
        return virtual_size

    def _violations(self) -> dict[str, object]:
        from oslo_utils.imageutils.format_inspector import SafetyCheckFailed  # noqa: PLC0415 - see inspectors()

        try:
            self._inspector.safety_check()
        except SafetyCheckFailed as exc:
            return dict(exc.failures)
        except Exception as exc:
            raise self._unparsable() from exc
        return {}

    def _unparsable(self) -> UnsupportedContent:
        return UnsupportedContent(f"The content could not be parsed as {self.name}: it is damaged or truncated.")

    def _eat_pieces(self, batch: bytes) -> None:
        """Feed the data so far in pieces that begin at multiples of their size."""
        start = 0
        if self._rest:
            start = _PIECE_BYTES - len(self._rest)
            self._rest += batch[:start]
            if len(self._rest) < _PIECE_BYTES:
                return
            self._eat(self._rest)
        while self.live and start + _PIECE_BYTES <= len(batch):
            self._eat(batch[start : start + _PIECE_BYTES])
            start += _PIECE_BYTES
        self._rest = batch[start:] if self.live else b""

    def _eat(self, piece: bytes) -> None:
        try:
            self._inspector.eat_chunk(piece)
        except Exception as exc:  # noqa: BLE001 - most inspectors refuse a stream of another format by raising
            # Without its traceback, whose frames would keep the front of the stream in memory.
            self._broken = exc.with_traceback(None)
            self.live = self.suits = False
        else:
            self.suits = True
            self.live = not self._inspector.complete


def _may_be_vmdk(head: bytes) -> bool:
    """Tell whether the data may be a VMDK: a sparse file with a header, or text that contains a createType.

    The inspector gets no other text, because it cannot decide about text that is not pure ASCII.
    """
    return head.startswith(b"KDMV") or (head[:512].isascii() and b'createtype="' in head.lower())


class Luks2Match(Match):
    """A LUKS container of version 2, which the library does not support."""

    def __init__(self, front: bytes) -> None:
        """``front`` is the front of the stream, which begins like such a container."""
        super().__init__("luks", inspectors()["luks"]())
        self.live = False
        self._luks2: Luks2 | None = None
        self._error = ""
        try:
            self._luks2 = Luks2(front)
        except Luks2Error as exc:
            self._error = str(exc)

    def found(self) -> bool:
        """Always true: it is a LUKS2 container, even if damaged."""
        return True

    def check_safety(self, tolerated: frozenset[str]) -> Mapping[str, object]:  # noqa: ARG002 - no check is tolerated
        """See :class:`Match`."""
        if self._luks2 is None:
            raise luks2_refusal(self._error)
        return {}

    def virtual_size(self, size: int) -> int:
        """See :class:`Match`."""
        if self._luks2 is None:
            raise luks2_refusal(self._error)
        try:
            return self._luks2.payload_bytes(size)
        except Luks2Error as exc:
            raise luks2_refusal(str(exc)) from exc


class FormatDetector:
    """All inspectors on one stream. After its front, most streams cost one comparison per batch."""

    def __init__(self) -> None:
        self._matches = [Match(name, make()) for name, make in inspectors().items() if name != "raw"]
        self._live = self._matches
        self._head: list[bytes] | None = []
        self._head_bytes = 0
        #: the last KiB of the data so far
        self.tail = b""
        self._examiner: Examiner | None = None
        #: whether a program that opens the stream as a VMDK would read it as a descriptor
        self._describes = False

    def feed(self, batch: bytes) -> None:
        """Feed the next bytes of the stream. Never raises."""
        self.tail = batch[-_FOOTER_BYTES:] if len(batch) >= _FOOTER_BYTES else (self.tail + batch)[-_FOOTER_BYTES:]
        if self._head is None:
            if self._live:
                self._read_on(batch)
            if self._examiner is not None:
                self._examiner.feed(batch)
            return
        self._head.append(batch)
        self._head_bytes += len(batch)
        if self._head_bytes >= HEAD_BYTES:
            self._read_head()

    def finish(self) -> dict[str, Match]:
        """End the stream and return the matching formats by name; none for raw data.

        :raises UnsupportedContent: the format cannot be determined.
        """
        self._read_head()
        return {match.name: match for match in self._matches if match.found()}

    def examine(self, told: str | None = None) -> None:
        """Apply the checks of ``glimpse.transfer.strict`` to the complete stream.

        ``told`` is the format with which programs will open the stream, if it differs from its appearance.

        :raises UnsupportedContent: the stream is refused under every ``disk_format``.
        """
        if self._examiner is not None:
            self._examiner.finish()
        elif b"conectix" in self.tail:
            from glimpse.transfer.strict.examiner import check_last_footer  # noqa: PLC0415 - see READ_STRICTLY

            check_last_footer(self.tail)
        if told == "vmdk" and self._describes:
            from glimpse.transfer.strict.examiner import refuse_told_descriptor  # noqa: PLC0415 - see _READ_STRICTLY

            refuse_told_descriptor()

    @property
    def virtual_size(self) -> int | None:
        """Return the size of the disk inside, if the strict parser is more exact than the library."""
        return self._examiner.virtual_size if self._examiner is not None else None

    def _read_head(self) -> None:
        if self._head is None:
            return
        front = self._head[0] if len(self._head) == 1 else b"".join(self._head)
        self._head = None
        if front.startswith(LUKS2_FRONT):
            others = [match for match in self._matches if match.name != "luks"]
            self._matches = [*others, Luks2Match(front[:HEAD_BYTES])]
        # QEMU reads such text up to its first NUL, and requires only this word in it.
        self._describes = b"createtype" in front[:HEAD_BYTES].partition(b"\0")[0].lower()
        for match in self._matches:
            match.read_head(front[:HEAD_BYTES])
        self._live = [match for match in self._matches if match.live]
        if READ_STRICTLY.match(front) or any(match.name == "vmdk" and match.suits for match in self._matches):
            from glimpse.transfer.strict.examiner import Examiner  # noqa: PLC0415 - see READ_STRICTLY

            self._examiner = Examiner(front)
        if len(front) > HEAD_BYTES:
            self._read_on(front[HEAD_BYTES:])

    def _read_on(self, batch: bytes) -> None:
        for match in self._live:
            match.read_on(batch)
        self._live = [match for match in self._live if match.live]


class Inspection:
    """The inspection of one stream, for every path that brings data in (images-api 4.5).

    In containers other than ``bare`` it only looks for unsafe content; ``uninspected_containers`` are not inspected.
    """

    def __init__(
        self,
        disk_format: str | None,
        container_format: str | None,
        formats: Formats,
        image_id: str | None = None,
    ) -> None:
        """``image_id`` is for the warnings about images accepted despite a failed check."""
        #: the format of ``bare`` data that were accepted; raw if they have no other
        self.found = "raw"
        self._disk_format = disk_format
        self._image_id = image_id
        self._disk_formats = formats.disk_formats
        self._detector = FormatDetector() if container_format == "bare" else None
        self._container = None if self._detector is not None else _of_container(container_format, formats)
        self._must_match = formats.require_image_format_match
        self._gpt_nonfatal = frozenset(formats.gpt_safety_checks_nonfatal)

    def feed(self, batch: bytes) -> None:
        """Feed the next bytes. Never raises; the result is determined at the end."""
        if self._detector is not None:
            self._detector.feed(batch)
        elif self._container is not None:
            self._container.feed(batch)

    def finish(self, size: int) -> int | None:
        """End the stream of ``size`` bytes; return ``virtual_size`` in bytes, None if it is unknown or 0.

        :raises UnsupportedContent: the content does not have the image's ``disk_format``, is unsafe, or cannot be
        parsed.
        """
        if self._detector is None:
            if self._container is not None:
                self._container.finish()
            return None
        matches = self._detector.finish()
        if self._disk_format == "vhd" and matches.keys() <= {"iso", "gpt"}:
            disk = disk_bytes(self._detector.tail, size)
            if disk is not None:
                return self._of_fixed_vhd(matches, disk, self._detector)
        if self._disk_format in {"iso", "raw"} and matches.keys() == {"iso", "gpt"}:
            del matches["gpt"]  # a hybrid ISO image
        if len(matches) > 1:
            return self._mismatch(sorted(matches), self._detector)
        for match in matches.values():
            return self._of_format(match, size, self._detector)
        return self._of_no_format(size, self._detector)

    def _of_format(self, match: Match, size: int, detector: FormatDetector) -> int | None:
        if self._disk_format not in {match.name, "raw"}:
            return self._mismatch([match.name], detector)
        detector.examine()
        self._check_safety(match)
        self.found = match.name
        if self._disk_format == "raw":
            return size or None
        return detector.virtual_size or match.virtual_size(size) or None

    def _of_fixed_vhd(self, matches: dict[str, Match], disk: int, detector: FormatDetector) -> int | None:
        """``matches`` are the formats of the disk inside, which begins at the start of the file."""
        detector.examine()
        if matches.keys() == {"gpt"}:
            self._check_safety(matches["gpt"])
        self.found = "vhd"
        return disk or None

    def _of_no_format(self, size: int, detector: FormatDetector) -> int | None:
        if self._disk_format in inspectors().keys() - {"raw"}:
            return self._mismatch(["raw"], detector)
        detector.examine()
        return size or None if self._disk_format == "raw" else None

    def _check_safety(self, match: Match) -> None:
        tolerated = match.check_safety(self._gpt_nonfatal if match.name == "gpt" else frozenset())
        if tolerated:
            warn_of_tolerated(self._image_id, match.name, tolerated)

    def _mismatch(self, names: list[str], detector: FormatDetector) -> None:
        if self._must_match:
            raise mismatch(names, self._disk_format, self._disk_formats)
        detector.examine(self._disk_format)
        warn_of_mismatch(self._image_id, names, self._disk_format)


def _of_container(container_format: str | None, formats: Formats) -> ContainerInspection | None:
    if container_format is None or container_format in formats.uninspected_containers:
        return None
    from glimpse.transfer.containers.inspection import ContainerInspection  # noqa: PLC0415 - not for bare images

    return ContainerInspection(container_format)
