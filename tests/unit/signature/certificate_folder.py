"""A key manager for castellan that keeps certificates as PEM files: small, but real (option ``backend``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from castellan.common.exception import Forbidden, ManagedObjectNotFoundError
from castellan.common.objects.opaque_data import OpaqueData
from castellan.common.objects.x_509 import X509
from castellan.key_manager.not_implemented_key_manager import NotImplementedKeyManager
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from oslo_config import cfg

BACKEND = f"{__name__}.CertificateFolder"


class CertificateFolder(NotImplementedKeyManager):
    """``[certificate_folder] path`` has a file ``ID.pem`` for each certificate, ``ID.bin`` for anything else.

    With ``token`` in that section, only a caller who shows it gets something.
    """

    def __init__(self, configuration: Any) -> None:
        options = [cfg.StrOpt("path", required=True), cfg.StrOpt("token")]
        configuration.register_opts(options, group="certificate_folder")
        self._options = configuration.certificate_folder

    def get(self, context: Any, managed_object_id: str, metadata_only: bool = False) -> Any:
        if self._options.token is not None and token_of(context) != self._options.token:
            raise Forbidden
        base = Path(self._options.path) / managed_object_id
        if base.with_suffix(".bin").exists():
            return OpaqueData(base.with_suffix(".bin").read_bytes())
        try:
            data = base.with_suffix(".pem").read_bytes()
        except FileNotFoundError:
            raise ManagedObjectNotFoundError(uuid=managed_object_id) from None
        return X509(x509.load_pem_x509_certificate(data).public_bytes(Encoding.DER))


def token_of(context: Any) -> str | None:
    """The token of the two kinds of context that castellan knows."""
    return context.auth_token if hasattr(context, "auth_token") else context.token
