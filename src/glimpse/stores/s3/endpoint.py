"""The server of a store, how requests name the bucket, and the URIs of its objects (store-formats 10.1)."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit

import msgspec

from glimpse.errors import ForeignLocation
from glimpse.stores.argument_checks import after_scheme, is_object_name, split_url
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.s3.options import SCHEMES, S3Options

#: Region that servers other than AWS accept, and the first one of AWS.
DEFAULT_REGION = "us-east-1"

_AWS_HOST = re.compile(r"(?:.+\.)?amazonaws\.com(?:\.cn)?")
_AWS_REGION = re.compile(r"s3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?")
#: Bucket names that may be part of a host name.
_DNS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go.

    ``authority`` is the host to connect to, with its port if it is not the usual one. ``root`` is the path of the
    bucket, quoted, without a final slash; empty if the bucket is in the host name. ``location_host`` is the part of the
    URIs between the scheme and the bucket; ``scheme`` is the one that Glance writes for this ``s3_store_host``.
    """

    store_id: str
    tls: bool
    authority: str
    root: str
    region: str
    bucket: str
    location_host: str
    scheme: str

    @property
    def url(self) -> str:
        """The URL of the server, without a path."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"

    def url_prefix(self) -> str:
        """Return what the URIs of this store begin with."""
        return f"{self.scheme}://{self.location_host}/{self.bucket}/"

    def path(self, key: str) -> str:
        """Return the quoted path of an object, or of the bucket for an empty ``key``."""
        return f"{self.root}/{quote(key, safe='/-_.~')}"

    def key_of(self, url: str) -> str:
        """Return the key of a location.

        Locations of Glance before 2026.1 contain ``<access key>:<secret key>@`` before the host. These are ignored, and
        the secret key may contain slashes.

        :raises ForeignLocation: it is not an object in the bucket of this store.
        """
        rest = after_scheme(url, SCHEMES, self.store_id)
        end = f"{self.location_host}/{self.bucket}/"
        before, _, key = rest.rpartition("/")
        before += "/"
        own = before == end or (before.endswith(f"@{end}") and ":" in before)
        if not own or not is_object_name(key):
            raise ForeignLocation(f"The location does not belong to store {self.store_id}.")
        return key

    def without_credentials(self, url: str) -> str | None:
        """Return a location without its credentials; None if it has no credentials or is not of this bucket."""
        try:
            key = self.key_of(url)
        except ForeignLocation:
            return None
        scheme, rest = split_url(url)
        plain = f"{self.location_host}/{self.bucket}/{key}"
        return None if rest == plain else f"{scheme}://{plain}"


def endpoint_of(store_id: str, options: S3Options) -> Endpoint:
    """Build the endpoint from the options of a store.

    :raises StoreMisconfigured: they are incomplete or contradict each other.
    """
    host_option = (options.s3_store_host or "").strip().rstrip("/")
    bucket = options.s3_store_bucket or ""
    if not host_option:
        raise StoreMisconfigured(store_id, "s3_store_host is not set")
    if not bucket:
        raise StoreMisconfigured(store_id, "s3_store_bucket is not set")
    if "/" in bucket:
        raise StoreMisconfigured(store_id, "s3_store_bucket must not contain a slash")
    given, separator, location_host = host_option.rpartition("://")
    given = given.lower()
    if separator and given not in {"http", "https"}:
        raise StoreMisconfigured(store_id, "s3_store_host must be a host or a URL with http or https")
    try:
        parts = urlsplit(f"//{location_host}")
        host, port = (parts.hostname or ""), parts.port
    except ValueError as error:
        raise StoreMisconfigured(store_id, "s3_store_host has an invalid port or address") from error
    if not host or parts.username is not None or parts.query or parts.fragment:
        raise StoreMisconfigured(
            store_id, "s3_store_host must be a host, optionally with a port and a path, and no more"
        )
    is_aws = _AWS_HOST.fullmatch(host) is not None
    tls = given == "https" or (not separator and is_aws)
    virtual = _is_virtual(store_id, options, bucket, is_aws=is_aws)
    name = f"{bucket}.{host}" if virtual else host
    default_port = 443 if tls else 80
    shown = f"[{name}]" if ":" in name else name
    base = quote(parts.path, safe="/-_.~%")
    return Endpoint(
        store_id=store_id,
        tls=tls,
        authority=shown if port in {None, default_port} else f"{shown}:{port}",
        root=base if virtual else f"{base}/{quote(bucket, safe='-_.~')}",
        region=options.s3_store_region_name or _region_of(host),
        bucket=bucket,
        location_host=location_host,
        scheme="s3+https" if given == "https" else "s3",
    )


def _is_virtual(store_id: str, options: S3Options, bucket: str, *, is_aws: bool) -> bool:
    chosen = options.s3_store_bucket_url_format
    dns_name = _DNS_NAME.fullmatch(bucket) is not None
    if chosen == "virtual" and not dns_name:
        raise StoreMisconfigured(
            store_id, "s3_store_bucket_url_format = virtual needs a bucket name of lower-case letters, digits and -"
        )
    if chosen == "virtual" and _is_address(options.s3_store_host or ""):
        raise StoreMisconfigured(store_id, "s3_store_bucket_url_format = virtual needs a host name, not an address")
    return chosen == "virtual" or (chosen == "auto" and is_aws and dns_name)


def _is_address(host: str) -> bool:
    name = urlsplit(host if "://" in host else f"//{host}").hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _region_of(host: str) -> str:
    found = _AWS_REGION.fullmatch(host)
    return found[1] if found else DEFAULT_REGION
