"""The store of kind ``s3``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from glimpse.errors import RangeNotSatisfiable, StoreUnavailable
from glimpse.stores import object_errors
from glimpse.stores.argument_checks import check_names, span_length
from glimpse.stores.base import StoredObject, StoreMisconfigured
from glimpse.stores.connections import Connections, Limits, Stream
from glimpse.stores.s3.client import Client
from glimpse.stores.s3.endpoint import endpoint_of
from glimpse.stores.s3.options import S3Options
from glimpse.stores.s3.parts import MIB, part_sizes
from glimpse.stores.s3.reader import S3Reader, range_header, span_of
from glimpse.stores.s3.signing import Signer
from glimpse.stores.s3.uploads import Uploads
from glimpse.stores.s3.writer import S3Writer

_IMAGE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class S3Store:
    """Implements ``stores.base.Store`` and its abilities but ``AccessLists`` and ``MarkedStore``.

    An image is the object with its id as key. A multipart upload creates it; meanwhile there is an object
    ``.glimpse/<image id>/<attempt>``.
    """

    writable = True

    def __init__(self, store_id: str, options: S3Options, limits: Limits = Limits()) -> None:  # noqa: B008 - immutable
        """:raises StoreMisconfigured: an option is missing or wrong."""
        self.id = store_id
        endpoint = endpoint_of(store_id, options)
        access_key, secret_key = options.s3_store_access_key, options.s3_store_secret_key
        if not access_key or not secret_key:
            raise StoreMisconfigured(store_id, "s3_store_access_key and s3_store_secret_key must be set")
        certificates = options.s3_store_cacert or None
        if certificates and not Path(certificates).is_file():
            raise StoreMisconfigured(store_id, f"s3_store_cacert {certificates} is not a file")
        protected = options.s3_store_enable_data_integrity_protection
        self._reads_checksums = protected and options.s3_store_response_checksum_validation == "when_supported"
        self._client = Client(
            endpoint,
            Signer(access_key, secret_key, endpoint.region),
            Connections(limits, ca_file=certificates),
            with_checksums=protected and options.s3_store_request_checksum_calculation == "when_supported",
        )
        self._uploads = Uploads(store_id, self._client, create_bucket=options.s3_store_create_bucket_on_put)
        self._create_bucket = options.s3_store_create_bucket_on_put
        self._key_of = endpoint.key_of
        self.repaired = endpoint.without_credentials
        self._smallest_part = options.s3_store_large_object_chunk_size * MIB
        self._most_threads = options.s3_store_thread_pools
        self._threads: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._closed = False
        self.scheme = endpoint.scheme
        self._prefix = endpoint.url_prefix()
        self.url_prefixes = (self._prefix,)

    def writer(self, image_id: str, size: int | None, attempt: str) -> S3Writer:
        check_names(image_id, attempt)
        return S3Writer(
            self._uploads,
            self._uploads.begin(image_id, attempt),
            self._part_threads,
            part_sizes(size, self._smallest_part),
            most_threads=self._most_threads,
            size=size,
            url=self.url_of(image_id),
        )

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> S3Reader:
        key = self._key_of(url)
        if offset < 0 or (length is not None and length < 0):
            raise RangeNotSatisfiable("A byte range must not have negative numbers.")
        if length == 0:
            # an empty range cannot be requested
            return S3Reader(self._client, key, None, offset, span_length(self._size(key), offset, 0))
        headers = dict(range_header(offset, length))
        if self._reads_checksums:
            headers["x-amz-checksum-mode"] = "ENABLED"
        stream = self._client.open(key, headers)
        try:
            wanted = span_length(self._whole_size(stream, key, offset), offset, length)
        except BaseException:
            stream.close()
            raise
        return S3Reader(self._client, key, stream, offset, wanted)

    def size(self, url: str) -> int:
        return self._size(self._key_of(url))

    def delete(self, url: str) -> None:
        key = self._key_of(url)
        self._size(key)
        self._client.delete(key)

    def check_delete(self, url: str) -> None:
        """Tell whether the object exists. S3 does not tell whether the service may delete it."""
        self._size(self._key_of(url))

    def sweep(self, image_id: str, attempt: str, is_orphan: Callable[[str], bool] | None = None) -> bool:  # noqa: ARG002 - objects are marked
        check_names(image_id, attempt)
        return self._uploads.sweep(image_id, attempt)

    def objects(self) -> Iterator[StoredObject]:
        """See ``stores.base.Listing``. Objects whose names are not UUIDs belong to others."""
        yield from self._uploads.unfinished()
        for entry in self._client.objects():
            if _IMAGE_ID.fullmatch(entry.key):
                yield StoredObject(
                    image_id=entry.key, size=entry.size, modified_at=entry.modified_at, url=self._prefix + entry.key
                )

    def url_of(self, image_id: str) -> str:
        """See ``stores.base.Addressed``."""
        return self._prefix + image_id

    def probe(self) -> None:
        if not self._create_bucket:
            self._client.require_bucket()
        else:
            self._client.has_bucket()

    def asks_to_repair(self, url: str) -> bool:  # noqa: ARG002 - the text tells all
        """See ``stores.base.LocationRepair``."""
        return False

    def presigned_url(self, url: str, seconds: int) -> str:
        key = self._key_of(url)
        self._size(key)
        return self._client.presigned(key, seconds)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _whole_size(self, stream: Stream, key: str, offset: int) -> int:
        """Return the size of the object from the response to a request for a range from ``offset``."""
        if stream.status == 416:
            size = self._size(key)
            # raises, unless the object has just been replaced
            span_length(size, max(offset, size), None if size else 1)
        span = span_of(stream) if stream.status in {200, 206} else None
        if span is None or span[0] != offset:
            raise StoreUnavailable(f"The server of store {self.id} sent another range than requested.")
        return span[2]

    def _size(self, key: str) -> int:
        found = self._client.head(key)
        if found is None:
            raise object_errors.missing(self.id)
        return found.size

    def _part_threads(self) -> ThreadPoolExecutor:
        """Return the threads that upload parts; they are started by the first upload that needs them."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"Store {self.id} is closed.")
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._most_threads, f"s3-{self.id}")
            return self._threads
