"""Signed data and a key manager to verify them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from glimpse.settings.model import SignatureOptions
from glimpse.signature.all import LazyVerifiers
from tests.support.needs import unavailable
from tests.support.signing import Signer

try:
    from tests.unit.signature.certificate_folder import BACKEND
except ModuleNotFoundError as missing:
    BACKEND = ""
    MISSING: str | None = f"the package {missing.name} is not installed (extra signatures)"
else:
    MISSING = None

MakeVerifiers = Callable[..., LazyVerifiers]


@pytest.fixture
def keep(tmp_path: Path) -> Callable[[str, Signer], None]:
    """Put a signer's certificate into the key manager under an id."""

    def put(certificate_id: str, signer: Signer) -> None:
        (tmp_path / f"{certificate_id}.pem").write_bytes(signer.certificate.public_bytes(Encoding.PEM))

    return put


@pytest.fixture
def verifiers(tmp_path: Path) -> MakeVerifiers:
    """Verifiers over the key manager; ``token`` is what it asks for, ``key_manager`` more options of that section."""
    if MISSING is not None:
        unavailable(MISSING)

    def make(
        *, trusted: tuple[str, ...] = (), token: str | None = None, key_manager: dict[str, str] | None = None
    ) -> LazyVerifiers:
        folder = {"path": str(tmp_path), **({} if token is None else {"token": token})}
        library = {"key_manager": {"backend": BACKEND, **(key_manager or {})}, "certificate_folder": folder}
        return LazyVerifiers(SignatureOptions(trusted_certificates=trusted, library=library))

    return make
