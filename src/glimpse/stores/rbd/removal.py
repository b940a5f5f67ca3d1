"""Removing images: deletion with its checks, and what a dead attempt left (store-formats 8.4)."""

from __future__ import annotations

import errno
import logging
import struct
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

from glimpse.errors import DataInUse, DataNotFound, GlimpseError, StoreUnavailable
from glimpse.stores.rbd.ceph_errors import delete_error, in_use, number_of
from glimpse.stores.rbd.connection import Session
from glimpse.stores.rbd.uri import SNAPSHOT, unfinished_name

LOG = logging.getLogger(__name__)

#: Key of an image's metadata that names the attempt that wrote it.
ATTEMPT_KEY: Final = "glimpse_attempt"

#: The object of a pool that lists the clones of format 1 in it, by their parents.
_CHILDREN: Final = "rbd_children"
#: Enough for the number at the beginning of an answer, and many clones.
_ANSWER_BYTES: Final = 64 << 10


def delete(session: Session, pool: Any, name: str, snapshot: str | None) -> None:
    """Delete an image permanently, with its snapshot. One that has clones of format 2 goes to the pool's trash, and
    what refuses the deletion leaves the image as it was.

    :raises DataNotFound: the image does not exist.
    :raises DataInUse: the snapshot has clones of format 1, or a client has opened the image for writing.
    :raises DeletionDenied: the user may not delete it.
    :raises StoreUnavailable: the cluster does not answer.
    """
    with session.translated(delete_error):
        try:
            _require_unwatched(session, pool, name)
            dropped = snapshot is not None and _drop_snapshot(session, pool, name, snapshot)
        except session.rbd.ImageNotFound:
            remove_dangling(session, pool, name)
            raise
        try:
            _remove_or_trash(session, pool, name)
        except session.errors as error:
            if dropped and number_of(error) == errno.EBUSY:
                _restore_snapshot(session, pool, name, snapshot)
            raise


def check(session: Session, pool: Any, name: str, snapshot: str | None) -> None:
    """Return if :func:`delete` would remove the image; change nothing.

    :raises DataNotFound: the image does not exist.
    :raises DataInUse: the snapshot has clones of format 1, or a client has opened the image for writing.
    :raises StoreUnavailable: the cluster does not answer.
    """
    with session.translated(delete_error):
        _require_unwatched(session, pool, name)
        with opened(session, pool, name) as image:
            if snapshot is None or not _has_snapshot(image, snapshot):
                return
            parent = image.id().encode()
            key = struct.pack(
                f"<qI{len(parent)}sQ", pool.get_pool_id(), len(parent), parent, image.snap_get_id(snapshot)
            )
        for other in session.connection.pool_names():
            if _lists_clones(session, other, key):
                raise in_use(session.store_id)


def remove_attempt(session: Session, pool: Any, image_id: str, attempt: str) -> bool:
    """Remove the unfinished data of an attempt, then the image that it may have committed; tell whether there was
    anything.

    :raises StoreUnavailable: another process is still writing, or the cluster does not answer.
    :raises DeletionDenied: the user may not delete.
    """
    unfinished = unfinished_name(image_id, attempt)
    with session.translated(delete_error):
        found = exists(session, pool, unfinished)
    try:
        # its end may say that there is nothing: an image that is being renamed has two names
        with suppress(DataNotFound):
            delete(session, pool, unfinished, SNAPSHOT)
        with session.translated(delete_error):
            if _attempt_of(session, pool, image_id) != attempt:
                # an interrupted renaming leaves a second name for the image that is now gone
                if found:
                    remove_dangling(session, pool, image_id)
                return found
        with suppress(DataNotFound):
            delete(session, pool, image_id, SNAPSHOT)
            found = True
    except DataInUse as error:
        raise StoreUnavailable(
            f"An upload to store {session.store_id} that should have ended is still open in another process."
        ) from error
    return found


def remove_dangling(session: Session, pool: Any, name: str) -> bool:
    """Remove a name that refers to no image; tell whether no image has this name.

    :raises Exception: an error of the libraries.
    """
    if exists(session, pool, name):
        return False
    # removes what exists, and raises ImageNotFound all the same
    with suppress(session.rbd.ImageNotFound):
        session.rbd.RBD().remove(pool, name)
    return True


