"""A castellan key manager that reads certificates from files, ``$RIG_NOVA_CERTS/<id>.der``.

For Nova, and an image service beside it, that verify image signatures without a Barbican.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from castellan.common import exception
from castellan.common.objects import x_509
from castellan.key_manager import key_manager


class FileKeyManager(key_manager.KeyManager):
    """Certificates can be read; everything else is refused."""

    def __init__(self, configuration: object) -> None:
        super().__init__(configuration)
        self.directory = Path(os.environ["RIG_NOVA_CERTS"])

    def get(self, context: object, managed_object_id: str, metadata_only: bool = False) -> x_509.X509:  # noqa: ARG002
        """The certificate with this id."""
        path = self.directory / f"{Path(managed_object_id).name}.der"
        try:
            return x_509.X509(path.read_bytes())
        except FileNotFoundError:
            raise exception.ManagedObjectNotFoundError(uuid=managed_object_id) from None

    def create_key(self, *_: object, **__: object) -> NoReturn:
        _refuse()

    def create_key_pair(self, *_: object, **__: object) -> NoReturn:
        _refuse()

    def store(self, *_: object, **__: object) -> NoReturn:
        _refuse()

    def delete(self, *_: object, **__: object) -> NoReturn:
        _refuse()

    def add_consumer(self, *_: object, **__: object) -> NoReturn:
        _refuse()

    def remove_consumer(self, *_: object, **__: object) -> NoReturn:
        _refuse()

    def list(self, *_: object, **__: object) -> NoReturn:
        _refuse()


def _refuse() -> NoReturn:
    raise exception.KeyManagerError(reason="this key manager only reads certificates")
