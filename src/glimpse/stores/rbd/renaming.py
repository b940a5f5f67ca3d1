"""Renaming an image so that it never replaces another one, whatever happens at the same time.

The renaming of Ceph's library looks whether the new name is free and then takes it: of several at the same time, more
than one may succeed. This one makes the same changes to the same objects (the name, the directory of the pool, the old
name), but takes the name with an exclusive creation.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any, Final

from glimpse.stores.rbd.connection import Session

_DIRECTORY: Final = "rbd_directory"


def rename(session: Session, pool: Any, number: str, source: str, target: str) -> None:
    """Rename the image with the internal id ``number`` from ``source`` to ``target``.

    :raises Exception: an error of the libraries: EEXIST if ``target`` exists, ENOENT if ``source`` does not.
    """
    with session.rados.WriteOpCtx() as operation:
        operation.new(session.rados.LIBRADOS_CREATE_EXCLUSIVE)
        operation.write_full(_text(number))
        pool.operate_write_op(operation, _object_of(target))
    try:
        # one step, which fails if the image does not have the old name any more
        pool.execute(_DIRECTORY, "rbd", "dir_rename_image", _text(source) + _text(target) + _text(number))
    except session.rados.ObjectNotFound:
        _withdraw(session, pool, number, target)
        raise
    pool.remove_object(_object_of(source))


def _withdraw(session: Session, pool: Any, number: str, name: str) -> None:
    """Remove the name if it still refers to this image. If that fails, the next attempt finds that it dangles."""
    with session.rados.WriteOpCtx() as operation, suppress(*session.errors):
        operation.cmpext(_text(number), 0)
        operation.remove()
        pool.operate_write_op(operation, _object_of(name))


def _object_of(name: str) -> str:
    return f"rbd_id.{name}"


def _text(value: str) -> bytes:
    """Encode a string as Ceph does."""
    encoded = value.encode()
    return struct.pack("<I", len(encoded)) + encoded