def exists(session: Session, pool: Any, name: str) -> bool:
    """Tell whether an image of this name exists.

    :raises Exception: an error of the libraries.
    """
    try:
        session.image(pool, name).close()
    except session.rbd.ImageNotFound:
        return False
    return True


def remove_objects(session: Session, pool_number: int, prefix: str, count: int) -> None:
    """Remove the first ``count`` data objects of an image that does not exist any more.

    :raises StoreUnavailable: the cluster does not answer.
    """
    with session.translated(delete_error):
        pool = session.connection.pool(session.connection.pool_name(pool_number))
        for number in range(count):
            with suppress(session.rados.ObjectNotFound):
                pool.remove_object(f"{prefix}.{number:016x}")


@contextmanager
def opened(
    session: Session, pool: Any, name: str, snapshot: str | None = None, *, read_only: bool = True
) -> Generator[Any]:
    """Open an image for a moment.

    :raises Exception: an error of the libraries.
    """
    image = session.image(pool, name, snapshot, read_only=read_only)
    try:
        yield image
    except BaseException:
        # the first error counts
        with suppress(GlimpseError):
            session.close_image(image)
        raise
    session.close_image(image)


def is_ours(image: Any) -> bool:
    """Tell whether an open image is one of an image service: it has the snapshot, or the mark of an attempt."""
    return _has_snapshot(image, SNAPSHOT) or any(key == ATTEMPT_KEY for key, _ in image.metadata_list())


def _require_unwatched(session: Session, pool: Any, name: str) -> None:
    # an image that is opened to be read has no watcher
    with opened(session, pool, name) as image:
        if list(image.watchers_list()):
            raise in_use(session.store_id)


def _has_snapshot(image: Any, snapshot: str) -> bool:
    return any(found["name"] == snapshot for found in image.list_snaps())


def _drop_snapshot(session: Session, pool: Any, name: str, snapshot: str) -> bool:
    """Unprotect and remove a snapshot; tell whether it existed. If it cannot be removed it is protected again."""
    with opened(session, pool, name, read_only=False) as image:
        if not _has_snapshot(image, snapshot):
            return False
        protected = image.is_protected_snap(snapshot)
        if protected:
            image.unprotect_snap(snapshot)
        try:
            image.remove_snap(snapshot)
        except session.errors:
            if protected:
                _attempt_to_protect(session, image, snapshot)
            raise
    return True


def _restore_snapshot(session: Session, pool: Any, name: str, snapshot: str | None) -> None:
    """Make the snapshot of an unchanged image again."""
    try:
        with opened(session, pool, name, read_only=False) as image:
            image.create_snap(snapshot)
            image.protect_snap(snapshot)
    except session.errors as error:
        LOG.error("Store %s: the snapshot of image %s could not be restored: %s", session.store_id, name, error)  # noqa: TRY400 - the message is complete


def _attempt_to_protect(session: Session, image: Any, snapshot: str) -> None:
    try:
        image.protect_snap(snapshot)
    except session.errors as error:
        LOG.error("Store %s: a snapshot could not be protected again: %s", session.store_id, error)  # noqa: TRY400 - the message is complete


def _remove_or_trash(session: Session, pool: Any, name: str) -> None:
    rbd = session.rbd.RBD()
    try:
        rbd.remove(pool, name)
    except session.rbd.ImageHasSnapshots:
        rbd.trash_move(pool, name, 0)


def _lists_clones(session: Session, pool: str, key: bytes) -> bool:
    """Tell whether a pool has clones of format 1 of the snapshot that ``key`` names."""
    try:
        _, answer = session.connection.pool(pool).execute(_CHILDREN, "rbd", "get_children", key, _ANSWER_BYTES)
    except session.rados.ObjectNotFound:
        return False
    (count,) = struct.unpack_from("<I", answer)
    return count > 0


def _attempt_of(session: Session, pool: Any, name: str) -> str | None:
    """Return the attempt that wrote an image; None if the image does not exist, or Glance wrote it."""
    try:
        with opened(session, pool, name) as image:
            return image.metadata_get(ATTEMPT_KEY)
    except (session.rbd.ImageNotFound, KeyError):
        return None
