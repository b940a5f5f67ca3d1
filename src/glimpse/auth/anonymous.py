"""Anonymous read access, with ``allow_anonymous_access`` (images-api 5.1)."""

from __future__ import annotations

from typing import Final

from glimpse.auth.base import Authenticator, Credentials, Identity
from glimpse.errors import Unauthenticated

ANONYMOUS: Final = Identity(read_only=True)


class OrAnonymous:
    """Wraps another authenticator; requests without credentials get a read-only identity.

    Wrong passwords are still refused.
    """

    constant: Identity | None = None

    def __init__(self, inner: Authenticator) -> None:
        """``inner`` is asked first."""
        self._inner = inner

    @property
    def challenge(self) -> str | None:
        """The challenge of the inner authenticator."""
        return self._inner.challenge

    def recall(self, credentials: Credentials) -> Identity | None:
        """Return the inner answer, or the anonymous identity if it is known at once that there is no other."""
        try:
            return self._inner.recall(credentials)
        except Unauthenticated:
            return ANONYMOUS

    def seen(self, credentials: Credentials) -> bool:
        """Ask the inner authenticator."""
        return self._inner.seen(credentials)

    def verify(self, credentials: Credentials) -> Identity:
        """Return the inner answer for requests with credentials.

        :raises Unauthenticated: the credentials are wrong.
        :raises Unavailable: the identity service does not answer.
        """
        return self.recall(credentials) or self._inner.verify(credentials)
