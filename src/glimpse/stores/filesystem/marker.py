"""The marker: a file in each data directory, by which one that is not mounted is told from one that is empty.

It is written when a service starts with the directory for the first time. A directory without it that has not one of
the recorded images is taken for one that is not mounted, and gets none.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable

LOG = logging.getLogger(__name__)

#: No location can name it.
MARKER = ".glimpse-store"

_TEXT = b"Images of a Glimpse store lie here. Without this file the store takes the directory for not mounted.\n"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def expects_marker(store_id: str, directory: str, recorded: Iterable[str]) -> bool:
    """Look at the marker of a directory at start, and write it where it should be.

    ``recorded`` are paths of images that should be in the directory; they are asked for only without a marker.
    Returns whether the directory is to be used with a marker only.
    """
    if os.path.lexists(f"{directory}/{MARKER}"):
        return True
    known = list(recorded)
    if known and not any(os.path.lexists(path) for path in known):
        LOG.error(
            "Store %s: the directory %s has neither the file %s nor one of %d images that are recorded there, so it is "
            "not used. Mount its file system; if it is the right directory, create that file.",
            store_id, directory, MARKER, len(known),
        )  # fmt: skip
        return True
    try:
        with contextlib.suppress(FileExistsError):  # another worker was first
            fd = os.open(f"{directory}/{MARKER}", _CREATE, 0o644)
            try:
                os.write(fd, _TEXT)
                os.fsync(fd)
            finally:
                os.close(fd)
    except OSError as error:
        LOG.warning("Store %s: the file %s cannot be written in %s: %s", store_id, MARKER, directory, error.strerror)
        return False
    return True
