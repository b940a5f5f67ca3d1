"""Encryption of location URLs with ``metadata_encryption_key`` (database 7.4)."""

from __future__ import annotations

import binascii
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

_BLOCK = 16


class LocationCipher:
    """Always encrypts when writing, but reads both encrypted and plain rows, because a database may contain both."""

    def __init__(self, key: str) -> None:
        """``key`` has 16, 24 or 32 bytes in UTF-8."""
        self._algorithm = AES(key.encode())

    def encrypt(self, text: str) -> str:
        """Encrypt ``text`` to ASCII; the result is different each time."""
        vector = os.urandom(_BLOCK)
        plain = text.encode() + b"\0"
        # no zero among the padding, whose front is sought from behind
        plain += bytes(byte % 255 + 1 for byte in os.urandom(-len(plain) % _BLOCK))
        encryptor = Cipher(self._algorithm, CBC(vector)).encryptor()
        return urlsafe_b64encode(vector + encryptor.update(plain) + encryptor.finalize()).decode()

    def decrypt(self, stored: str) -> str:
        """Decrypt a result of :meth:`encrypt` or of Glance; anything else is returned unchanged."""
        if "://" in stored:
            return stored
        try:
            raw = urlsafe_b64decode(stored)
        except (binascii.Error, ValueError):
            return stored
        if len(raw) < 2 * _BLOCK or len(raw) % _BLOCK:
            return stored
        decryptor = Cipher(self._algorithm, CBC(raw[:_BLOCK])).decryptor()
        plain = decryptor.update(raw[_BLOCK:]) + decryptor.finalize()
        text, separator, _ = plain.rpartition(b"\0")
        try:
            return text.decode() if separator else stored
        except UnicodeDecodeError:
            # encrypted with another key: cannot be decrypted
            return stored
