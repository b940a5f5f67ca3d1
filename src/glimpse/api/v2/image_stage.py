"""``PUT /v2/images/{id}/stage``: send the data of an image for a later import (images-api 4.3)."""

from __future__ import annotations

from glimpse.api.request import NO_CONTENT, Reply, Request
from glimpse.api.v2.image_data import declared_size, given_digests, is_by_sdk, receive, require_octets
from glimpse.domain.imports import GLANCE_DIRECT
from glimpse.errors import NotFound
from glimpse.services.staging import StageRequest, stage_image


async def stage(request: Request) -> Reply:
    """PUT: 204 once the data are staged and the image is uploading."""
    if GLANCE_DIRECT not in request.deps.import_methods.names:
        raise NotFound(f"Data cannot be staged: the import method {GLANCE_DIRECT} is not enabled.")
    require_octets(request)
    image_id = request.scope["path_params"]["image_id"]
    given = StageRequest(image_id, declared_size(request), given_digests(request), is_by_sdk(request))
    await receive(request, stage_image(request.deps, request.context, given))
    return NO_CONTENT
