"""Image data (images-api 4)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.operation import NO_CONTENT, OCTETS, Answer, Fragment, Operation, header, query

TAG = "image data"

_BYTES: Fragment = {"type": "string", "format": "binary"}
_ABOUT = ("Accept-Ranges", "Content-MD5", "ETag")
_UNCHANGED = Answer(text="The data match `If-None-Match`.", headers=("ETag",))
_CONDITIONS = (
    header("If-Match", "Answer 412 unless the data have one of these entity tags.", {"type": "string"}),
    header("If-None-Match", "Answer 304 if the data have one of these entity tags.", {"type": "string"}),
)

IMAGE_DATA: Mapping[tuple[str, str], Operation] = {
    ("PUT", "/images/{image_id}/file"): Operation(
        id="upload_image", summary="Upload the data of an image", tag=TAG,
        parameters=(
            header("X-OpenStack-Image-Size", "Size of the data in bytes, for chunked bodies.", {"type": "integer"}),
            header("X-Image-Meta-Store", "Id of a named store.", {"type": "string"}),
        ),
        body={OCTETS: _BYTES},
        answers={204: NO_CONTENT},
        refusals=(403, 409, 410, 415),
    ),
    ("GET", "/images/{image_id}/file"): Operation(
        id="download_image", summary="Download the data of an image, or a range of them", tag=TAG,
        parameters=(
            query("prefer", "Ids of the stores to read from, separated by commas.", {"type": "string"}),
            header("Range", "A single range: `bytes=first-last`.", {"type": "string"}),
            header("If-Range", "Send the whole image unless it has this `ETag`.", {"type": "string"}),
            *_CONDITIONS,
        ),
        answers={
            200: Answer(text="All data.", content={OCTETS: _BYTES}, headers=_ABOUT),
            204: Answer(text="The image has no data."),
            206: Answer(text="The range.", content={OCTETS: _BYTES}, headers=(*_ABOUT, "Content-Range")),
            304: _UNCHANGED,
        },
        refusals=(403, 412, 416),
    ),
    ("HEAD", "/images/{image_id}/file"): Operation(
        id="image_data_head", summary="Length and entity tag of the data of an image", tag=TAG,
        parameters=(
            query("prefer", "Ids of the stores to read from, separated by commas.", {"type": "string"}),
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
