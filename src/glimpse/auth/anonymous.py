"""Lets callers without an identity read, where ``allow_anonymous_access`` says so (images-api 5.1)."""

from __future__ import annotations

from typing import Final

from glimpse.auth.base import Authenticator, Credentials, Identity
from glimpse.errors import Unauthenticated

ANONYMOUS: Final = Identity(read_only=True)


class OrAnonymous:
    """Another authenticator, with a read-only identity for requests that show none.

    A password that turns out to be wrong is still refused.
    """

    constant: Identity | None = None

    def __init__(self, inner: Authenticator) -> None:
        """Ask ``inner`` first."""
        self._inner = inner

    @property
    def challenge(self) -> str | None:
        """That of the inner authenticator."""
        return self._inner.challenge

    def recall(self, credentials: Credentials) -> Identity | None:
        """The inner answer, or the anonymous identity where it is known at once that there is no other."""
        try:
            return self._inner.recall(credentials)
        except Unauthenticated:
            return ANONYMOUS

    def seen(self, credentials: Credentials) -> bool:
        """What the inner authenticator says."""
        return self._inner.seen(credentials)

    def verify(self, credentials: Credentials) -> Identity:
        """The inner answer for requests that show an identity.

        :raises Unauthenticated: the identity is wrong.
        :raises Unavailable: the identity service does not answer.
        """
        return self.recall(credentials) or self._inner.verify(credentials)
