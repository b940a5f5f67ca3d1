"""The store protocol: bytes in, bytes out, invisible until committed.

Drivers only move bytes. Hashing, inspection, size checks, limits and metrics are implemented once, outside of the
drivers (``transfer/``, ``services/image_data.py``). Each driver passes ``tests/contract/stores`` against the real
system. All calls block and may run in any thread, for different objects concurrently.

There are two kinds of failures (``glimpse.errors``): ``Refused`` is permanent, ``StoreUnavailable`` is temporary. Every
call may raise either; the docstrings list the subclasses of ``Refused`` and the other errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

#: What a writer accepts: any flat bytes-like object.
Bytes = bytes | bytearray | memoryview


class StoreMisconfigured(Exception):
    """A store cannot work as configured; ``str(error)`` says which store and why."""

    def __init__(self, store_id: str, reason: str) -> None:
        """``reason`` continues the sentence ``store <id>: ``."""
        super().__init__(f"store {store_id}: {reason}")
        self.store_id = store_id
        self.reason = reason


class Placed(msgspec.Struct, frozen=True):
    """The result of a commit: the location URI and the driver's own location metadata."""

    url: str
    metadata: dict[str, object]


class Writer(Protocol):
    """One object being written by one thread. It ends with exactly one of commit and abort."""

    def write(self, data: Bytes) -> None:
        """Write all of ``data``; the caller may reuse the buffer when this returns.

        :raises StoreFull: no space is left.
        :raises AccessDenied: the service may not write to the store.
        :raises StoreUnavailable: the store is unavailable, or the attempt was swept.
        """
        ...

    def commit(self) -> Placed:
        """Make the object durable and visible under its final name, atomically.

        When this raises, nothing is visible and :meth:`abort` must be called.

        :raises Duplicate: an object of this name exists; it is not changed.
        :raises StoreFull: no space is left.
        :raises AccessDenied: the service may not write to the store.
        :raises StoreUnavailable: the store is unavailable, or the attempt was swept.
        """
        ...

    def abort(self) -> bool:
        """Remove the unfinished data. Safe to call twice, and after a commit that raised; never raises.

        Returns whether they are removed. If not, :meth:`Store.sweep` must remove them later.
        """
        ...


@runtime_checkable
class AdoptsFiles(Protocol):
    """Ability of writers that may make a local file the object, without a copy of its data."""

    def adopt(self, fd: int) -> bool:
        """Take over the complete file open as ``fd``, if that is possible; called at most once, before any write.

        True: the data of the object are those of the file, which nobody may change from now on. The writer then takes
        the same data in :meth:`Writer.write` as any other, but does not write them. The file keeps its other names, and
        an abort leaves it as it was but for its permissions. False: the writer works as if it had not been asked.

        :raises StoreFull: no space is left.
        :raises AccessDenied: the service may not write to the store.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...


@runtime_checkable
class LocalFile(Protocol):
    """Ability of readers, and of sources of bytes, that deliver exactly the content of one local file."""

    def fileno(self) -> int:
        """Return the descriptor of the file, which is open until the reader is closed."""
        ...


class Reader(Protocol):
    """A range of one object, read from its start to its end by one thread."""

    @property
    def length(self) -> int | None:
        """Total bytes that this reader delivers.

        None while the store cannot tell; known once :meth:`read` has returned empty bytes.
        """
        ...

    def read(self, size: int) -> bytes:
        """Return the next bytes, at least one and at most ``size``; empty only at the end of the range.

        A driver returns received data without copying: fewer bytes than ``size`` are better than joining chunks.

        :raises StoreUnavailable: reading failed for any reason, or the object ended before the range did.
        """
        ...

    def close(self) -> None:
        """Release the reader's resources. Safe to call twice; never raises."""
        ...


@runtime_checkable
class ReadsNow(Protocol):
    """Ability of readers that can tell which data are available without waiting, for example in the page cache."""

    def read_now(self, size: int) -> bytes | None:
        """Return up to ``size`` of the next bytes without waiting for a disk or a network; empty only at the end.

        None: no data are available without waiting, use :meth:`Reader.read`. The event loop calls this, never while
        another call of the reader is running.

        :raises StoreUnavailable: reading failed, or the object ended before the range did.
        """
        ...


