"""The part of an object that a reader delivers."""

from __future__ import annotations

from glimpse.errors import RangeNotSatisfiable


def span_length(size: int, offset: int, length: int | None) -> int:
    """Bytes from ``offset`` on, of an object of ``size`` bytes; ``length`` None means to the end.

    An empty object has one range, the empty one at offset 0.

    :raises RangeNotSatisfiable: the range is not within the object (``stores.base.Store.reader``).
    """
    wanted = size - offset if length is None else length
    if offset < 0 or wanted < 0 or offset + wanted > size or (offset >= size > 0):
        raise RangeNotSatisfiable(f"The range is not within the {size} bytes of the data.", size)
    return wanted
