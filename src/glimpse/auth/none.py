"""Auth ``none``: all callers are the same user."""

from __future__ import annotations

from glimpse.auth.base import Credentials, Identity

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
