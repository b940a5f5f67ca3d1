"""The accounts of a store: credentials from its options or from the reference file (store-formats 7.5)."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from glimpse.settings.model import Secret
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.swift.options import SwiftOptions

AuthVersion = Literal["1", "2", "3"]


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """How to log in at ``auth_address``, a URL: with an application credential, or a user and a key.

    ``user`` is ``project:user``, unless ``project_name`` or ``project_id`` is set. ``trust_id``: the login is for that
    trust instead of a project.
    """

    auth_address: str
    user: str | None = None
    key: Secret | None = None
    project_name: str | None = None
    project_id: str | None = None
    application_credential_id: str | None = None
    application_credential_secret: Secret | None = None
    user_domain_id: str | None = None
    user_domain_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    auth_version: AuthVersion = "3"
    trust_id: str | None = None


class References(msgspec.Struct, frozen=True, kw_only=True):
    """``own``: the account of new images; None if a multi-tenant store has no credentials of the service.

    ``named``: the accounts of the reference file by section; empty without a reference file.
    """

    own: Credentials | None
    named: Mapping[str, Credentials]


def load(store_id: str, options: SwiftOptions) -> References:
    """Return the accounts that the options describe.

    :raises StoreMisconfigured: the options or the file are incomplete or contradictory.
    """
    if not options.swift_store_config_file:
        return References(own=_from_options(store_id, options), named={})
    if options.swift_store_multi_tenant:
        raise StoreMisconfigured(store_id, "swift_store_config_file cannot be used with swift_store_multi_tenant")
    named = _from_file(store_id, Path(options.swift_store_config_file))
    own = named.get(options.default_swift_reference)
    if own is None:
        raise StoreMisconfigured(
            store_id, f"swift_store_config_file has no section {options.default_swift_reference}, "
            "the default_swift_reference",
        )  # fmt: skip
    return References(own=own, named=named)


def _from_options(store_id: str, options: SwiftOptions) -> Credentials | None:
    credentials = options.swift_store_application_credential_id and options.swift_store_application_credential_secret
    if not options.swift_store_auth_address:
        if options.swift_store_multi_tenant:
            return None
        raise StoreMisconfigured(store_id, "swift_store_auth_address or swift_store_config_file is needed")
    if not (credentials or (options.swift_store_user and options.swift_store_key)):
        if options.swift_store_multi_tenant:
            return Credentials(auth_address=_url(options.swift_store_auth_address))
        raise StoreMisconfigured(store_id, "swift_store_user and swift_store_key, or an application credential, needed")
    return Credentials(
        auth_address=_url(options.swift_store_auth_address),
        user=options.swift_store_user or None,
        key=options.swift_store_key or None,
        project_name=options.swift_store_project_name or None,
        project_id=options.swift_store_project_id or None,
        application_credential_id=options.swift_store_application_credential_id or None,
        application_credential_secret=options.swift_store_application_credential_secret or None,
        auth_version=options.swift_store_auth_version,
    )


def _from_file(store_id: str, path: Path) -> dict[str, Credentials]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"swift_store_config_file {path} cannot be read: {error.strerror}"
        raise StoreMisconfigured(store_id, reason) from error
    except (configparser.Error, UnicodeDecodeError):
        # without the cause: it quotes the file, which contains passwords
        raise StoreMisconfigured(store_id, f"swift_store_config_file {path} is not an INI file") from None
    return {name: _reference(store_id, name, parser[name]) for name in parser.sections()}


def _reference(store_id: str, name: str, section: Mapping[str, str]) -> Credentials:
    values = {key: _unquoted(value) for key, value in section.items()}
    has_key = values.get("user") and values.get("key")
    has_application = values.get("application_credential_id") and values.get("application_credential_secret")
    if not values.get("auth_address") or not (has_key or has_application):
        raise StoreMisconfigured(
            store_id, f"section {name} of swift_store_config_file needs auth_address, and user and key or an "
            "application credential",
        )  # fmt: skip
    fields = {key: values[key] for key in Credentials.__struct_fields__ if values.get(key)}
    fields["auth_address"] = _url(fields["auth_address"])
    for field in ("auth_version", "trust_id"):
        fields.pop(field, None)
    for field in ("key", "application_credential_secret"):
        if field in fields:
            fields[field] = Secret(fields[field])
    return Credentials(**fields)  # pyright: ignore[reportArgumentType]  # the fields are texts


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _url(address: str) -> str:
    """Return the address of an identity service as a URL; without a scheme it is https, as in locations."""
    return address if "://" in address else f"https://{address}"
