"""Callers and images for policy tests: project ``mine`` owns the images, project ``other`` does not."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.clock import now
from glimpse.domain.image import Image
from glimpse.domain.status import Status, Visibility

MOMENT = now()


def caller(*roles: str, project: str | None = "mine", **other: object) -> Context:
    return Context(
        request_id="req-1",
        user_id="user-1",
        project_id=project,
        roles=frozenset(roles),
        is_admin="admin" in roles,
        **other,  # type: ignore[arg-type]
    )


def image(visibility: Visibility = Visibility.PRIVATE, owner: str | None = "mine", **other: object) -> Image:
    fields: dict[str, object] = {"id": "11111111-2222-3333-4444-555555555555", "status": Status.ACTIVE, **other}
    return Image(visibility=visibility, owner=owner, created_at=MOMENT, updated_at=MOMENT, **fields)  # type: ignore[arg-type]
