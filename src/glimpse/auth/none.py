"""Auth ``none``: all callers are the same user."""

from __future__ import annotations

from typing import Final

from glimpse.auth.base import Authenticator, Credentials, Identity
from glimpse.errors import Unauthenticated

# -------------------------------------------- Anonymous read access, with ``allow_anonymous_access`` (images-api 5.1)

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


#: Words instead of generated ids: they are readable in the owner column, and no client expects a certain format of ids.
LOCAL = Identity(user_id="local", project_id="local", roles=frozenset({"admin", "member", "reader"}))


class NoAuth:
    """Every caller is user ``local`` of project ``local``, with the roles admin, member and reader."""

    def __init__(self) -> None:
        # not a property, because it is read for every request
        self.constant = LOCAL

    @property
    def challenge(self) -> str | None:
        """None: no credentials are needed."""
        return None

    def recall(self, credentials: Credentials) -> Identity:  # noqa: ARG002 - nothing of the request counts
        """The one identity, whatever headers say."""
        return LOCAL

    def seen(self, credentials: Credentials) -> bool:  # noqa: ARG002 - nothing of the request counts
        """Nothing has to be verified."""
        return False

    def verify(self, credentials: Credentials) -> Identity:
        """The one identity, whatever headers say."""
        return self.recall(credentials)
