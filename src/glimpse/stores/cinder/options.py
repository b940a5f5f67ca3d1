"""The options of a store of kind ``cinder``, with the names that Glance uses (store-formats 9.5)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from glimpse.settings.model import Secret

SCHEMES = ("cinder",)

_Text = Annotated[Secret, Meta(extra_json_schema={"type": "string"})]


class CinderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a store of kind ``cinder``. Times in seconds; an empty string means not set."""

    cinder_catalog_info: Annotated[
        str,
        Meta(
            description="Where the service catalog has Cinder: type, name (may be empty) and interface, separated by "
            "colons."
        ),
    ] = "volumev3::publicURL"
    cinder_endpoint_template: Annotated[
        str | None,
        Meta(
            description="URL of Cinder, instead of the one in the service catalog; `%(project_id)s` and `%(tenant)s` "
            "stand for the project, `%(user_id)s` for the user."
        ),
    ] = None
    cinder_os_region_name: Annotated[
        str | None, Meta(description="Region of Cinder in the service catalog. Not set: the first one.")
    ] = None
    cinder_ca_certificates_file: Annotated[
        str | None, Meta(description="File of CA certificates to trust for Cinder and Keystone (PEM).")
    ] = None
    cinder_api_insecure: Annotated[bool, Meta(description="Do not verify the certificates of Cinder and Keystone.")] = (
        False
    )
    cinder_http_retries: Annotated[
        int, Meta(ge=0, description="How often a request is repeated when the connection fails.")
    ] = 3
    cinder_state_transition_timeout: Annotated[
        int,
        Meta(ge=0, description="How long to wait until a volume has the expected status, or until it is attached."),
    ] = 300
    cinder_store_auth_address: Annotated[
        str | None,
        Meta(
            description="URL of Keystone for the service's own login. Without a complete login, the store acts with "
            "the token of the user."
        ),
    ] = None
    cinder_store_user_name: Annotated[str | None, Meta(description="User of the service's own login.")] = None
    cinder_store_user_domain_name: Annotated[str, Meta(description="Domain of that user.")] = "Default"
    cinder_store_password: Annotated[_Text | None, Meta(description="Password of that user.")] = None
    cinder_store_project_name: Annotated[
        str | None, Meta(description="Project of the service's own login, which then owns the volumes.")
    ] = None
    cinder_store_project_domain_name: Annotated[str, Meta(description="Domain of that project.")] = "Default"
    cinder_store_application_credential_id: Annotated[
        str | None, Meta(description="Application credential of the service, instead of user and password.")
    ] = None
    cinder_store_application_credential_secret: Annotated[
        _Text | None, Meta(description="Secret of the application credential.")
    ] = None
    rootwrap_config: Annotated[
        str,
        Meta(
            description="Configuration file of the root helper `sudo glance-rootwrap FILE`, which os-brick runs its "
            "commands with. If the value contains a blank, it is the whole command instead."
        ),
    ] = "/etc/glance/rootwrap.conf"
    cinder_volume_type: Annotated[
        str | None,
        Meta(
            description="Type of new volumes. Not set: Cinder's default. Also identifies the store of a location "
            "without a store id."
        ),
    ] = None
    cinder_enforce_multipath: Annotated[
        bool, Meta(description="Refuse to attach volumes if multipathd is not running.")
    ] = False
    cinder_use_multipath: Annotated[bool, Meta(description="Attach volumes through several paths.")] = False
    cinder_mount_point_base: Annotated[
        str,
        Meta(
            description="Directory below which shares are mounted, and where the store records its attachments. All "
            "workers of a host must share it."
        ),
    ] = "/var/lib/glance/mnt"
    cinder_do_extend_attached: Annotated[
        bool,
        Meta(
            description="Extend a volume while it is attached when an image of unknown size grows. False: detach it "
            "for each extension. The backend must support it."
        ),
    ] = False
    cinder_attachment_retry_attempts: Annotated[
        int, Meta(ge=1, description="How often an attachment is tried while the volume is in use elsewhere.")
    ] = 5
    cinder_store_timeout: Annotated[
        int,
        Meta(ge=1, description="Timeout of each request to Cinder, and of each read or write of an attached volume."),
    ] = 60

    @property
    def has_login(self) -> bool:
        """Whether the store has credentials of its own (store-formats 9.2)."""
        if not self.cinder_store_auth_address:
            return False
        if self.cinder_store_application_credential_id and self.cinder_store_application_credential_secret:
            return True
        return all((self.cinder_store_user_name, self.cinder_store_password, self.cinder_store_project_name))

    @property
    def root_helper(self) -> str:
        """The command that os-brick runs other commands with as root."""
        if " " in self.rootwrap_config.strip():
            return self.rootwrap_config.strip()
        return f"sudo glance-rootwrap {self.rootwrap_config}"
