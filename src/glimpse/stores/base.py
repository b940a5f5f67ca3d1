"""A store as the service sees it: bytes in, bytes out, invisible until committed.

Drivers move bytes only. Hashing, inspection, size checks, limits and metrics are done once, outside
(``transfer/``, ``services/image_data.py``). Each driver passes ``tests/contract/stores`` against the real system.
All calls block and may run in any thread, different objects at the same time.

Failures are of two kinds (``glimpse.errors``): ``Refused`` is permanent, ``StoreUnavailable`` passes. Every call may
raise either; the docstrings say which subclasses of ``Refused`` and which other answers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

#: What a writer takes: anything flat that holds bytes.
Bytes = bytes | bytearray | memoryview


class StoreMisconfigured(Exception):
    """A store cannot work as it is configured; ``str(error)`` says which and why."""

    def __init__(self, store_id: str, reason: str) -> None:
        """``reason`` continues the sentence ``store <id>: ``."""
        super().__init__(f"store {store_id}: {reason}")
        self.store_id = store_id
        self.reason = reason


class Placed(msgspec.Struct, frozen=True):
    """Where a commit left the data: the location URI and the driver's own location metadata."""

    url: str
    metadata: dict[str, object]


class Writer(Protocol):
    """One object being written by one thread. Exactly one of commit and abort ends it."""

    def write(self, data: Bytes) -> None:
        """Take all of ``data``; the caller may reuse the buffer when this returns.

        :raises StoreFull: no space is left.
        :raises AccessDenied: the store does not let the service write.
        :raises StoreUnavailable: the store does not work now, or the attempt was swept.
        """
        ...

    def commit(self) -> Placed:
        """Make the object durable and visible under its final name, atomically.

        When this raises, nothing is visible and :meth:`abort` must be called.

        :raises Duplicate: an object of this name exists; it is left untouched.
        :raises StoreFull: no space is left.
        :raises AccessDenied: the store does not let the service write.
        :raises StoreUnavailable: the store does not work now, or the attempt was swept.
        """
        ...

    def abort(self) -> None:
        """Leave nothing behind. Safe to call twice, and after a commit that raised; never raises."""
        ...


class Reader(Protocol):
    """A range of one object, read from its start to its end by one thread."""

    @property
    def length(self) -> int | None:
        """Bytes that this reader delivers in all.

        None while the store cannot tell; known as soon as :meth:`read` has returned nothing.
        """
        ...

    def read(self, size: int) -> bytes:
        """Return the next bytes, at least one and at most ``size``; empty only at the end of the range.

        A driver returns what it has got as it is: fewer bytes than ``size`` are better than copying some together.

        :raises StoreUnavailable: reading failed for whatever reason, or the object ended before the range did.
        """
        ...

    def close(self) -> None:
        """Give back what the reader holds. Safe to call twice; never raises."""
        ...


@runtime_checkable
class ReadsNow(Protocol):
    """Of readers that can tell which data are at hand, for instance in the page cache."""

    def read_now(self, size: int) -> bytes | None:
        """Up to ``size`` of the next bytes, without waiting for a disk or a network; empty only at the end.

        None: no data are at hand, and :meth:`Reader.read` gets them. The event loop calls this, never while
        another call of the reader is running.

        :raises StoreUnavailable: reading failed, or the object ended before the range did.
        """
        ...


