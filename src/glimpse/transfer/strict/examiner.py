"""Strict inspection of one stream: detects the format by its front, and turns violations into refusals."""

from __future__ import annotations

from glimpse.errors import UnsupportedContent
from glimpse.transfer.strict import others, vdi, vhd
from glimpse.transfer.strict.qcow2 import read_qcow2
from glimpse.transfer.strict.reading import TAIL_BYTES, End, Reading, Violation
from glimpse.transfer.strict.vhdx import read_vhdx
from glimpse.transfer.strict.vmdk import read_vmdk
from glimpse.transfer.strict.vmdk_descriptor import refuse_descriptor


class Examiner:
    """Inspects a stream from its front. It keeps only the end of the stream, and one region if a format needs it."""

    def __init__(self, front: bytes) -> None:
        """``front`` is all of the stream, or at least its first MiB."""
        self._position = 0
        self._region = bytearray()
        self._tail = b""
        self._violation: Violation | None = None
        self._front_is_vhd = front.startswith(vhd.COOKIE)
        try:
            self._readings = _read(front)
        except Violation as exc:
            self._readings = []
            self._violation = exc.with_traceback(None)  # its frames would keep the front in memory
        self.feed(front)

    @property
    def virtual_size(self) -> int | None:
        """Return the size of the disk inside, if the strict parser is more exact than the library."""
        return next((reading.virtual_size for reading in self._readings if reading.virtual_size is not None), None)

    def feed(self, batch: bytes) -> None:
        """Feed the next bytes. Never raises."""
        for reading in self._readings:
            if reading.wanted is not None:
                start = max(0, reading.wanted[0] + len(self._region) - self._position)
                stop = max(start, sum(reading.wanted) - self._position)
                self._region += batch[start:stop]
        self._position += len(batch)
        self._tail = batch[-TAIL_BYTES:] if len(batch) >= TAIL_BYTES else (self._tail + batch)[-TAIL_BYTES:]

    def finish(self) -> None:
        """End the stream.

        :raises UnsupportedContent: a check failed; the text names it and says what to do.
        """
        try:
            if self._violation is not None:
                raise self._violation
            end = End(self._position, self._tail, bytes(self._region))
            for reading in self._readings:
                reading.finish(end)
            if not self._front_is_vhd:
                vhd.check_last_footer(self._tail)
        except Violation as exc:
            raise _refusal(exc) from exc


def check_last_footer(tail: bytes) -> None:
    """Check data without a known front whose end has the cookie of a VHD.

    :raises UnsupportedContent: it is a disk that depends on another one.
    """
    try:
        vhd.check_last_footer(tail)
    except Violation as exc:
        raise _refusal(exc) from exc


def refuse_told_descriptor() -> None:
    """Refuse text that programs read as a descriptor if they open it as a VMDK.

    :raises UnsupportedContent: always.
    """
    raise _refusal(refuse_descriptor())


def _refusal(violation: Violation) -> UnsupportedContent:
    advice = f" {violation.advice}" if violation.advice else ""
    return UnsupportedContent(f"The content is refused as unsafe: {violation}.{advice}")


def _read(front: bytes) -> list[Reading]:
    readings: list[Reading | None] = []
    if front.startswith(b"QFI\xfb"):
        readings.append(read_qcow2(front))
    elif front.startswith(b"QED\0"):
        raise others.refuse_qed()
    elif front.startswith((b"OOOM", b"MOOO")):
        raise others.refuse_cow()
    elif front.startswith(vhd.COOKIE):
        readings.append(vhd.read_vhd(front))
    elif front.startswith(b"vhdxfile"):
        readings.append(read_vhdx(front))
    elif front.startswith(b"LUKS\xba\xbe"):
        readings.append(others.read_luks(front))
    elif front.startswith(others.PARALLELS):
        readings.append(others.read_parallels(front))
    elif front.startswith(others.BOCHS):
        readings.append(others.read_bochs(front))
    elif front.startswith(others.CLOOP):
        readings += [read_vmdk(front), others.read_cloop(front)]  # a script may be a descriptor too
    else:
        readings.append(read_vmdk(front))
    if front.startswith(vdi.SIGNATURE, vdi.SIGNATURE_AT):
        readings.append(vdi.read_vdi(front))
    return [reading for reading in readings if reading is not None]
