"""Signatures of images, made with real keys (images-api 4.2, rows 11 and 19; imports-and-stores 8.1)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from glimpse.errors import Invalid
from glimpse.settings.model import SignatureOptions
from glimpse.signature.base import SIGNATURE_PROPERTIES, KeyManagerCaller, is_signed
from tests.support.signing import HASHES, Signer, new_signer
from tests.unit.signature.conftest import MakeVerifiers

DATA = bytes(range(256)) * 5_000
CALLER = KeyManagerCaller(token="of-alice", project_id="physics", user_id="alice")
Keep = Callable[[str, Signer], None]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return new_signer("RSA-PSS")


def verify(verifiers: MakeVerifiers, properties: dict[str, str | None], data: bytes = DATA) -> None:
    verifier = verifiers().open(properties, CALLER)
    view = memoryview(bytearray(data))
    for start in range(0, len(view), 300_000):
        verifier.update(view[start : start + 300_000])
    verifier.verify()


@pytest.mark.parametrize("key_type", ["RSA-PSS", "DSA", "ECC_SECP384R1", "ECC_SECP521R1"])
@pytest.mark.parametrize("hash_method", list(HASHES))
def test_a_right_signature_passes_and_other_data_do_not(
    verifiers: MakeVerifiers, keep: Keep, key_type: str, hash_method: str
) -> None:
    signer = new_signer(key_type)
    keep("cert", signer)
    properties = signer.properties(DATA, "cert", hash_method)

    verify(verifiers, properties)
    with pytest.raises(Invalid, match="does not match"):
        verify(verifiers, properties, DATA[:-1] + b"\0")


def test_no_data_can_be_signed_too(verifiers: MakeVerifiers, keep: Keep, signer: Signer) -> None:
    keep("cert", signer)
    verify(verifiers, signer.properties(b"", "cert"), b"")


def test_a_signature_by_another_key_does_not_match(verifiers: MakeVerifiers, keep: Keep, signer: Signer) -> None:
    keep("cert", new_signer("RSA-PSS"))
    with pytest.raises(Invalid, match="does not match"):
        verify(verifiers, signer.properties(DATA, "cert"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("img_signature", "not base64!", "base64"),
        ("img_signature", "", "empty"),
        ("img_signature", None, "empty"),
        ("img_signature_hash_method", "MD5", "hash method"),
        ("img_signature_hash_method", None, "hash method"),
        ("img_signature_key_type", "RSA", "key type"),
        ("img_signature_key_type", None, "key type"),
        ("img_signature_key_type", "ECC_SECP384R1", "is not of type"),
        ("img_signature_certificate_uuid", "another", "cannot be read"),
    ],
)
def test_unusable_properties_are_refused_before_data(
    verifiers: MakeVerifiers, keep: Keep, signer: Signer, name: str, value: str | None, message: str
) -> None:
    keep("cert", signer)
    properties = {**signer.properties(DATA, "cert"), name: value}
    with pytest.raises(Invalid, match=message):
        verifiers().open(properties, CALLER)


def test_an_object_that_is_no_certificate_is_refused(verifiers: MakeVerifiers, signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "key.bin").write_bytes(b"secret of another kind")
    with pytest.raises(Invalid, match=r"not an X\.509 certificate"):
        verifiers().open(signer.properties(DATA, "key"), CALLER)


@pytest.mark.parametrize("key_type", ["RSA-PSS", "DSA", "ECC_SECP384R1"])
def test_bytes_that_are_no_signature_do_not_match(verifiers: MakeVerifiers, keep: Keep, key_type: str) -> None:
    signer = new_signer(key_type)
    keep("cert", signer)
    properties = {**signer.properties(DATA, "cert"), "img_signature": "AAAA"}
    with pytest.raises(Invalid, match="does not match"):
        verify(verifiers, properties)


def test_the_key_manager_is_asked_with_the_token_of_the_caller(
    verifiers: MakeVerifiers, keep: Keep, signer: Signer
) -> None:
    keep("cert", signer)
    properties = signer.properties(DATA, "cert")
    verifiers(token="of-alice").open(properties, CALLER)
    with pytest.raises(Invalid, match="cannot be read"):
        verifiers(token="of-bob").open(properties, CALLER)


def test_without_a_token_the_account_of_the_configuration_asks(
    verifiers: MakeVerifiers, keep: Keep, signer: Signer
) -> None:
    keep("cert", signer)
    properties = signer.properties(DATA, "cert")
    account = {"auth_type": "token", "token": "of-the-service"}
    made = verifiers(token="of-the-service", key_manager=account)
    made.open(properties, KeyManagerCaller(project_id="physics"))
    with pytest.raises(Invalid, match="cannot be read"):
        made.open(properties, CALLER)


class TestTrustedCertificates:
    def test_a_certificate_by_a_trusted_one_passes(self, verifiers: MakeVerifiers, keep: Keep) -> None:
        root = new_signer("RSA-PSS", name="root", authority=True)
        leaf = new_signer("RSA-PSS", issuer=root)
        keep("root", root)
        keep("leaf", leaf)
        verifiers(trusted=("root",)).open(leaf.properties(DATA, "leaf"), CALLER)

    def test_a_certificate_by_itself_is_refused(self, verifiers: MakeVerifiers, keep: Keep, signer: Signer) -> None:
        keep("root", new_signer("RSA-PSS", name="root", authority=True))
        keep("cert", signer)
        with pytest.raises(Invalid, match="cannot be verified"):
            verifiers(trusted=("root",)).open(signer.properties(DATA, "cert"), CALLER)

    def test_an_expired_certificate_is_refused_only_there(self, verifiers: MakeVerifiers, keep: Keep) -> None:
        root = new_signer("RSA-PSS", name="root", authority=True)
        leaf = new_signer("RSA-PSS", issuer=root, days=-1)
        keep("root", root)
        keep("leaf", leaf)
        properties = leaf.properties(DATA, "leaf")
        verifiers().open(properties, CALLER)
        with pytest.raises(Invalid, match="cannot be verified"):
            verifiers(trusted=("root",)).open(properties, CALLER)

    def test_a_trusted_certificate_that_is_gone_lets_nothing_pass(
        self, verifiers: MakeVerifiers, keep: Keep, signer: Signer
    ) -> None:
        keep("cert", signer)
        with pytest.raises(Invalid, match="root cannot be read"):
            verifiers(trusted=("root",)).open(signer.properties(DATA, "cert"), CALLER)


def test_an_image_is_signed_when_it_has_all_four_properties() -> None:
    """imports-and-stores 13, quirk 45."""
    properties: dict[str, str | None] = dict.fromkeys(SIGNATURE_PROPERTIES)
    assert is_signed(properties)
    for name in SIGNATURE_PROPERTIES:
        assert not is_signed({key: value for key, value in properties.items() if key != name})
    assert not is_signed({})


def test_without_the_packages_signed_images_are_refused() -> None:
    """In a process of its own, where they cannot be imported."""
    program = """
import sys
sys.modules["cursive"] = None
from glimpse.errors import Invalid
from glimpse.signature.all import LazyVerifiers
from glimpse.signature.base import KeyManagerCaller
from glimpse.settings.model import SignatureOptions
try:
    LazyVerifiers(SignatureOptions()).open({}, KeyManagerCaller())
except Invalid as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cannot verify image signatures" in done.stdout


def test_secrets_are_not_shown() -> None:
    options = SignatureOptions(library={"key_manager": {"password": "hidden"}})
    assert "hidden" not in repr(options)
    assert "of-alice" not in repr(CALLER)
