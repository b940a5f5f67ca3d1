"""Keys, certificates and signatures of images, as ``openstack image create --sign-key-path`` makes them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.x509.oid import NameOID

HASHES = {
    "SHA-224": hashes.SHA224(),
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}


@dataclass(frozen=True)
class Signer:
    """A private key of one of the field's key types, and the certificate of its public half."""

    key_type: str
    key: Any
    certificate: x509.Certificate

    def properties(self, data: bytes, certificate_id: str, hash_method: str = "SHA-256") -> dict[str, str | None]:
        """The four properties of an image with ``data``."""
        digest = HASHES[hash_method]
        if self.key_type == "RSA-PSS":
            pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=padding.PSS.MAX_LENGTH)
            signature = self.key.sign(data, pss, digest)
        elif self.key_type == "DSA":
            signature = self.key.sign(data, digest)
        else:
            signature = self.key.sign(data, ec.ECDSA(digest))
        return {
            "img_signature": base64.b64encode(signature).decode(),
            "img_signature_hash_method": hash_method,
            "img_signature_key_type": self.key_type,
            "img_signature_certificate_uuid": certificate_id,
        }


def new_key(key_type: str) -> Any:
    """A private key of ``key_type``."""
    match key_type:
        case "RSA-PSS":
            return rsa.generate_private_key(65537, 2048)
        case "DSA":
            return dsa.generate_private_key(1024)
        case "ECC_SECP384R1":
            return ec.generate_private_key(ec.SECP384R1())
        case "ECC_SECP521R1":
            return ec.generate_private_key(ec.SECP521R1())
    raise ValueError(key_type)


def new_signer(
    key_type: str, *, name: str = "signer", issuer: Signer | None = None, days: int = 1, authority: bool = False
) -> Signer:
    """A new key with a certificate by ``issuer``, else by itself; negative ``days`` make it expired."""
    key = new_key(key_type)
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
    )
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True).add_extension(
            x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )  # fmt: skip
    return Signer(key_type, key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))
