"""What single-tenant and multi-tenant stores share: all calls of the store protocol for an account and a container."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from threading import Lock

import msgspec

from glimpse.errors import AccessDenied, DataNotFound, Duplicate, GlimpseError, StoreUnavailable
from glimpse.stores import object_errors
from glimpse.stores.argument_checks import check_names
from glimpse.stores.base import StoredObject, StoreMisconfigured
from glimpse.stores.connections import Connections, Limits
from glimpse.stores.swift import manifests, temporary_urls
from glimpse.stores.swift.account import Account
from glimpse.stores.swift.answers import failure
from glimpse.stores.swift.listing import listed
from glimpse.stores.swift.locations import MARKER, Place, segment_name, segment_prefix
from glimpse.stores.swift.options import MB, SwiftOptions
from glimpse.stores.swift.reader import SwiftReader, object_size, open_reader
from glimpse.stores.swift.writer import IN_FLIGHT, SEGMENT_BYTES, Ended, SwiftWriter, Target

LOG = logging.getLogger(__name__)

#: Threads of a store, for segments of uploads and for deletions.
_THREADS = 16
#: Times that a broken download is resumed, if the option asks for less.
_RESUMPTIONS = 3
#: Segments behind the last one of a listing that a sweep looks for, because the listing may be late.
_UNLISTED = IN_FLIGHT + 2


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What is not an option: time limits, and whether to use manifests by prefix in a cluster with static ones."""

    limits: Limits = Limits(silence=60, answer=60)
    by_prefix: bool = False


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """Where a new image goes. ``ended`` is called at the end of the upload, with whether it was committed."""

    account: Account
    place: Place
    url: str
    create_container: bool
    ended: Ended | None = None