class Store(Protocol):
    """One configured store.

    Creating the object opens nothing that a forked process must not share: no connection, no thread, no file that stays
    open. The first call that needs a connection opens it. The object can be created while the store is down; its calls
    raise StoreUnavailable until the store works, and need no new object when it works again.

    A store that acts in the name of the user finds the caller, with the token, in ``glimpse.context.CALLER`` when a
    writer or reader is opened and in each other call. It is None, or has no token, when a job runs.
    """

    @property
    def id(self) -> str:
        """The name of the store in the configuration; ``default`` without named stores."""
        ...

    @property
    def scheme(self) -> str:
        """Scheme of the location URIs that it writes, for example ``file``."""
        ...

    @property
    def writable(self) -> bool:
        """Whether the store accepts and deletes data. Fixed for the life of the object."""
        ...

    def writer(self, image_id: str, size: int | None, attempt: str) -> Writer:
        """Start an object for ``image_id`` of ``size`` bytes (None: unknown).

        ``attempt`` (letters and digits) distinguishes attempts for the same image; unfinished data are marked with it.

        :raises StoreFull: there is not enough space for ``size``.
        :raises Duplicate: an object of this image already exists.
        :raises Invalid: ``image_id`` or ``attempt`` is not valid in an object name.
        :raises StoreReadOnly: the store is read-only.
        :raises AccessDenied: the service may not write to the store.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open ``length`` bytes from ``offset`` (None: to the end).

        :raises DataNotFound: the object does not exist.
        :raises RangeNotSatisfiable: ``offset`` is at or beyond the end of a non-empty object, or the range extends
            beyond it.
        :raises ForeignLocation: the URI does not belong to this store.
        :raises AccessDenied: the service may not read from the store.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...

    def delete(self, url: str) -> None:
        """Delete an object permanently.

        :raises DataNotFound: the object does not exist.
        :raises DataInUse: something depends on it.
        :raises DeletionDenied: the service may not delete from the store.
        :raises ForeignLocation: the URI does not belong to this store.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...

    def size(self, url: str) -> int | None:
        """Return the size of an object in bytes; None if the store cannot tell. Such an object has no ranges.

        :raises DataNotFound: the object does not exist.
        :raises ForeignLocation: the URI does not belong to this store.
        :raises AccessDenied: the service may not read from the store.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...

    def sweep(self, image_id: str, attempt: str, is_orphan: Callable[[str], bool] | None = None) -> bool:
        """Remove everything that a dead writer of this attempt left: its unfinished data, and the object that it may
        have committed. Return whether there was anything.

        Objects of other attempts are kept. Where objects cannot be marked with their attempt, as on a file system
        without extended attributes, ``is_orphan`` tells whether the database no longer needs the object at a URL;
        without it such an object is kept as well, and a warning is logged.

        :raises Invalid: ``image_id`` or ``attempt`` is not valid in an object name.
        :raises AccessDenied: the service may not delete from the store.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...

    def close(self) -> None:
        """Release connections and threads when the service stops. Safe to call twice; never raises.

        Does not wait for calls that hang.
        """
        ...


T = TypeVar("T")


def ability(store: Store, protocol: type[T]) -> T | None:
    """Return the object through which ``store`` offers ``protocol``, None if it does not.

    ``protocol`` is one of the ability protocols below. Looks through wrappers, which keep the wrapped store as
    ``inner``; a wrapper that offers the ability itself takes precedence. Callers use no other way to find out.
    """
    found: object = store
    while found is not None:
        if isinstance(found, protocol):
            return found
        found = getattr(found, "inner", None)
    return None


@runtime_checkable
class DeletionCheck(Protocol):
    """Ability of stores that can tell before a deletion whether they would refuse it."""

    def check_delete(self, url: str) -> None:
        """Return if :meth:`Store.delete` would remove the object; change nothing.

        The result is valid only for the moment: a later deletion may still be refused. Data in a store that is not
        writable are never deleted, so callers do not ask such a store.

        :raises DataInUse: something depends on the object.
        :raises DeletionDenied: the service may not delete it.
        :raises DataNotFound: the object does not exist.
        :raises ForeignLocation: the URI does not belong to this store.
        :raises StoreUnavailable: the store cannot tell now.
        """
        ...


