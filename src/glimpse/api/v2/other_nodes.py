"""What requests take along to another node, and its answers (imports-and-stores 2.14)."""

from __future__ import annotations

from glimpse.api.request import RawHeaders, Reply, Request
from glimpse.auth.headers import IDENTITY_FIELDS
from glimpse.services.stage_forwarding import MARK, NodeAnswer, Passage

#: The header fields with the credentials of a caller, by authenticator. As in Glance, those of a service that acts for
#: a user are left out.
_CREDENTIALS = {
    "keystone": ("x-auth-token",),
    "basic": ("authorization",),
    "headers": ("x-auth-token", *sorted(IDENTITY_FIELDS - {"x-service-roles"})),
}


def passage_of(request: Request) -> Passage:
    """Return what a request takes along to another node."""
    names = _CREDENTIALS.get(request.settings.auth.kind, ())
    fields = {name: request.headers[name] for name in names if name in request.headers}
    return Passage(fields, was_forwarded=MARK in request.headers)


def passed_on(answer: NodeAnswer) -> Reply:
    """Return the answer of another node as that to the client; its request id is the one that the task has."""
    headers: RawHeaders = ()
    if answer.content_type is not None:
        headers += ((b"content-type", answer.content_type.encode("latin-1", "replace")),)
    if answer.request_id is not None:
        headers += ((b"x-openstack-request-id", answer.request_id.encode("ascii")),)
    return Reply(answer.status, answer.body, headers)
