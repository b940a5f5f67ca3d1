"""Which part of an image's data a download asks for."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from glimpse.errors import Invalid, RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII | re.IGNORECASE)
_CONTENT_RANGE: Final = re.compile(r"bytes[ \t]+([0-9]+)-([0-9]+)/([0-9]+|\*)", re.ASCII | re.IGNORECASE)
#: No size has more digits than this, and no header may make the service parse a number of thousands of them.
_MAX_DIGITS: Final = 20


class ByteRange(msgspec.Struct, frozen=True):
    """``length`` bytes from ``start``, all of them within the data."""

    start: int
    length: int

    def content_range(self, size: int) -> str:
        """The response header ``Content-Range`` for this part of ``size`` bytes."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def strong_etag(os_hash_value: str | None, checksum: str | None) -> str | None:
    """The entity tag of an image's data, from the best digest that there is; None without one."""
    digest = os_hash_value or checksum
    return f'"{digest}"' if digest else None


def requested_range(
    *, range_: str | None, content_range: str | None, if_range: str | None, size: int, etag: str | None
) -> ByteRange | None:
    """The range that a request asks for, of data of ``size`` bytes; None means the whole (images-api 4.4).

    ``range_``, ``content_range`` and ``if_range`` are the request headers of these names, None where absent.
    ``Content-Range`` in a request is an old way to ask and counts without ``Range`` only. ``If-Range`` with
    anything but the strong entity tag ``etag`` (another tag, a weak one, a date) makes ``Range`` void.

    :raises Invalid: several ranges.
    :raises RangeNotSatisfiable: the range is malformed, in another unit, or outside the data.
    """
    if range_ is not None:
        if if_range is not None and if_range.strip() != etag:
            return None
        return _from_range(range_.strip(), size)
    if content_range is not None:
        return _from_content_range(content_range.strip(), size)
    return None


def _from_range(text: str, size: int) -> ByteRange | None:
    if "," in text:
        raise Invalid("Several ranges in one request are not supported.")
    found = _RANGE.fullmatch(text)
    if found is None or found.group(1, 2) == ("", ""):
        raise RangeNotSatisfiable("The Range header is not a single byte range.", size)
    first, last = found.group(1, 2)
    if not first:
        return _last_bytes(_number(last), size)
    start = _number(first)
    end = _number(last) if last else max(start, size - 1)
    if end < start or start >= size:
        raise RangeNotSatisfiable(f"The range is outside the {size} bytes of the data.", size)
    return ByteRange(start, min(end, size - 1) - start + 1)


def _last_bytes(count: int, size: int) -> ByteRange | None:
    """The last ``count`` bytes; 0, and more than there are, mean all. Of no bytes there is no part: the whole."""
    if size == 0:
        return None
    length = min(count, size) or size
    return ByteRange(size - length, length)


def _from_content_range(text: str, size: int) -> ByteRange:
    found = _CONTENT_RANGE.fullmatch(text)
    if found is None:
        raise RangeNotSatisfiable("The Content-Range header is not a single byte range.", size)
    first, last, total = found.groups()
    start, end = _number(first), _number(last)
    if end < start or end >= size or (total != "*" and end >= _number(total)):
        raise RangeNotSatisfiable(f"The range is outside the {size} bytes of the data.", size)
    return ByteRange(start, end - start + 1)


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _MAX_DIGITS else 10**_MAX_DIGITS
