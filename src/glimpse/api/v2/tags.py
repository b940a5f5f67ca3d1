"""``/v2/images/{id}/tags/{tag}``."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from glimpse.api.request import NO_CONTENT, Reply, Request
from glimpse.errors import Invalid
from glimpse.services.tags import add_tag, remove_tag


async def add(request: Request) -> Reply:
    """PUT: 204, even if the image already has the tag."""
    await request.blocking(add_tag, request.deps, request.context, request.params["image_id"], _tag(request))
    return NO_CONTENT


async def remove(request: Request) -> Reply:
    """DELETE: 204, or 404 if the image does not have the tag."""
    await request.blocking(remove_tag, request.deps, request.context, request.params["image_id"], _tag(request))
    return NO_CONTENT


def _tag(request: Request) -> str:
    """Return the tag from the raw path, because servers replace invalid UTF-8 in ``path`` with U+FFFD."""
    tag = request.params["tag"]
    if "\ufffd" not in tag:
        return tag
    raw: bytes = request.scope["raw_path"]
    try:
        return unquote_to_bytes(raw.rsplit(b"/", 1)[-1]).decode()
    except UnicodeDecodeError:
        raise Invalid("The tag in the path is not valid UTF-8.") from None
