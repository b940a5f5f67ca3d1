"""The caller of a request."""

from __future__ import annotations

from contextvars import ContextVar

import msgspec

from glimpse.service_catalog import ServiceCatalog
from glimpse.settings.model import Secret


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The caller of one request, from the authenticator (images-api 5.1).

    Role names are lower case. ``is_admin`` is the result of the rule ``context_is_admin``. ``token`` is the caller's
    Keystone token, and ``catalog`` the service catalog of it, for calls to other services on the caller's behalf.
    """

    request_id: str
    user_id: str | None = None
    project_id: str | None = None
    roles: frozenset[str] = frozenset()
    service_roles: frozenset[str] = frozenset()
    is_admin: bool = False
    domain_id: str | None = None
    system_scope: str | None = None
    read_only: bool = False
    token: Secret | None = None
    catalog: ServiceCatalog | None = None

    @property
    def project_scoped(self) -> bool:
        """False for system- and domain-scoped identities, which every image rule refuses (images-api 8.1)."""
        return self.system_scope is None and self.domain_id is None

    @property
    def sees_credentials(self) -> bool:
        """Whether location URLs are shown with credentials: only to administrators and services."""
        return self.is_admin or "service" in self.roles or "service" in self.service_roles


#: The caller of the current request or job; None outside of both. Threads that work for a request copy it.
CALLER: ContextVar[Context | None] = ContextVar("glimpse_caller", default=None)
