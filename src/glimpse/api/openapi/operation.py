"""The declaration of an operation, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

#: A JSON schema, or another object of the document.
Fragment = dict[str, Any]

JSON = "application/json"
OCTETS = "application/octet-stream"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A success response. ``content`` has schemas by media type, ``headers`` has names from :data:`HEADERS`."""

    text: str
    content: Mapping[str, Fragment] = {}
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    ``refusals`` are error statuses besides those of every operation; path parameters follow from the path. ``body`` is
    the request content by media type, None if no body is accepted. ``public``: needs no credentials.
    """

    id: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    refusals: tuple[int, ...] = ()
    parameters: tuple[Fragment, ...] = ()
    body: Mapping[str, Fragment] | None = None
    public: bool = False


#: Description of each error status (images-api 7.2).
REFUSALS: Mapping[int, str] = {
    400: "The request is invalid: its syntax, a value, a filter, or a body that is not allowed.",
    401: "No valid credentials.",
    403: "The caller may not do this, or the attribute cannot be set.",
    404: "There is no such resource, or the caller does not see it.",
    405: "The path does not allow this method; `Allow` lists the allowed methods.",
    408: "The body did not arrive in time.",
    409: "The state of the resource does not allow it.",
    410: "The image was deleted meanwhile, or the store is read-only.",
    412: "The data do not match `If-Match`.",
    413: "A quota or a limit is reached.",
    415: "The media type, or the content of the image, is not accepted.",
    416: "The range is outside the data.",
    429: "Too many failed logins; try again after `Retry-After` seconds.",
    431: "The request id is too long.",
    503: "The service, or a service that it needs, is not available at the moment.",
}

#: Error statuses of every operation, of operations with a variable path, and of operations with a body. A variable part
#: may contain an encoded slash, and so lead to another path with other methods.
ALWAYS = (400, 401, 429, 431, 503)
OF_VARIABLE_PATHS = (404, 405)
OF_BODIES = (408, 413)

_TEXT: Fragment = {"type": "string"}

#: Response headers by name.
HEADERS: Mapping[str, Fragment] = {
    "Accept-Patch": {"description": "Media types that PATCH accepts.", "schema": _TEXT},
    "Accept-Ranges": {"description": "`bytes`.", "schema": _TEXT},
    "Allow": {"description": "Methods that the path allows.", "schema": _TEXT},
    "Content-Length": {"description": "Size of the data in bytes.", "schema": {"type": "integer"}},
    "Content-MD5": {"description": "MD5 of the whole image, in hex.", "schema": _TEXT},
    "Content-Range": {"description": "The range, and the size of the data.", "schema": _TEXT},
    "Repr-Digest": {"description": "Digests of the whole image that `Want-Repr-Digest` asks for.", "schema": _TEXT},
    "ETag": {"description": "Multihash of the whole image.", "schema": _TEXT},
    "Location": {"description": "URL of the new resource, or target of the redirect.", "schema": _TEXT},
    "OpenStack-image-import-methods": {"description": "Import methods, separated by commas.", "schema": _TEXT},
    "OpenStack-image-store-ids": {"description": "Ids of stores, separated by commas.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": _TEXT},
    "X-Openstack-Request-Id": {"description": "Id of the request, as in the log.", "schema": _TEXT},
}

#: Headers of error responses by status.
REFUSAL_HEADERS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    415: ("Accept-Patch",),
    416: ("Content-Range",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

NO_CONTENT = Answer(text="Success, without a body.")


def ref(name: str) -> Fragment:
    """Refer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(name: str) -> Mapping[str, Fragment]:
    """Return JSON content with the schema ``name``."""
    return {JSON: ref(name)}


def query(name: str, text: str, schema: Fragment, **more: object) -> Fragment:
    """Declare a query parameter."""
    return {"name": name, "in": "query", "description": text, "schema": schema, **more}


def header(name: str, text: str, schema: Fragment) -> Fragment:
    """Declare a request header."""
    return {"name": name, "in": "header", "description": text, "schema": schema}
