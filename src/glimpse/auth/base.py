"""The interface of authenticators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from glimpse.service_catalog import ServiceCatalog
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import Secret

# ---------------------------------------------------------------- Errors in the settings of an authenticator at start


class AuthSettingsError(SettingsError):
    """The settings or files of an authenticator are invalid; ``str(error)`` is one line for the operator."""


class AuthUnavailable(AuthSettingsError):
    """This authentication method is not available in this installation."""


class Credentials(msgspec.Struct, frozen=True):
    """The parts of a request that an authenticator may use: headers (with case-insensitive names) and the IP address of
    the connection (``peer``).

    ``method`` and ``path`` are needed for access rules of application credentials; ``path`` is decoded and begins with
    the negotiated version: ``/v2/images/...``.
    """

    headers: Mapping[str, str]
    peer: str | None
    method: str = ""
    path: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The authenticated caller, before policy is applied. Roles are in lower case.

    ``token`` is the caller's Keystone token, if any, and ``catalog`` its service catalog.
    """

    user_id: str | None = None
    project_id: str | None = None
    roles: frozenset[str] = frozenset()
    service_roles: frozenset[str] = frozenset()
    domain_id: str | None = None
    system_scope: str | None = None
    read_only: bool = False
    token: Secret | None = None
    catalog: ServiceCatalog | None = None


class Authenticator(Protocol):
    """An authentication method."""

    @property
    def challenge(self) -> str | None:
        """Value of ``WWW-Authenticate`` for 401, if any."""
        ...

    @property
    def constant(self) -> Identity | None:
        """The identity of all requests if no credentials are needed; never changes."""
        ...

    def recall(self, credentials: Credentials) -> Identity | None:
        """Return the identity if it is known without waiting (no I/O, no key derivation), else None.

        :raises Unauthenticated: it is known without waiting that the credentials are missing or invalid.
        """
        ...

    def seen(self, credentials: Credentials) -> bool:
        """Tell whether these credentials were valid before. Does not wait; called after :meth:`recall`."""
        ...

    def verify(self, credentials: Credentials) -> Identity:
        """Verify the credentials and return the identity; runs in a worker thread.

        :raises Unauthenticated: the credentials are missing or invalid.
        :raises TooManyAttempts: there were too many failures; these credentials were not checked.
        :raises Unavailable: the identity service does not answer.
        """
        ...
