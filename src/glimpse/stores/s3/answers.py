"""What the error answers of S3 servers mean (store-formats 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from glimpse.errors import AccessDenied, Duplicate, GlimpseError, StoreFull, StoreUnavailable
from glimpse.stores import object_errors
from glimpse.stores.connections import Answer, ConnectionFailed

_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "InsufficientStorageSpace", "EntityTooLarge", "StorageFull"})
#: Client errors that pass: the clock is corrected, the other operation on the object ends, the bucket is created.
_PASSING = frozenset(
    {
        "RequestTimeTooSkewed", "RequestTimeout", "SlowDown", "OperationAborted", "ConditionalRequestConflict",
        "TooManyRequests", "Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable",
        "InternalError",
    }
)  # fmt: skip
_PASSING_STATUS = frozenset({408, 425, 429})
_ADVICE = {
    "RequestTimeTooSkewed": "the clocks of this host and of the server differ",
    "AuthorizationHeaderMalformed": "s3_store_region_name is probably wrong",
    "PermanentRedirect": "the bucket is at another host or in another region",
    "TemporaryRedirect": "the bucket is at another host or in another region",
    "InvalidObjectState": "the object is archived",
}  # fmt: skip


class UploadGone(StoreUnavailable):
    """The multipart upload does not exist: it was aborted or completed."""


class ServerSilent(StoreUnavailable):
    """The server takes or sends no data for too long."""


def is_error(answer: Answer) -> bool:
    """Tell whether an answer is an error, which CompleteMultipartUpload may also send after the status 200."""
    return answer.status >= 300 or b"<Error>" in answer.body[:512]


def code_of(answer: Answer) -> str:
    """Return the error code of an answer; empty if the answer has no code."""
    found = next(values(answer.body, "Code"), "") if answer.body else ""
    return found if _CODE.fullmatch(found) else ""


def elements(body: bytes, name: str) -> Iterator[ET.Element]:
    """Yield the elements called ``name`` of an XML document, in any namespace; none if it is not valid XML."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        return
    try:
        root = ET.fromstring(body)  # noqa: S314 - without a DTD there are no entities to expand
    except ET.ParseError:
        return
    for element in root.iter():
        if element.tag.rpartition("}")[2] == name:
            yield element


def values(body: bytes, name: str) -> Iterator[str]:
    """Yield the texts of the elements called ``name``."""
    for element in elements(body, name):
        yield element.text or ""


def child(element: ET.Element, name: str) -> str:
    """Return the text of a child of ``element``; empty if the child is missing."""
    return next((found.text or "" for found in element if found.tag.rpartition("}")[2] == name), "")


def failure(store_id: str, answer: Answer) -> GlimpseError:
    """Return the error that an error answer means; its message has the code of S3, but no key, host or credentials."""
    code = code_of(answer)
    said = f"{answer.status} {code}".strip()
    advice = f": {_ADVICE[code]}" if code in _ADVICE else ""
    if code == "NoSuchUpload":
        return UploadGone(f"The upload to store {store_id} was ended by somebody else.")
    if code == "NoSuchBucket":
        return StoreUnavailable(f"The bucket of store {store_id} does not exist.")
    if answer.status == 404:
        return object_errors.missing(store_id)
    if answer.status == 412:
        return Duplicate(f"Store {store_id} already has an object of this image.")
    if code in _FULL or answer.status in {413, 507}:
        return StoreFull(f"Store {store_id} has no space left ({said}).")
    if answer.status >= 500 or answer.status in _PASSING_STATUS or code in _PASSING or answer.status < 300:
        return StoreUnavailable(f"The server of store {store_id} answers {said}{advice}.")
    return AccessDenied(f"The server of store {store_id} refuses the request: {said}{advice}.")


def unreachable(store_id: str, error: ConnectionFailed) -> StoreUnavailable:
    """Return the error for a request without an answer, or one that broke off."""
    kind = ServerSilent if error.timed_out else StoreUnavailable
    return kind(f"The server of store {store_id} cannot be used: {error}.")
