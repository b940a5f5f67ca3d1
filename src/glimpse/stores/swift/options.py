"""The options of a store of kind ``swift``, with the names that Glance uses (store-formats 7.6)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from glimpse.settings.model import Secret

#: Schemes that are read; which of them is written depends on the options (store-formats 7.1).
SCHEMES = ("swift+https", "swift", "swift+http", "swift+config")

#: Bytes of one "MB" in the options: 1,000 × 1,024 (store-formats 7.3).
MB = 1_024_000


#: A secret in the options.
_Text = Annotated[Secret, Meta(extra_json_schema={"type": "string"})]


class SwiftOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``swift``. An empty string means not set."""

    default_swift_reference: Annotated[
        str, Meta(description="Section of swift_store_config_file with the account for new images.")
    ] = "ref1"
    swift_store_config_file: Annotated[
        str | None,
        Meta(
            description="INI file with one section of credentials for each account. With it, locations name the "
            "section and contain no credentials."
        ),
    ] = None
    swift_store_auth_address: Annotated[
        str | None, Meta(description="URL of the identity service, without swift_store_config_file.")
    ] = None
    swift_store_user: Annotated[
        str | None, Meta(description="User as project:user, without swift_store_config_file.")
    ] = None
    swift_store_key: Annotated[_Text | None, Meta(description="Password of swift_store_user.")] = None
    swift_store_project_name: Annotated[
        str | None, Meta(description="Project of the account, if swift_store_user does not name it.")
    ] = None
    swift_store_project_id: Annotated[
        str | None, Meta(description="Id of the project of the account; takes precedence over its name.")
    ] = None
    swift_store_auth_version: Annotated[
        Literal["1", "2", "3"],
        Meta(description="Version of the identity API: 3 or 2 for Keystone, 1 for tempauth and compatible ones."),
    ] = "3"
    swift_store_application_credential_id: Annotated[
        str | None, Meta(description="Id of an application credential; takes precedence over user and key.")
    ] = None
    swift_store_application_credential_secret: Annotated[
        _Text | None, Meta(description="Secret of the application credential.")
    ] = None
    swift_store_container: Annotated[
        str, Meta(description="Container of new images, or the beginning of its name with several containers.")
    ] = "glance"
    swift_store_create_container_on_put: Annotated[
        bool, Meta(description="Create a missing container at upload; otherwise the upload is refused.")
    ] = False
    swift_store_large_object_size: Annotated[
        int,
        Meta(
            ge=1,
            description="In units of 1,024,000 bytes: images of this size and more are stored in segments. Images of "
            "more than 16 MiB are stored in segments in any case.",
        ),
    ] = 5120
    swift_store_large_object_chunk_size: Annotated[
        int,
        Meta(
            ge=1,
            description="Maximum size of a segment, in units of 1,024,000 bytes. Segments have at most 16 MiB in any "
            "case, because they are sent from memory.",
        ),
    ] = 200
    swift_store_multi_tenant: Annotated[
        bool, Meta(description="Store each image in a container of its own in the account of the uploading project.")
    ] = False
    swift_store_multiple_containers_seed: Annotated[
        int,
        Meta(
            ge=0, le=32, description="Number of digits of the image id that select one of several containers. 0: one."
        ),
    ] = 0
    swift_store_admin_tenants: Annotated[
        tuple[str, ...], Meta(description="Projects that may write to all containers, with swift_store_multi_tenant.")
    ] = ()
    swift_store_use_trusts: Annotated[
        bool,
        Meta(
            description="With swift_store_multi_tenant: use a Keystone trust for uploads, so that they may take longer "
            "than the user's token is valid."
        ),
    ] = True
    swift_store_region: Annotated[str | None, Meta(description="Region of the endpoint in the service catalog.")] = None
    swift_store_service_type: Annotated[
        str, Meta(description="Service type of the endpoint in the service catalog.")
    ] = "object-store"
    swift_store_endpoint_type: Annotated[
        Literal["publicURL", "adminURL", "internalURL"],
        Meta(description="Interface of the endpoint in the service catalog."),
    ] = "publicURL"
    swift_store_endpoint: Annotated[
        str | None, Meta(description="URL up to the container, instead of the endpoint in the service catalog.")
    ] = None
    swift_store_auth_insecure: Annotated[
        bool, Meta(description="Do not verify the certificates of the identity service and of Swift.")
    ] = False
    swift_store_cacert: Annotated[
        str | None, Meta(description="File of CA certificates to trust (PEM), instead of those of the system.")
    ] = None
    swift_store_ssl_compression: Annotated[
        bool, Meta(description="Without effect: TLS compression is insecure and never used.")
    ] = True
    swift_store_retry_get_count: Annotated[
        int,
        Meta(
            ge=0,
            description="How often a broken download is resumed at the byte reached; at least 3 times in any case.",
        ),
    ] = 0
    swift_store_expire_soon_interval: Annotated[
        int, Meta(ge=0, description="Seconds before its expiry at which a token is renewed.")
    ] = 60
    swift_buffer_on_upload: Annotated[
        bool, Meta(description="Without effect: segments are kept in memory until they are stored, and sent again.")
    ] = False
    swift_upload_buffer_dir: Annotated[str | None, Meta(description="Without effect, see swift_buffer_on_upload.")] = (
        None
    )
