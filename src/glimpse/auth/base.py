"""How a request becomes an identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from glimpse.settings.model import Secret


class Credentials(msgspec.Struct, frozen=True):
    """What an authenticator may look at: headers (names matched without case) and the IP address at the
    other end of the connection (``peer``).

    ``method`` and ``path`` are what the request is for, which access rules of application credentials are about;
    ``path`` is below the host, decoded, with the version that was negotiated: ``/v2/images/...``.
    """

    headers: Mapping[str, str]
    peer: str | None
    method: str = ""
    path: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a request comes from, before policy decides what that means. Roles are lower case.

    ``token`` is the caller's, where Keystone vouches for it.
    """

    user_id: str | None = None
    project_id: str | None = None
    roles: frozenset[str] = frozenset()
    service_roles: frozenset[str] = frozenset()
    domain_id: str | None = None
    system_scope: str | None = None
    read_only: bool = False
    token: Secret | None = None


class Authenticator(Protocol):
    """One way of establishing identity."""

    @property
    def challenge(self) -> str | None:
        """Value of ``WWW-Authenticate`` on 401, where there is one."""
        ...

    @property
    def constant(self) -> Identity | None:
        """The identity of every request, where none has to prove its own. Never changes."""
        ...

    def recall(self, credentials: Credentials) -> Identity | None:
        """The identity where it is known without waiting (no I/O, no key derivation), else None.

        :raises Unauthenticated: it is known without waiting that there is none.
        """
        ...

    def seen(self, credentials: Credentials) -> bool:
        """Whether these credentials were right some time ago. Waits for nothing; called after :meth:`recall`."""
        ...

    def verify(self, credentials: Credentials) -> Identity:
        """The identity, found with whatever it takes; runs in a worker thread.

        :raises Unauthenticated: there is none.
        :raises TooManyAttempts: too many were wrong; these were not looked at.
        :raises Unavailable: the identity service does not answer.
        """
        ...
