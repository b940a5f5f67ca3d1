"""Signed images: Nova verifies them with ``trusted_image_certificates``, Glimpse at the upload."""

from __future__ import annotations

import base64
import datetime
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note
from tests.interop.consumers.images import OCTETS, replace
from tests.interop.consumers.rigs import rig_dir


@dataclass(frozen=True)
class Holder:
    """A key with its certificate, which the key manager of the rig has under ``id``."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    id: str


def new_holder(place: Path, name: str, issuer: Holder | None = None) -> Holder:
    """A new key; without an issuer an authority that signs itself."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now, is_authority = datetime.datetime.now(datetime.UTC), issuer is None
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, is_authority, is_authority, False, False), critical=True
        )
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    holder = Holder(key, certificate, str(uuid.uuid4()))
    (place / f"{holder.id}.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    return holder


@dataclass(frozen=True)
class Signed:
    """The disk alpha, signed."""

    authority: Holder
    stranger: Holder
    signature: bytes
    signer: str

    def properties(self, signature: bytes | None = None) -> dict[str, str]:
        """What an image with this signature has."""
        return {
            "img_signature": base64.b64encode(signature or self.signature).decode(),
            "img_signature_hash_method": "SHA-256",
            "img_signature_key_type": "RSA-PSS",
            "img_signature_certificate_uuid": self.signer,
        }


@pytest.fixture(scope="module")
def signed(cloud: Cloud, guests: Guests) -> Signed:
    place = rig_dir() / "nova" / "certs"
    authority = new_holder(place, "rig authority")
    signer = new_holder(place, "rig signer", authority)
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    signature = signer.key.sign(guests.converted("alpha").read_bytes(), salted, hashes.SHA256())
    return Signed(authority, new_holder(place, "rig stranger"), signature, signer.id)


def test_nova_verifies(cloud: Cloud, signed: Signed, guests: Guests, note: Note) -> None:
    """A good signature boots; a forged one and the certificate of somebody else do not."""
    images, servers = cloud.images, cloud.servers

    def image(name: str, signature: bytes) -> str:
        made = images.upload(name, guests.converted("alpha"))  # signed afterwards, so that the upload verifies nothing
        images.change(made, *replace(**signed.properties(signature)))
        return made

    server = servers.boot("signed", image("good", signed.signature), trusted_image_certificates=[signed.authority.id])
    servers.token(server)
    snapshot = images.wait(images.add(servers.snapshot(server, f"{cloud.run}-of-signed")))
    servers.wait(server)
    assert not [name for name in snapshot if name.startswith("img_signature")]
    servers.delete(server)
    # each with an image of its own: what is in the cache of the compute node is not verified again
    for name, signature, trusted in (
        ("forged", signed.signature[::-1], signed.authority),
        ("foreign", signed.signature, signed.stranger),
    ):
        start = servers.start(name, image(name, signature), trusted_image_certificates=[trusted.id])
        note(f"{name}: {servers.fails(start)}")


def test_glimpse_verifies(cloud: Cloud, signed: Signed, guests: Guests, note: Note) -> None:
    """An upload with its signature; other data under the same signature is refused."""
    image = cloud.images.upload("signed-upload", guests.converted("alpha"), **signed.properties())
    forged = cloud.images.new("forged-upload", "raw", **signed.properties())
    cloud.demo.image("PUT", f"/images/{forged}/file", data=b"other data" * 999, headers=OCTETS, expect=400)
    server = cloud.servers.boot("signed-upload", image, trusted_image_certificates=[signed.authority.id])
    cloud.servers.token(server)
    cloud.images.wait(cloud.images.add(cloud.servers.snapshot(server, f"{cloud.run}-of-signed-upload")))
    cloud.servers.wait(server)
    cloud.servers.delete(server)
    note("upload verified, forged data answered 400, boots, snapshot")
