"""Image records: list, create, show, change, delete (images-api 3.2 to 3.6)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import NO_CONTENT, OCTETS, Answer, Fragment, Operation, header, json_of, query, ref
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


# ------------------------------------------------------------------------------------------ Image data (images-api 4)

DATA = "image data"

_BYTES: Fragment = {"type": "string", "format": "binary"}
_ABOUT = ("Accept-Ranges", "Content-MD5", "ETag", "Repr-Digest")
_UNCHANGED = Answer(text="The data match `If-None-Match`.", headers=("ETag",))
_CONDITIONS = (
    header("If-Match", "Answer 412 unless the data have one of these entity tags.", {"type": "string"}),
    header("If-None-Match", "Answer 304 if the data have one of these entity tags.", {"type": "string"}),
)

_PRESIGNED = {
    "type": "object",
    "properties": {
        "url": {"type": "string"},
        "expires_at": {"type": "string", "format": "date-time"},
        "size": {"type": ["integer", "null"]},
        "checksum": {"type": ["string", "null"]},
        "os_hash_algo": {"type": ["string", "null"]},
        "os_hash_value": {"type": ["string", "null"]},
    },
    "required": ["url", "expires_at", "size", "checksum", "os_hash_algo", "os_hash_value"],
}

_WANTED = header("Want-Repr-Digest", "Ask for digests in `Repr-Digest`: `sha-256=1`.", {"type": "string"})

_OF_THE_DATA = (
    header("X-OpenStack-Image-Size", "Size of the data in bytes, for chunked bodies.", {"type": "integer"}),
    header("Content-Digest", "Digests of the data: `sha-256=:…:`, `sha-512=:…:`.", {"type": "string"}),
    header("Repr-Digest", "As `Content-Digest`.", {"type": "string"}),
)

IMAGE_DATA: Mapping[tuple[str, str], Operation] = {
    ("PUT", "/images/{image_id}/file"): Operation(
        id="upload_image", summary="Upload the data of an image", tag=DATA,
        parameters=(
            *_OF_THE_DATA,
            header("X-Image-Meta-Store", "Id of a named store.", {"type": "string"}),
            header("Want-Repr-Digest", "Keep digests of the data: `sha-256=1`, `sha-512=1`.", {"type": "string"}),
        ),
        body={OCTETS: _BYTES},
        answers={204: NO_CONTENT},
        refusals=(403, 409, 410, 415),
    ),
    ("PUT", "/images/{image_id}/stage"): Operation(
        id="stage_image", summary="Send the data of an image for a later import", tag=DATA,
        parameters=_OF_THE_DATA,
        body={OCTETS: _BYTES},
        answers={204: NO_CONTENT},
        refusals=(403, 409, 410, 415),
    ),
    ("GET", "/images/{image_id}/file"): Operation(
        id="download_image", summary="Download the data of an image, or a range of them", tag=DATA,
        parameters=(
            query("prefer", "Ids of the stores to read from, separated by commas.", {"type": "string"}),
            query("presigned", "`true`: answer with a presigned URL as JSON if possible.", {"type": "boolean"}),
            header("Range", "A single range: `bytes=first-last`.", {"type": "string"}),
            header("If-Range", "Send the whole image unless it has this `ETag`.", {"type": "string"}),
            _WANTED,
            *_CONDITIONS,
        ),
        answers={
            200: Answer(
                text="All data; or where to read them.",
                content={OCTETS: _BYTES, "application/json": _PRESIGNED}, headers=_ABOUT,
            ),
            204: Answer(text="The image has no data."),
            206: Answer(text="The range.", content={OCTETS: _BYTES}, headers=(*_ABOUT, "Content-Range")),
            304: _UNCHANGED,
        },
        refusals=(403, 412, 416),
    ),
    ("HEAD", "/images/{image_id}/file"): Operation(
        id="image_data_head", summary="Length and entity tag of the data of an image", tag=DATA,
        parameters=(
            query("prefer", "Ids of the stores to read from, separated by commas.", {"type": "string"}),
            _WANTED,
            *_CONDITIONS,
        ),
        answers={
            200: Answer(text="The headers of a download of all data.", headers=(*_ABOUT, "Content-Length")),
            204: Answer(text="The image has no data."),
            304: _UNCHANGED,
        },
        refusals=(403, 412),
    ),
}  # fmt: skip


# ------------------- Tags, actions, members and locations of an image (images-api 3.7 to 3.9; imports-and-stores 5.3)

TAGS, ACTIONS, MEMBERS, LOCATIONS = "tags", "actions", "members", "locations"
IMPORTS, TASKS, REPORTS = "imports", "tasks", "metadefs"

_MEMBER = Answer(text="The member.", content=json_of("Member"))

IMAGE_PARTS: Mapping[tuple[str, str], Operation] = {
    ("PUT", "/images/{image_id}/tags/{tag}"): Operation(
        id="add_tag", summary="Add a tag to an image", tag=TAGS, answers={204: NO_CONTENT}, refusals=(403, 413),
    ),
    ("DELETE", "/images/{image_id}/tags/{tag}"): Operation(
        id="remove_tag", summary="Remove a tag from an image", tag=TAGS, answers={204: NO_CONTENT}, refusals=(403,),
    ),
    ("POST", "/images/{image_id}/actions/deactivate"): Operation(
        id="deactivate_image", summary="Deactivate an image, so that only administrators can download it", tag=ACTIONS,
        answers={204: NO_CONTENT}, refusals=(403, 409),
    ),
    ("POST", "/images/{image_id}/actions/reactivate"): Operation(
        id="reactivate_image", summary="Reactivate a deactivated image", tag=ACTIONS,
        answers={204: NO_CONTENT}, refusals=(403, 409),
    ),
    ("GET", "/images/{image_id}/members"): Operation(
        id="list_members", summary="List the projects that an image is shared with", tag=MEMBERS,
        answers={200: Answer(text="The members that the caller sees.", content=json_of("Members"))}, refusals=(403,),
    ),
    ("POST", "/images/{image_id}/members"): Operation(
        id="add_member", summary="Share an image with a project", tag=MEMBERS,
        body=json_of("MemberAdd"), answers={200: _MEMBER}, refusals=(403, 409),
    ),
    ("GET", "/images/{image_id}/members/{member_id}"): Operation(
        id="show_member", summary="Show a member", tag=MEMBERS, answers={200: _MEMBER}, refusals=(403,),
    ),
    ("PUT", "/images/{image_id}/members/{member_id}"): Operation(
        id="set_member_status", summary="Accept or reject an image that another project shares", tag=MEMBERS,
        body=json_of("MemberStatus"), answers={200: _MEMBER}, refusals=(403,),
    ),
    ("DELETE", "/images/{image_id}/members/{member_id}"): Operation(
        id="remove_member", summary="Stop sharing an image with a project", tag=MEMBERS,
        answers={204: NO_CONTENT}, refusals=(403,),
    ),
    ("GET", "/images/{image_id}/locations"): Operation(
        id="list_locations", summary="List the locations of an image; for services", tag=LOCATIONS,
        answers={200: Answer(text="The locations, best first.", content=json_of("Locations"))},
        refusals=(403,),
    ),
    ("POST", "/images/{image_id}/locations"): Operation(
        id="add_location", summary="Add a location to a queued image", tag=LOCATIONS,
        body=json_of("LocationAdd"), answers={202: Answer(text="A job adds the location.")}, refusals=(403, 409),
    ),
    ("POST", "/images/{image_id}/import"): Operation(
        id="import_image", summary="Import the data of an image into stores", tag=IMPORTS,
        parameters=(header("X-Image-Meta-Store", "The store, if the body names none.", {"type": "string"}),),
        body=json_of("ImageImport"), answers={202: Answer(text="A task imports the data.")}, refusals=(403, 409),
    ),
    ("GET", "/images/{image_id}/tasks"): Operation(
        id="list_image_tasks", summary="List the running and finished tasks of an image", tag=TASKS,
        answers={200: Answer(text="The tasks of the caller's project.", content=json_of("ImageTasks"))},
    ),
    ("POST", "/images/{image_id}/tasks/{task_id}/actions/retry"): Operation(
        id="retry_import", summary="Make the request of a failed import again", tag=TASKS,
        answers={202: Answer(text="A new task imports the data.")}, refusals=(403, 409, 413),
    ),
    ("GET", "/images/{image_id}/metadefs-report"): Operation(
        id="report_on_image", summary="Check the properties of an image against the metadata definitions",
        tag=REPORTS, answers={200: Answer(text="The report, an extension.", content=json_of("MetadefReport"))},
    ),
}  # fmt: skip
