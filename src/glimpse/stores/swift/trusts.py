"""Trusts: the service acts for a user for as long as an upload takes (``swift_store_use_trusts``)."""

from __future__ import annotations

from typing import Self

import msgspec

from glimpse.settings.model import Secret
from glimpse.stores.swift.keystone import Keystone, TokenInfo
from glimpse.stores.swift.login import identity, scope
from glimpse.stores.swift.references import Credentials


class Trust:
    """A trust of a user in the service. ``credentials`` log in for it."""

    def __init__(self, keystone: Keystone, trust_id: str, credentials: Credentials) -> None:
        self.credentials = credentials
        self._keystone = keystone
        self._id = trust_id

    @classmethod
    def created(cls, keystone: Keystone, service: Credentials, trustor: TokenInfo) -> Self:
        """Let ``service`` act for the user of a token.

        :raises AccessDenied: Keystone refuses.
        :raises StoreUnavailable: Keystone does not work.
        """
        trustee = keystone.authenticate(identity(service), scope(service))
        trust_id = keystone.create_trust(trustor, trustee.user_id)
        return cls(keystone, trust_id, msgspec.structs.replace(service, trust_id=trust_id))

    def delete(self, token: Secret) -> None:
        """Delete the trust, with a token of the user.

        :raises AccessDenied: Keystone refuses.
        :raises StoreUnavailable: Keystone does not work.
        """
        self._keystone.delete_trust(token, self._id)