class SwiftStore(ABC):
    """Implements ``stores.base.Store`` for the accounts that a subclass chooses."""

    scheme: str

    def __init__(self, store_id: str, options: SwiftOptions, tuning: Tuning) -> None:
        """:raises StoreMisconfigured: the file of certificates cannot be read."""
        ca_file = options.swift_store_cacert or None
        if ca_file and not os.path.isfile(ca_file):
            raise StoreMisconfigured(store_id, f"swift_store_cacert {ca_file} is not a file")
        self.id = store_id
        self.writable = True
        self.options = options
        self.connections = Connections(tuning.limits, verify=not options.swift_store_auth_insecure, ca_file=ca_file)
        self._tuning = tuning
        self._threads = ThreadPoolExecutor(_THREADS, f"swift-{store_id}")
        self._commits = _Locks()
        self._resumptions = max(_RESUMPTIONS, options.swift_store_retry_get_count)
        large = options.swift_store_large_object_size * MB - 1
        self._segment_bytes = min(SEGMENT_BYTES, options.swift_store_large_object_chunk_size * MB)
        self._single_bytes = min(self._segment_bytes, large)

    @abstractmethod
    def slot(self, image_id: str, size: int | None) -> Slot:
        """Choose where a new image goes."""

    @abstractmethod
    def locate(self, url: str, *, deleting: bool = False) -> tuple[Account, Place]:
        """Return the account and the place of a location.

        :raises ForeignLocation: it is not a location of this store.
        """

    @abstractmethod
    def sweep_place(self, image_id: str) -> tuple[Account, Place]:
        """Return where attempts of an image may have left data."""

    @abstractmethod
    def own_containers(self) -> Iterator[tuple[Account, str, str]]:
        """Yield account, container and prefix of locations of each container with images."""

    @abstractmethod
    def after_deletion(self, account: Account, place: Place) -> None:
        """Called after an image was deleted, or the data of an attempt."""

    def writer(self, image_id: str, size: int | None, attempt: str) -> SwiftWriter:
        check_names(image_id, attempt)
        slot = self.slot(image_id, size)
        try:
            self._begin(slot, image_id, attempt)
            target = Target(
                account=slot.account,
                place=slot.place,
                url=slot.url,
                attempt=attempt,
                threads=self._threads,
                segment_bytes=self._segment_bytes,
                single_bytes=self._single_bytes,
                seconds=self._tuning.limits.answer,
                commits=partial(self._commits.of, image_id),
                delete_all=self.delete_all,
                by_prefix=self._tuning.by_prefix,
                ended=slot.ended,
            )
            return SwiftWriter(target)
        except BaseException:
            if slot.ended is not None:
                slot.ended(committed=False)
            raise

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> SwiftReader:
        account, place = self.locate(url)
        return open_reader(account, place, offset, length, self._resumptions)

    def size(self, url: str) -> int | None:
        return object_size(*self.locate(url))

    def delete(self, url: str) -> None:
        account, place = self.locate(url, deleting=True)
        headers = account.head(place.path)
        if headers is None:
            raise object_errors.missing(self.id)
        manifests.delete_object(account, place, headers, self.delete_all)
        self.after_deletion(account, place)

    def check_delete(self, url: str) -> None:
        account, place = self.locate(url, deleting=True)
        if account.head(place.path) is None:
            raise object_errors.missing(self.id)

    def sweep(
        self,
        image_id: str,
        attempt: str,
        is_orphan: Callable[[str], bool] | None = None,  # noqa: ARG002 - every object has its mark
    ) -> bool:
        check_names(image_id, attempt)
        account, place = self.sweep_place(image_id)
        found = self._sweep(account, place, attempt)
        if found:
            self.after_deletion(account, place)
        return found

    def objects(self) -> Iterator[StoredObject]:
        for account, container, prefix in self.own_containers():
            yield from listed(account, container, prefix)

    def presigned_url(self, url: str, seconds: int) -> str | None:
        account, place = self.locate(url)
        if account.head(place.path) is None:
            raise object_errors.missing(self.id)
        return temporary_urls.signed(account, place, seconds)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.connections.close()

    def delete_all(self, account: Account, container: str, names: Iterable[str]) -> int:
        """Delete objects by name, several at the same time, and return how many there were.

        :raises GlimpseError: one of them could not be deleted; the others were tried.
        """

        def delete(name: str) -> bool:
            answer = account.persist("DELETE", Place(container, name).path)
            if answer.status not in {200, 204, 404}:
                raise failure(self.id, answer, deleting=True)
            return answer.status != 404

        try:
            pending = [self._threads.submit(copy_context().run, delete, name) for name in names]
        except RuntimeError as error:
            raise StoreUnavailable(f"Store {self.id} is closed.") from error
        count = 0
        failed: GlimpseError | None = None
        for future in pending:
            try:
                count += future.result()
            except GlimpseError as error:
                failed = error
                for other in pending:
                    other.cancel()
                break
        if failed is not None:
            raise failed
        return count

    def _begin(self, slot: Slot, image_id: str, attempt: str) -> None:
        """Put the marker of an attempt."""
        account, place = slot.account, slot.place
        if account.head(place.path) is not None:
            raise object_errors.duplicate(self.id, image_id)
        marker = Place(place.container, segment_name(image_id, attempt, MARKER))
        answer = account.request("PUT", marker.path, {"If-None-Match": "*"})
        if answer.status == 404:
            self._create_container(slot)
            answer = account.request("PUT", marker.path, {"If-None-Match": "*"})
        if answer.status == 404:
            raise StoreUnavailable(f"Store {self.id} has no container {place.container}: it was deleted meanwhile.")
        if answer.status == 412:
            raise Duplicate(f"Attempt {attempt} for image {image_id} already writes to store {self.id}.")
        if answer.status != 201:
            raise failure(self.id, answer)

    def _create_container(self, slot: Slot) -> None:
        container = slot.place.container
        if not slot.create_container:
            raise AccessDenied(
                f"Store {self.id} has no container {container}, and swift_store_create_container_on_put is not set."
            )
        answer = slot.account.request("PUT", Place(container, "").path.rstrip("/"), self.container_headers())
        if answer.status not in {201, 202, 204}:
            raise failure(self.id, answer)

    def container_headers(self) -> dict[str, str]:
        """Return the header fields of a new container."""
        return {}

    def _sweep(self, account: Account, place: Place, attempt: str) -> bool:
        marker = segment_name(place.name, attempt, MARKER)
        # the marker first: without it a commit of the attempt fails
        found = self.delete_all(account, place.container, [marker]) > 0
        headers = account.head(place.path, newest=True)
        if headers is not None and headers.get(manifests.ATTEMPT) == attempt:
            found = True
            try:
                manifests.delete_object(account, place, headers, self.delete_all)
            except DataNotFound:
                LOG.info("Store %s: image %s was deleted meanwhile", self.id, place.name)
        return self._sweep_segments(account, place, attempt) or found

    def _sweep_segments(self, account: Account, place: Place, attempt: str) -> bool:
        prefix = segment_prefix(place.name, attempt)
        names = [entry.name for entry in account.listing(place.container, prefix)]
        numbers = [int(name.removeprefix(prefix)) for name in names if name.removeprefix(prefix).isdigit()]
        count = self.delete_all(account, place.container, names)
        # the listing may be late: what it does not show yet has the next numbers
        last = max(numbers, default=MARKER)
        while True:
            names = [segment_name(place.name, attempt, last + number) for number in range(1, _UNLISTED + 1)]
            more = self.delete_all(account, place.container, names)
            count += more
            if not more:
                return count > 0
            last += _UNLISTED


class _Locks:
    """A lock for each key, which exists while it is used."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._locks: dict[str, tuple[Lock, int]] = {}

    @contextmanager
    def of(self, key: str) -> Generator[None]:
        """Hold the lock of ``key``."""
        with self._lock:
            lock, users = self._locks.get(key, (Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = (lock, users - 1)
