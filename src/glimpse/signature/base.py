"""The interface for image signatures (imports-and-stores 8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

#: The four properties of a signed image. With only three it counts as unsigned (imports-and-stores 13, quirk 45).
SIGNATURE: Final = "img_signature"
HASH_METHOD: Final = "img_signature_hash_method"
KEY_TYPE: Final = "img_signature_key_type"
CERTIFICATE: Final = "img_signature_certificate_uuid"
SIGNATURE_PROPERTIES: Final = (SIGNATURE, HASH_METHOD, KEY_TYPE, CERTIFICATE)

Properties = Mapping[str, str | None]


class KeyManagerCaller(msgspec.Struct, frozen=True, kw_only=True):
    """The identity for requests to the key manager; without a ``token``, the service's own."""

    token: str | None = None
    project_id: str | None = None
    user_id: str | None = None

    def __repr__(self) -> str:
        return f"KeyManagerCaller(project_id={self.project_id!r}, user_id={self.user_id!r})"


class SignatureVerifier(Protocol):
    """One verification. It gets all bytes of the data in order, from one thread at a time."""

    def update(self, batch: bytes | bytearray | memoryview) -> None:
        """Add the next bytes of the data; the buffer may be reused afterwards."""
        ...

    def verify(self) -> None:
        """Verify the signature; call once, after the last byte.

        :raises Invalid: the signature does not match the data and the certificate's key.
        """
        ...


class SignatureVerifiers(Protocol):
    """Creates a verifier for each upload of a signed image."""

    def open(self, properties: Properties, caller: KeyManagerCaller) -> SignatureVerifier:
        """Fetch the certificate from the key manager, and check it and the other properties.

        :raises Invalid: a property is invalid, or the certificate is not available or has another key type.
        :raises Unavailable: the key manager does not answer.
        """
        ...


def is_signed(properties: Properties) -> bool:
    """Tell whether an image with these properties is signed: all four are present, even if empty."""
    # for almost every image the first check is false
    return SIGNATURE in properties and all(name in properties for name in SIGNATURE_PROPERTIES)