class Store(Protocol):
    """One configured store.

    Making the object opens nothing that a forked process must not share: no connection, no thread, no file that stays
    open. The first call that needs a connection opens it. A store that is down does not keep the object from being
    made; its calls raise StoreUnavailable until it works.
    """

    @property
    def id(self) -> str:
        """The name of the store in the configuration; ``default`` without named stores."""
        ...

    @property
    def scheme(self) -> str:
        """Scheme of the location URIs that it writes, for instance ``file``."""
        ...

    @property
    def writable(self) -> bool:
        """Whether the store takes new data, and deletes them. Fixed for the life of the object."""
        ...

    def writer(self, image_id: str, size: int | None, attempt: str) -> Writer:
        """Start an object for ``image_id`` of ``size`` bytes (None: unknown).

        ``attempt`` (letters and digits) tells this try from others of the same image; unfinished data bear it.

        :raises StoreFull: the size cannot fit.
        :raises Duplicate: an object of this image exists already.
        :raises Invalid: ``image_id`` or ``attempt`` cannot be part of a name in the store.
        :raises StoreReadOnly: the store never takes new data.
        :raises AccessDenied: the store does not let the service write.
        :raises StoreUnavailable: the store does not work now.
        """
        ...

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open ``length`` bytes from ``offset`` (None: to the end).

        :raises DataNotFound: there is no object.
        :raises RangeNotSatisfiable: ``offset`` is at or beyond the end (of an object that is not empty), or the
            range reaches beyond it.
        :raises ForeignLocation: the URI is not one of this store.
        :raises AccessDenied: the store does not let the service read.
        :raises StoreUnavailable: the store does not work now.
        """
        ...

    def delete(self, url: str) -> None:
        """Remove an object for good.

        :raises DataNotFound: there is no object.
        :raises DataInUse: something depends on it.
        :raises DeletionDenied: the store does not let the service delete.
        :raises ForeignLocation: the URI is not one of this store.
        :raises StoreUnavailable: the store does not work now.
        """
        ...

    def size(self, url: str) -> int | None:
        """Bytes of an object; None if the store cannot tell. Such an object can be read, but has no ranges.

        :raises DataNotFound: there is no object.
        :raises ForeignLocation: the URI is not one of this store.
        :raises AccessDenied: the store does not let the service look.
        :raises StoreUnavailable: the store does not work now.
        """
        ...

    def sweep(self, image_id: str, attempt: str, is_orphan: Callable[[str], bool] | None = None) -> bool:
        """Remove whatever a dead writer of this attempt left: its unfinished data, and the object that it may
        have committed. Returns whether there was anything.

        Objects of other attempts stay. Where objects cannot be marked with their attempt, as on a file system without
        extended attributes, ``is_orphan`` is asked whether the database has no use for the object at a URL; without
        it such an object stays as well, and the log says so.

        :raises Invalid: ``image_id`` or ``attempt`` cannot be part of a name in the store.
        :raises AccessDenied: the store does not let the service delete.
        :raises StoreUnavailable: the store does not work now.
        """
        ...

    def close(self) -> None:
        """Give back connections and threads, when the service stops. Safe to call twice; never raises.

        Does not wait for calls that hang.
        """
        ...


T = TypeVar("T")


def ability(store: Store, protocol: type[T]) -> T | None:
    """The object by which ``store`` offers ``protocol``, None if it does not offer it.

    ``protocol`` is one of the ability protocols below. Looks through wrappers, which keep the store that they wrap as
    ``inner``; a wrapper that offers the ability itself comes first. No caller asks in any other way.
    """
    found: object = store
    while found is not None:
        if isinstance(found, protocol):
            return found
        found = getattr(found, "inner", None)
    return None


@runtime_checkable
class DeletionCheck(Protocol):
    """Ability of stores that can say before a deletion whether they would refuse it."""

    def check_delete(self, url: str) -> None:
        """Return if :meth:`Store.delete` would remove the object; change nothing.

        The answer holds for now: a deletion that comes later may still be refused. Data in a store that is not
        writable are never deleted, so callers do not ask such a store.

        :raises DataInUse: something depends on the object.
        :raises DeletionDenied: the store would not let the service delete it.
        :raises DataNotFound: there is no object.
        :raises ForeignLocation: the URI is not one of this store.
        :raises StoreUnavailable: the store cannot tell now.
        """
        ...


@runtime_checkable
class MarkedStore(Protocol):
    """Ability of stores that can tell a place of data that is not there from one that is empty."""

    def check_markers(self, recorded: Callable[[str], Sequence[str]]) -> None:
        """Look for the marker of each place, and write it at first use; to be called once, at start.

        ``recorded`` gives URIs of images that begin with a text, as the database has them. From then on a place whose
        marker is missing is unavailable.
        """
        ...


@runtime_checkable
class Prefixed(Protocol):
    """Ability of stores that know how the URIs of their own objects begin, which tells stores of one kind apart."""

    @property
    def url_prefixes(self) -> tuple[str, ...]:
        """Beginnings up to and with a separator, of the scheme that the store writes."""
        ...


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object that a store lists.

    ``url`` is its location; None of unfinished data, which bear an ``attempt``. ``size`` in bytes; ``modified_at`` in
    seconds since 1970 by the clock of the store.
    """

    image_id: str
    size: int
    modified_at: float
    url: str | None = None
    attempt: str | None = None


@runtime_checkable
class Listing(Protocol):
    """Ability of stores that can list what they hold, so that it can be compared with what the database records."""

    def objects(self) -> Iterator[StoredObject]:
        """All objects and all unfinished data of the service, in any order; things that the store keeps for itself and
        files of others, whose names cannot be those of images, are left out.

        What comes or goes meanwhile may be among them or not.

        :raises AccessDenied: the store does not let the service look, at any step of the iteration.
        :raises StoreUnavailable: the store does not work now, at any step of the iteration.
        """
        ...
