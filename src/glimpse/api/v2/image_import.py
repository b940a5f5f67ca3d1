"""``POST /v2/images/{id}/import`` (imports-and-stores 2.3)."""

from __future__ import annotations

from functools import partial

from glimpse.api.json_body import json_value
from glimpse.api.request import Reply, Request
from glimpse.api.v2.image_data import is_by_sdk
from glimpse.api.v2.other_nodes import passage_of, passed_on
from glimpse.domain.imports import ImportRequest, import_request
from glimpse.services.image_import import import_image

#: Maximum size of a request in bytes. Tasks keep their request, and a list has up to 1,000 complete tasks.
LONGEST = 64 << 10


async def start(request: Request) -> Reply:
    """POST: 202 without a body once the job is recorded, or if there is nothing to copy; or what the node answers that
    has the staged data.
    """
    offered = request.deps.import_methods
    longest = min(LONGEST, request.settings.limits.max_json_body)

    def decode(body: bytes) -> ImportRequest:
        return import_request(json_value(body, max_bytes=longest), offered)

    asked = await request.read(decode)
    image_id, header_store = request.params["image_id"], request.headers.get("x-image-meta-store")
    # the host name of a URI is resolved, or another node is asked, which may take long
    start_import = partial(import_image, by_sdk=is_by_sdk(request))
    answer = await request.storing(
        start_import, request.deps, request.context, image_id, asked, header_store, passage_of(request)
    )
    return Reply(202) if answer is None else passed_on(answer)
