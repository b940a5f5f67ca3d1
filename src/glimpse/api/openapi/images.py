"""Image records: list, create, show, change, delete (images-api 3.2 to 3.6)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import NO_CONTENT, Answer, Fragment, Operation, json_of, query, ref
from glimpse.domain.listing import SORT_KEYS
from glimpse.domain.patch import Draft
from glimpse.domain.status import MemberStatus, Visibility

TAG = "images"

_TEXT: Fragment = {"type": "string"}
_INTEGER: Fragment = {"type": "integer"}
_COUNT: Fragment = {"type": "integer", "minimum": 0}
_TEXTS: Fragment = {"type": "array", "items": _TEXT}
_OPERATORS = "Exact value; or `eq:value`; or `in:one,two`, where values with commas are in double quotes."
_MOMENT = "ISO 8601, optionally with `gt:`, `gte:`, `lt:`, `lte:`, `eq:` or `neq:` before it; default `eq:`."


def _page() -> tuple[Fragment, ...]:
    keys: Fragment = {"type": "string", "enum": sorted(SORT_KEYS)}
    directions: Fragment = {"type": "string", "enum": ["asc", "desc"]}
    return (
        query("limit", "Images per page, up to the service's maximum.", _COUNT),
        query("marker", "Id of the last image of the previous page.", _TEXT),
        query("sort", "`key[:direction]`, separated by commas; not together with `sort_key`.", _TEXT),
        query("sort_key", "Sort key; may be repeated.", {"type": "array", "items": keys}),
        query("sort_dir", "One direction for all keys, or one for each.", {"type": "array", "items": directions}),
    )


def _filters() -> tuple[Fragment, ...]:
    visibilities = [*(str(one) for one in Visibility), "all"]
    statuses = [*(str(one) for one in MemberStatus), "all"]
    texts = ("name", "id", "status", "container_format", "disk_format")
    exact = ("owner", "checksum", "os_hash_algo", "os_hash_value")
    numbers = ("size", "virtual_size", "min_disk", "min_ram")
    return (
        query("visibility", "Who can see the image.", {"type": "string", "enum": visibilities}),
        query("member_status", "Member status of images shared by others.", {"type": "string", "enum": statuses}),
        query("os_hidden", "`true`: list hidden images. `false`: list the others.", {"type": "boolean"}),
        query("protected", "Whether the image is protected from deletion.", {"type": "boolean"}),
        query("tag", "The image must have all these tags.", _TEXTS),
        *(query(name, _OPERATORS, _TEXT) for name in texts),
        *(query(name, "Exact value.", _TEXT) for name in exact),
        *(query(name, "Exact number.", _INTEGER) for name in numbers),
        *(query(f"{name}_{end}", "Inclusive.", _INTEGER) for name in numbers for end in ("min", "max")),
        *(query(name, _MOMENT, _TEXT) for name in ("created_at", "updated_at")),
        query(
            "properties", "Any other name: a custom property with exactly this value.",
            {"type": "object", "additionalProperties": _TEXT}, style="form", explode=True,
        ),
    )  # fmt: skip


IMAGES: Mapping[tuple[str, str], Operation] = {
    ("GET", "/images"): Operation(
        id="list_images", summary="List images, one page at a time", tag=TAG,
        parameters=(*_page(), *_filters()),
        answers={200: Answer(text="One page, with a link `next` to the next one.", content=json_of("Images"))},
        refusals=(403,),
    ),
    ("POST", "/images"): Operation(
        id="create_image", summary="Create an image record, without data", tag=TAG,
        body=json_of("ImageCreate"),
        answers={
            201: Answer(
                text="The new image.", content=json_of("Image"),
                headers=("Location", "OpenStack-image-import-methods", "OpenStack-image-store-ids"),
            ),
        },
        refusals=(403, 409),
    ),
    ("GET", "/images/{image_id}"): Operation(
        id="show_image", summary="Show an image", tag=TAG,
        answers={200: Answer(text="The image.", content=json_of("Image"))},
    ),
    ("PATCH", "/images/{image_id}"): Operation(
        id="update_image", summary="Change attributes and properties of an image", tag=TAG,
        body={Draft.DRAFT_10.value: ref("ImagePatch"), Draft.DRAFT_4.value: ref("ImagePatch20")},
        answers={200: Answer(text="The image after the change.", content=json_of("Image"))},
        refusals=(403, 409, 415),
    ),
    ("DELETE", "/images/{image_id}"): Operation(
        id="delete_image", summary="Delete an image and its data", tag=TAG,
        answers={204: NO_CONTENT},
        refusals=(403, 409),
    ),
}  # fmt: skip