@runtime_checkable
class MarkedStore(Protocol):
    """Ability of stores that can tell a data directory that is missing from one that is empty."""

    def check_markers(self, recorded: Callable[[str], Sequence[str]]) -> None:
        """Look for the marker of each data directory, and write it at first use; called once, at start.

        ``recorded`` returns URIs of images in the database that begin with a prefix. From then on a directory without
        its marker is unavailable.
        """
        ...


@runtime_checkable
class Addressed(Protocol):
    """Ability of stores that know from the id of an image under which URI they would keep it, now and later."""

    def url_of(self, image_id: str) -> str:
        """Return the URI of the object of an image, whether or not it exists.

        :raises StoreUnavailable: the store cannot tell now.
        """
        ...


@runtime_checkable
class Unfinished(Protocol):
    """Ability of stores that let read what a writer has written whose process died before the commit."""

    def unfinished(self, image_id: str, attempt: str) -> Reader | None:
        """Open the unfinished data of an attempt, from their first to their last byte as of now; None: there are none.

        They can be read to their end although they are swept meanwhile.

        :raises Invalid: ``image_id`` or ``attempt`` is not valid in an object name.
        :raises AccessDenied: the service may not read from the store.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...


@runtime_checkable
class Prefixed(Protocol):
    """Ability of stores that know the URI prefixes of their own objects, which distinguish stores of the same kind."""

    @property
    def url_prefixes(self) -> tuple[str, ...]:
        """Prefixes including the final separator, with the scheme that the store writes."""
        ...


@runtime_checkable
class LocationRepair(Protocol):
    """Ability of stores that rewrite URIs of their objects which older versions of Glance wrote (store-formats 3)."""

    def asks_to_repair(self, url: str) -> bool:
        """Tell from the text alone whether :meth:`repaired` would ask the system, and may wait for it."""
        ...

    def repaired(self, url: str) -> str | None:
        """Return the URI in the form in which the store would write it today.

        None: it has this form already, or the object is not one of this store.

        :raises AccessDenied: the system does not let the service look at the object.
        :raises StoreUnavailable: the system does not work now.
        """
        ...


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object that a store lists.

    ``url`` is its location, or None for unfinished data, which have an ``attempt``. ``size`` is in bytes;
    ``modified_at`` in seconds since 1970 by the clock of the store.
    """

    image_id: str
    size: int
    modified_at: float
    url: str | None = None
    attempt: str | None = None


@runtime_checkable
class Listing(Protocol):
    """Ability of stores that can list their objects, for comparison with the database."""

    def objects(self) -> Iterator[StoredObject]:
        """Yield all objects and unfinished data of the service, in any order. The store's internal files, and foreign
        files whose names are not valid image ids, are left out.

        Objects that are added or removed during the iteration may or may not be included.

        :raises AccessDenied: the service may not list the store; at any step of the iteration.
        :raises StoreUnavailable: the store is unavailable; at any step of the iteration.
        """
        ...


@runtime_checkable
class Probed(Protocol):
    """Ability of stores that can find out cheaply whether their system works."""

    def probe(self) -> None:
        """Return if the system answers and accepts the credentials; at most a few small requests.

        :raises AccessDenied: the system refuses the credentials, or the service may not use the pool, bucket or
            container.
        :raises StoreUnavailable: the system is not working.
        """
        ...


@runtime_checkable
class Presigning(Protocol):
    """Ability of stores that can sign URLs with which clients read an object from the system itself."""

    def presigned_url(self, url: str, seconds: int) -> str | None:
        """Return a URL at which the object can be read for ``seconds``; None if the store is not set up for it.

        :raises DataNotFound: the object does not exist.
        :raises ForeignLocation: the URI does not belong to this store.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...


@runtime_checkable
class AccessLists(Protocol):
    """Ability of stores that keep objects in users' own accounts, where the system itself checks who may read."""

    def set_readers(self, url: str, projects: Sequence[str] | None) -> None:
        """Let these projects, and the owner, read the object; None: everybody.

        :raises DataNotFound: the object does not exist.
        :raises ForeignLocation: the URI does not belong to this store.
        :raises AccessDenied: the caller may not change who reads.
        :raises StoreUnavailable: the store is unavailable.
        """
        ...


@runtime_checkable
class ActsForUsers(Protocol):
    """Ability of stores that write with the token of a user."""

    @property
    def writes_for_jobs(self) -> bool:
        """Whether the store can write without a token too, in the name of a job's project. Fixed for its life."""
        ...
