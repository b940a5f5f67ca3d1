"""A castellan key manager that reads certificates from files, ``$RIG_NOVA_CERTS/<id>.der``.

For Nova, and an image service beside it, that verify image signatures without a Barbican.
"""

from __future__ import annotations

import os
from pathlib import Path

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

    def _refuse(self, *_: object, **__: object) -> None:
        raise NotImplementedError("certificates can only be read")

    create_key = create_key_pair = store = delete = add_consumer = remove_consumer = list = _refuse


# The names above are bound after the base class has counted its abstract methods.
FileKeyManager.__abstractmethods__ = frozenset()
