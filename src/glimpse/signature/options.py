"""The options of signature verification (configuration 5.8)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

#: Sections that the key manager's library reads.
LIBRARY_SECTIONS = ("key_manager", "barbican", "barbican_service_user", "vault")


class SignatureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``trusted_certificates`` are ids in the key manager.

    With them, a signing certificate must be in force and lead to one of them; without, as in Glance, nobody looks
    at its dates and issuer. ``library`` holds the texts of :data:`LIBRARY_SECTIONS`; they contain passwords and
    are therefore not shown.
    """

    trusted_certificates: tuple[str, ...] = ()
    library: Mapping[str, Mapping[str, str]] = {}

    def __repr__(self) -> str:
        return f"SignatureOptions(trusted_certificates={self.trusted_certificates!r})"
