"""Uploads of signed images, verified during the upload (images-api 4.2; imports-and-stores 8.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from glimpse.settings.model import SignatureOptions
from tests.support.needs import unavailable
from tests.support.signing import Signer, new_signer
from tests.support.wire import Wire, settings_in, wired

DATA = bytes(range(256)) * 10_000
Start = Callable[..., Wire]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return new_signer("RSA-PSS")


@pytest.fixture
def start(tmp_path: Path, signer: Signer) -> Iterator[Start]:
    """Start a service whose key manager has the certificate ``known``; keywords are options of that key manager."""
    try:
        from tests.unit.signature.certificate_folder import BACKEND
    except ModuleNotFoundError as missing:
        unavailable(f"the package {missing.name} is not installed (extra signatures)")
    (tmp_path / "known.pem").write_bytes(signer.certificate.public_bytes(Encoding.PEM))
    with ExitStack() as running:

        def service(**options: str) -> Wire:
            library = {"key_manager": {"backend": BACKEND}, "certificate_folder": {"path": str(tmp_path), **options}}
            return running.enter_context(wired(settings_in(tmp_path, signatures=SignatureOptions(library=library))))

        yield service


def assert_clean(wire: Wire, image_id: str) -> None:
    shown = wire("GET", f"/v2/images/{image_id}").json
    assert (shown["status"], shown["size"], shown["checksum"], shown["os_hash_value"]) == ("queued", None, None, None)
    assert wire("GET", f"/v2/images/{image_id}/file").status == 204
    assert wire.stored() == []
    assert wire.service.deps.database.count_jobs() == {}


def test_data_with_the_right_signature(start: Start, signer: Signer) -> None:
    wire = start()
    image_id = wire.create(**signer.properties(DATA, "known"))["id"]
    assert wire.upload(image_id, DATA).status == 204
    assert wire("GET", f"/v2/images/{image_id}").json["status"] == "active"
    assert wire("GET", f"/v2/images/{image_id}/file").body == DATA


def test_other_data_leave_nothing_and_the_right_ones_may_follow(start: Start, signer: Signer) -> None:
    wire = start()
    image_id = wire.create(**signer.properties(DATA, "known"))["id"]
    answer = wire.upload(image_id, DATA[:-1])
    assert answer.status == 400
    assert b"The image signature does not match the data." in answer.body
    assert_clean(wire, image_id)
    assert wire.upload(image_id, DATA).status == 204


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("img_signature_certificate_uuid", "unknown", b"The certificate unknown cannot be read"),
        ("img_signature_hash_method", "CRC-32", b"cannot be verified"),
        ("img_signature_key_type", "DSA", b"is not of type DSA"),
        ("img_signature", "x", b"cannot be verified"),
        ("img_signature", "", b"image signature is empty"),
    ],
)
def test_a_signature_that_cannot_be_verified(
    start: Start, signer: Signer, name: str, value: str, reason: bytes
) -> None:
    wire = start()
    image_id = wire.create(**{**signer.properties(DATA, "known"), name: value})["id"]
    answer = wire.upload(image_id, DATA)
    assert answer.status == 400
    assert reason in answer.body
    assert_clean(wire, image_id)


def test_with_three_properties_an_image_is_not_signed(start: Start, signer: Signer) -> None:
    wire = start()
    properties = signer.properties(b"other data", "known")
    del properties["img_signature_key_type"]
    assert wire.upload(wire.create(**properties)["id"], DATA).status == 204


def test_the_signature_comes_before_the_inspection(start: Start, signer: Signer) -> None:
    wire = start()
    empty = bytes(100_000)
    signed = wire.create(disk_format="iso", **signer.properties(empty, "known"))["id"]
    assert wire.upload(signed, empty).status == 415
    forged = wire.create(disk_format="iso", **signer.properties(DATA, "known"))["id"]
    assert wire.upload(forged, empty).status == 400
    assert_clean(wire, signed)
    assert_clean(wire, forged)


def test_the_key_manager_is_asked_in_the_name_of_the_caller(start: Start, signer: Signer) -> None:
    """Whoever came without a token gets nothing from a key manager that asks for one."""
    wire = start(token="of-somebody")
    image_id = wire.create(**signer.properties(DATA, "known"))["id"]
    assert wire.upload(image_id, DATA).status == 400
    assert_clean(wire, image_id)
