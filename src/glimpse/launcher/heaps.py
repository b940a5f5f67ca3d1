"""The heaps of the C library, from which drivers and their libraries take the buffers of transfers."""

from __future__ import annotations

import ctypes
import os
from typing import Final

#: ``M_ARENA_MAX`` of glibc's malloc.h
_M_ARENA_MAX: Final = -8
_HEAPS: Final = 2
_VARIABLE: Final = "MALLOC_ARENA_MAX"


def limit_heaps() -> None:
    """Have all threads of this process and its children share two heaps, unless the environment says how many.

    By default glibc makes one for each thread, up to eight for each processor, and each keeps the memory of the largest
    transfer that it served. Does nothing with another C library.
    """
    if _VARIABLE in os.environ:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _HEAPS)
