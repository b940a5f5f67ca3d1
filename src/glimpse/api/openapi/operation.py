"""What is declared about an operation, and the parts that declarations are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

#: A JSON schema, or another object of the document.
Fragment = dict[str, Any]

JSON = "application/json"
OCTETS = "application/octet-stream"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A successful answer. ``content`` are schemas by media type, ``headers`` names of :data:`HEADERS`."""

    text: str
    content: Mapping[str, Fragment] = {}
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    ``refusals`` are statuses beside those that every operation has; path parameters follow from the path. ``body`` is
    the content of the request by media type, None where none is taken. ``public``: needs no identity.
    """

    id: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    refusals: tuple[int, ...] = ()
    parameters: tuple[Fragment, ...] = ()
    body: Mapping[str, Fragment] | None = None
    public: bool = False


#: What each status of a refusal means here (images-api 7.2).
REFUSALS: Mapping[int, str] = {
    400: "The request is wrong in itself: syntax, a value, a filter, a body where none is taken.",
    401: "No valid identity.",
    403: "The caller may not do this, or the attribute cannot be set.",
    404: "There is no such resource, or the caller does not see it.",
    405: "The path does not take this method; `Allow` says which it takes.",
    408: "The body stopped coming.",
    409: "The state of the resource does not allow it.",
    410: "The image was deleted meanwhile, or the store takes no data.",
    412: "The data are not those of `If-Match`.",
    413: "A quota or a limit is reached.",
    415: "The media type, or the content of the image, is not taken.",
    416: "The range lies outside the data.",
    429: "Too many failed logins; `Retry-After` says when to try again.",
    431: "The request id is too long.",
    503: "A part that is needed does not answer now.",
}

#: Refusals of every operation, of those with a variable path, and of those with a body. A variable part may hold an
#: encoded slash, and lead to another path with other methods.
ALWAYS = (400, 401, 429, 431, 503)
OF_VARIABLE_PATHS = (404, 405)
OF_BODIES = (408, 413)

_TEXT: Fragment = {"type": "string"}

#: Headers of answers by name.
HEADERS: Mapping[str, Fragment] = {
    "Accept-Patch": {"description": "Media types that PATCH takes.", "schema": _TEXT},
    "Accept-Ranges": {"description": "`bytes`.", "schema": _TEXT},
    "Allow": {"description": "Methods that the path takes.", "schema": _TEXT},
    "Content-Length": {"description": "Bytes of the data.", "schema": {"type": "integer"}},
    "Content-MD5": {"description": "MD5 of the whole image, in hex.", "schema": _TEXT},
    "Content-Range": {"description": "Which bytes of how many these are.", "schema": _TEXT},
    "ETag": {"description": "Multihash of the whole image.", "schema": _TEXT},
    "Location": {"description": "URL of the new resource, or of the one to go to.", "schema": _TEXT},
    "OpenStack-image-import-methods": {"description": "Import methods, separated by commas.", "schema": _TEXT},
    "OpenStack-image-store-ids": {"description": "Ids of stores, separated by commas.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds after which it makes sense to try again.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to prove an identity.", "schema": _TEXT},
    "X-Openstack-Request-Id": {"description": "Id of the request; log lines have it.", "schema": _TEXT},
}

#: Headers of refusals by status.
REFUSAL_HEADERS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    415: ("Accept-Patch",),
    416: ("Content-Range",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

NO_CONTENT = Answer(text="Done; nothing to say.")


def ref(name: str) -> Fragment:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(name: str) -> Mapping[str, Fragment]:
    """Content in JSON of the schema ``name``."""
    return {JSON: ref(name)}


def query(name: str, text: str, schema: Fragment, **more: object) -> Fragment:
    """A parameter of the query string."""
    return {"name": name, "in": "query", "description": text, "schema": schema, **more}


def header(name: str, text: str, schema: Fragment) -> Fragment:
    """A header of the request."""
    return {"name": name, "in": "header", "description": text, "schema": schema}
