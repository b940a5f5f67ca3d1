"""The options of a store of kind ``s3``, with the names that Glance uses (store-formats 10.3)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from glimpse.settings.model import Secret

#: Schemes that are read; ``s3`` or ``s3+https`` is written.
SCHEMES = ("s3", "s3+http", "s3+https")

WhenChecked = Literal["when_required", "when_supported"]


class S3Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``s3``; an empty string means not set."""

    s3_store_host: Annotated[
        str | None,
        Meta(
            description="Server of the store, as host, host:port or URL, for example `https://s3.example.org`. Without "
            "a scheme HTTP is used, and HTTPS for hosts of amazonaws.com. Required."
        ),
    ] = None
    s3_store_region_name: Annotated[
        str,
        Meta(description="Region to sign requests for. Empty: read from a host name of AWS, else us-east-1."),
    ] = ""
    s3_store_access_key: Annotated[Secret | None, Meta(description="Access key of the service. Required.")] = None
    s3_store_secret_key: Annotated[Secret | None, Meta(description="Secret key of the service. Required.")] = None
    s3_store_bucket: Annotated[str | None, Meta(description="Bucket of the images. Required.")] = None
    s3_store_create_bucket_on_put: Annotated[
        bool, Meta(description="Create the bucket with the first upload if it does not exist.")
    ] = False
    s3_store_bucket_url_format: Annotated[
        Literal["auto", "virtual", "path"],
        Meta(
            description="Where requests name the bucket: in the host name (virtual) or in the path. auto: virtual for "
            "hosts of amazonaws.com, else path."
        ),
    ] = "auto"
    s3_store_large_object_size: Annotated[
        int,
        Meta(ge=0, description="Accepted for compatibility and not used: every image is a multipart upload."),
    ] = 100
    s3_store_large_object_chunk_size: Annotated[
        int,
        Meta(
            ge=5,
            description="Smallest size of the parts of an upload, in MiB. Large images get larger parts, so that there "
            "are at most 10,000.",
        ),
    ] = 10
    s3_store_thread_pools: Annotated[
        int,
        Meta(
            ge=1,
            description="Parts that a process uploads at the same time, for all uploads to this store together. One "
            "upload has as many parts in flight as fit into 50 MiB.",
        ),
    ] = 10
    s3_store_cacert: Annotated[
        str,
        Meta(description="File of CA certificates to trust (PEM). Empty: those of the system."),
    ] = ""
    s3_store_enable_data_integrity_protection: Annotated[
        bool, Meta(description="Use the two following options. If false, both count as when_required.")
    ] = False
    s3_store_request_checksum_calculation: Annotated[
        WhenChecked,
        Meta(
            description="when_supported: send a CRC-32 with each part, which the server compares with the data it "
            "received. when_required: send none."
        ),
    ] = "when_required"
    s3_store_response_checksum_validation: Annotated[
        WhenChecked,
        Meta(
            description="when_supported: ask for the checksum of an image that is read, and compare it when the image "
            "was read as a whole. when_required: do not."
        ),
    ] = "when_required"
