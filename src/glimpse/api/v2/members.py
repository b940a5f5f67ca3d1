"""``/v2/images/{id}/members`` and ``/v2/images/{id}/members/{member}`` (images-api 3.9)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from glimpse.api.json_body import json_object
from glimpse.api.request import NO_CONTENT, Reply, Request, json_reply
from glimpse.domain.clock import wire_time
from glimpse.domain.image import MEMBER_LENGTH, Member
from glimpse.domain.limits import check_text
from glimpse.domain.status import MemberStatus
from glimpse.errors import Invalid
from glimpse.services.members import add_member, list_members, remove_member, set_member_status, show_member

_encode = msgspec.json.Encoder().encode
_STATUSES = {status.value: status for status in MemberStatus}


async def list_(request: Request) -> Reply:
    """GET: 200 with the members that the caller sees."""
    members = await request.blocking(list_members, request.deps, request.context, request.params["image_id"])
    documents = [member_document(member) for member in members]
    return json_reply(_encode({"members": documents, "schema": "/v2/schemas/members"}))


async def add(request: Request) -> Reply:
    """POST: 200 with the new member."""
    member_id = _member_id(await _document(request))
    image_id = request.params["image_id"]
    member = await request.blocking(add_member, request.deps, request.context, image_id, member_id)
    await request.give_readers(image_id)
    return _one(member)


async def show(request: Request) -> Reply:
    """GET: 200 with one member."""
    image_id, member_id = _names(request)
    return _one(await request.blocking(show_member, request.deps, request.context, image_id, member_id))


async def set_status(request: Request) -> Reply:
    """PUT: 200 with the changed member."""
    status = _status(await _document(request))
    image_id, member_id = _names(request)
    member = await request.blocking(set_member_status, request.deps, request.context, image_id, member_id, status)
    await request.give_readers(image_id)
    return _one(member)


async def remove(request: Request) -> Reply:
    """DELETE: 204."""
    image_id, member_id = _names(request)
    await request.blocking(remove_member, request.deps, request.context, image_id, member_id)
    await request.give_readers(image_id)
    return NO_CONTENT


def member_document(member: Member) -> dict[str, object]:
    """Return a member with its fields in the API's order."""
    return {
        "member_id": member.member_id,
        "image_id": member.image_id,
        "status": member.status,
        "created_at": wire_time(member.created_at),
        "updated_at": wire_time(member.updated_at),
        "schema": "/v2/schemas/member",
    }


def _one(member: Member) -> Reply:
    return json_reply(_encode(member_document(member)))


def _names(request: Request) -> tuple[str, str]:
    return request.params["image_id"], request.params["member_id"]


async def _document(request: Request) -> Mapping[str, object]:
    return await request.read(partial(json_object, max_bytes=request.settings.limits.max_json_body))


def _member_id(document: Mapping[str, object]) -> str:
    member_id = document.get("member")
    if not isinstance(member_id, str) or not 0 < len(member_id) <= MEMBER_LENGTH:
        raise Invalid(f"The key 'member' must be a project id of 1 to {MEMBER_LENGTH} characters.")
    check_text("member", member_id)
    return member_id


def _status(document: Mapping[str, object]) -> MemberStatus:
    status = document.get("status")
    known = _STATUSES.get(status) if isinstance(status, str) else None
    if known is None:
        raise Invalid(f"The key 'status' must be one of {', '.join(_STATUSES)}.")
    return known
