"""Signatures of images as the services see them (imports-and-stores 8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

#: The four properties of a signed image. With three of them it is not signed (imports-and-stores 13, quirk 45).
SIGNATURE: Final = "img_signature"
HASH_METHOD: Final = "img_signature_hash_method"
KEY_TYPE: Final = "img_signature_key_type"
CERTIFICATE: Final = "img_signature_certificate_uuid"
SIGNATURE_PROPERTIES: Final = (SIGNATURE, HASH_METHOD, KEY_TYPE, CERTIFICATE)

Properties = Mapping[str, str | None]


class KeyManagerCaller(msgspec.Struct, frozen=True, kw_only=True):
    """In whose name the key manager is asked for the certificate; without a ``token``, in the service's own."""

    token: str | None = None
    project_id: str | None = None
    user_id: str | None = None

    def __repr__(self) -> str:
        return f"KeyManagerCaller(project_id={self.project_id!r}, user_id={self.user_id!r})"


class SignatureVerifier(Protocol):
    """One verification. It is fed every byte of the data in order, by one thread at a time."""

    def update(self, batch: bytes | bytearray | memoryview) -> None:
        """The next bytes of the data; the buffer may be used again afterwards."""
        ...

    def verify(self) -> None:
        """Call once, after the last byte.

        :raises Invalid: the signature is not one of these data by the key of the certificate.
        """
        ...


class SignatureVerifiers(Protocol):
    """Makes a verifier for each upload of a signed image."""

    def open(self, properties: Properties, caller: KeyManagerCaller) -> SignatureVerifier:
        """Get the certificate, check it and the other properties; takes requests to the key manager.

        :raises Invalid: a property is not usable, or the certificate cannot be had or is not of the key type.
        :raises Unavailable: the key manager does not answer.
        """
        ...


def is_signed(properties: Properties) -> bool:
    """Whether the data of an image with these properties have to be verified: all four are there, even if empty."""
    # almost every image stops at the first
    return SIGNATURE in properties and all(name in properties for name in SIGNATURE_PROPERTIES)
