"""The S3 operations that the driver needs, on one bucket."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from xml.sax.saxutils import escape

import msgspec

from glimpse.errors import AccessDenied, DataNotFound, DeletionDenied, StoreUnavailable
from glimpse.stores.base import Bytes
from glimpse.stores.connections import Answer, ConnectionFailed, Connections, Interruption, Stream
from glimpse.stores.s3.answers import UploadGone, child, code_of, elements, failure, is_error, unreachable, values
from glimpse.stores.s3.endpoint import DEFAULT_REGION, Endpoint
from glimpse.stores.s3.signing import Signer, canonical_query

#: Header of an object that tells which upload wrote it.
ATTEMPT = "x-amz-meta-glimpse-attempt"

#: Seconds for the answer to CompleteMultipartUpload, which may have to join 10,000 parts.
_COMPLETE_WAIT = 120.0

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Found(msgspec.Struct, frozen=True):
    """An object: its size in bytes, its entity tag, and the attempt that wrote it (None: unknown)."""

    size: int
    etag: str
    attempt: str | None


class Entry(msgspec.Struct, frozen=True):
    """An object in a list; ``modified_at`` in seconds since 1970."""

    key: str
    size: int
    modified_at: float


class Client:
    """Requests for objects of the bucket. All methods may raise StoreUnavailable, AccessDenied and StoreFull."""

    def __init__(self, endpoint: Endpoint, signer: Signer, connections: Connections, *, with_checksums: bool) -> None:
        """``with_checksums``: send a CRC-32 with each part."""
        self.endpoint = endpoint
        self._signer = signer
        self._connections = connections
        self._with_checksums = with_checksums
        self._store_id = endpoint.store_id

    def head(self, key: str) -> Found | None:
        """Return what the server says about an object; None if the object does not exist.

        :raises StoreUnavailable: among others, the bucket does not exist.
        """
        answer = self._call("HEAD", key)
        if answer.status == 404:
            # the answer to HEAD has no body, which would tell a missing object from a missing bucket
            self.require_bucket()
            return None
        self._require(answer)
        return Found(_length(answer.headers), answer.headers.get("etag", ""), answer.headers.get(ATTEMPT))

    def exists(self, key: str) -> bool:
        """Tell whether an object exists, also if the bucket does not."""
        answer = self._call("HEAD", key)
        if answer.status == 404:
            return False
        self._require(answer)
        return True

    def require_bucket(self) -> None:
        """:raises StoreUnavailable: the bucket does not exist."""
        answer = self._call("HEAD", "")
        if answer.status == 404:
            raise StoreUnavailable(f"The bucket of store {self._store_id} does not exist.")
        self._require(answer)

    def has_bucket(self) -> bool:
        """Tell whether the bucket exists."""
        return self.exists("")

    def create_bucket(self) -> None:
        """Create the bucket; nothing happens if the service has it already."""
        region = self.endpoint.region
        body = b""
        if region != DEFAULT_REGION:
            text = f'<CreateBucketConfiguration xmlns="{_NAMESPACE}"><LocationConstraint>{escape(region)}'
            body = f"{text}</LocationConstraint></CreateBucketConfiguration>".encode()
        answer = self._call("PUT", "", body=body)
        if code_of(answer) != "BucketAlreadyOwnedByYou":
            self._require(answer)

    def put(self, key: str, body: bytes) -> None:
        """Write a small object.

        :raises Duplicate: it exists.
        """
        self._require(self._call("PUT", key, headers={"if-none-match": "*"}, body=body))

    def get(self, key: str) -> bytes | None:
        """Return the content of a small object; None if the object does not exist."""
        answer = self._call("GET", key)
        if answer.status == 404:
            return None
        self._require(answer)
        return answer.body

    def open(self, key: str, headers: Mapping[str, str]) -> Stream:
        """Request an object; the body of the response is not read, unless it is an error.

        :raises DataNotFound: the object does not exist.
        """
        stream = self._open("GET", key, "", headers, b"")
        if stream.status not in {200, 206, 412, 416}:
            self._require(self._whole(stream))
        return stream

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it does not exist.

        :raises DeletionDenied: the service may not delete it.
        """
        try:
            self._require(self._call("DELETE", key))
        except DataNotFound:
            return
        except AccessDenied as error:
            raise DeletionDenied(str(error)) from error

    def create_upload(self, key: str, attempt: str) -> str:
        """Start a multipart upload and return its id."""
        headers = {ATTEMPT: attempt, "content-type": "application/octet-stream"}
        if self._with_checksums:
            headers["x-amz-checksum-algorithm"] = "CRC32"
        answer = self._require(self._call("POST", key, {"uploads": ""}, headers))
        upload_id = next(values(answer.body, "UploadId"), "")
        if not upload_id:
            raise StoreUnavailable(f"The server of store {self._store_id} started an upload without an id.")
        return upload_id

    def upload_part(
        self, key: str, upload_id: str, number: int, body: Bytes, interruption: Interruption
    ) -> tuple[str, str]:
        """Upload a part; return its entity tag and its checksum (empty without checksums).

        :raises UploadGone: the upload was aborted or completed.
        """
        headers: dict[str, str] = {}
        checksum = ""
        if self._with_checksums:
            checksum = b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
            headers["x-amz-checksum-crc32"] = checksum
        query = {"partNumber": str(number), "uploadId": upload_id}
        answer = self._call("PUT", key, query, headers, body, interruption=interruption)
        if answer.status == 404 and code_of(answer) != "NoSuchBucket":
            # radosgw says NoSuchKey
            raise UploadGone(f"The upload to store {self._store_id} was ended by somebody else.")
        self._require(answer)
        return answer.headers.get("etag", ""), checksum

    def complete_upload(self, key: str, upload_id: str, parts: list[tuple[str, str]]) -> None:
        """Make the object of these parts visible; servers that know conditional requests keep an existing object.

        :raises Duplicate: the object exists.
        :raises UploadGone: the upload was aborted, or completed before.
        """
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag>"
            + (f"<ChecksumCRC32>{checksum}</ChecksumCRC32>" if checksum else "")
            + "</Part>"
            for number, (etag, checksum) in enumerate(parts, 1)
        )
        body = f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{rows}</CompleteMultipartUpload>'.encode()
        headers = {"if-none-match": "*", "content-type": "application/xml"}
        answer = self._call("POST", key, {"uploadId": upload_id}, headers, body, wait=_COMPLETE_WAIT)
        if answer.status == 404 and code_of(answer) != "NoSuchBucket":
            raise UploadGone(f"The upload to store {self._store_id} was ended by somebody else.")
        self._require(answer)

    def abort_upload(self, key: str, upload_id: str) -> bool:
        """Abort an upload and remove its parts. Return False if the upload did not exist."""
        answer = self._call("DELETE", key, {"uploadId": upload_id})
        if answer.status == 404 and code_of(answer) != "NoSuchBucket":
            return False
        self._require(answer)
        return True

    def uploads(self, key: str) -> list[str]:
        """Return the ids of the unfinished uploads of an object."""
        query = {"uploads": "", "prefix": key}
        found: list[str] = []
        while True:
            answer = self._require(self._call("GET", "", query))
            found += [
                child(upload, "UploadId") for upload in elements(answer.body, "Upload") if child(upload, "Key") == key
            ]
            if next(values(answer.body, "IsTruncated"), "") != "true":
                return found
            query["key-marker"] = next(values(answer.body, "NextKeyMarker"), "")
            query["upload-id-marker"] = next(values(answer.body, "NextUploadIdMarker"), "")

    def uploaded_bytes(self, key: str, upload_id: str) -> int | None:
        """Return the bytes in the parts of an unfinished upload, None if it does not exist."""
        query = {"uploadId": upload_id}
        total = 0
        while True:
            answer = self._call("GET", key, query)
            if answer.status == 404:
                return None
            self._require(answer)
            total += sum(int(child(part, "Size") or 0) for part in elements(answer.body, "Part"))
            if next(values(answer.body, "IsTruncated"), "") != "true":
                return total
            query["part-number-marker"] = next(values(answer.body, "NextPartNumberMarker"), "")

    def objects(self, prefix: str = "") -> Iterator[Entry]:
        """Yield the objects whose keys begin with ``prefix``, in the order of the keys."""
        query = {"list-type": "2", "prefix": prefix}
        while True:
            answer = self._require(self._call("GET", "", query))
            for found in elements(answer.body, "Contents"):
                modified = datetime.fromisoformat(child(found, "LastModified").replace("Z", "+00:00"))
                yield Entry(child(found, "Key"), int(child(found, "Size")), modified.timestamp())
            if next(values(answer.body, "IsTruncated"), "") != "true":
                return
            query["continuation-token"] = next(values(answer.body, "NextContinuationToken"), "")

    def presigned(self, key: str, seconds: int) -> str:
        """Return a URL with which anybody can read an object for ``seconds``."""
        path = self.endpoint.path(key)
        query = self._signer.presigned_query(path, self.endpoint.authority, seconds, datetime.now(UTC))
        return f"{self.endpoint.url}{path}?{query}"

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()

    def _call(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Bytes = b"",
        *,
        wait: float | None = None,
        interruption: Interruption | None = None,
    ) -> Answer:
        text = canonical_query(query or {})
        return self._whole(self._open(method, key, text, headers or {}, body, wait, interruption))

    def _open(
        self,
        method: str,
        key: str,
        query: str,
        headers: Mapping[str, str],
        body: Bytes,
        wait: float | None = None,
        interruption: Interruption | None = None,
    ) -> Stream:
        path = self.endpoint.path(key)
        fields = {"host": self.endpoint.authority, **headers}
        signed = self._signer.headers(method, path, query, fields, datetime.now(UTC))
        url = f"{self.endpoint.url}{path}{query and '?' + query}"
        try:
            return self._connections.open(method, url, signed, body, wait=wait, interruption=interruption)
        except ConnectionFailed as error:
            raise unreachable(self._store_id, error) from error

    def _whole(self, stream: Stream) -> Answer:
        with stream:
            try:
                return stream.whole()
            except ConnectionFailed as error:
                raise unreachable(self._store_id, error) from error

    def _require(self, answer: Answer) -> Answer:
        if is_error(answer):
            raise failure(self._store_id, answer)
        return answer


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0
