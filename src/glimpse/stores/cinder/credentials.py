"""In whose name the store acts: its own login at Keystone, or the user with the token of the request."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from threading import Lock
from typing import Any

import msgspec

from glimpse.context import CALLER
from glimpse.errors import AccessDenied, StoreUnavailable
from glimpse.extras import needs
from glimpse.service_catalog import ServiceCatalog
from glimpse.settings.model import Secret
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.cinder.options import CinderOptions

#: Names under which catalogs have the Block Storage API 3.
_ALIASES = ("volumev3", "block-storage", "block-store")


class Access(msgspec.Struct, frozen=True):
    """A token, the URL of Cinder for its project, and whose they are."""

    token: Secret
    endpoint: str
    project_id: str | None
    #: the token is the service's own: it can be renewed
    own: bool


class Credentials:
    """Finds the access for a call. Thread-safe; Keystone is asked at the first call."""

    def __init__(self, store_id: str, options: CinderOptions) -> None:
        """:raises StoreMisconfigured: the store has a login, but keystoneauth1 is not installed."""
        self._store_id = store_id
        self._options = options
        self._lock = Lock()
        self._login: Any = None
        self._session: Any = None
        parts = options.cinder_catalog_info.split(":")
        if len(parts) != 3:
            raise StoreMisconfigured(store_id, "cinder_catalog_info must be type:name:interface")
        self._service, self._name, self._interface = parts[0], parts[1], parts[2]
        if options.has_login:
            try:
                import_module("keystoneauth1")
            except ImportError as error:
                raise StoreMisconfigured(store_id, f"a login at Keystone {needs(error, 'cinder')}") from error

    def access(self) -> Access:
        """Return the access for a call made now.

        :raises AccessDenied: Keystone refuses the login, there is no user whose token could be used, or the service
            catalog does not have Cinder.
        :raises StoreUnavailable: Keystone does not answer.
        """
        if self._options.has_login:
            return self._own()
        caller = CALLER.get()
        if caller is None or caller.token is None:
            raise AccessDenied(
                f"Store {self._store_id} has no credentials of its own, and the request has no user token that it "
                "could use."
            )
        values = {"project_id": caller.project_id or "", "user_id": caller.user_id or ""}
        return Access(caller.token, self._endpoint(caller.catalog, values), caller.project_id, own=False)

    def owner(self, access: Access) -> str | None:
        """Return the project of the user who uploads; without a user that of the service."""
        caller = CALLER.get()
        return caller.project_id if caller is not None else access.project_id

    def renew(self) -> None:
        """Forget the service's token, because Cinder no longer accepts it."""
        with self._lock:
            if self._login is not None:
                self._login.invalidate()

    def _own(self) -> Access:
        from keystoneauth1 import exceptions  # noqa: PLC0415 - an extra

        try:
            with self._lock:
                if self._login is None:
                    self._login, self._session = self._new_login()
                found: Any = self._login.get_access(self._session)
        except (exceptions.Unauthorized, exceptions.NotFound, exceptions.Forbidden) as error:
            raise AccessDenied(f"Keystone refuses the login of store {self._store_id}.") from error
        except exceptions.ClientException as error:
            raise StoreUnavailable(f"Keystone does not answer store {self._store_id}.") from error
        values = {"project_id": str(found.project_id or ""), "user_id": str(found.user_id or "")}
        endpoint = self._endpoint(ServiceCatalog(found.service_catalog.catalog), values)
        return Access(Secret(found.auth_token), endpoint, found.project_id, own=True)

    def _new_login(self) -> tuple[Any, Any]:
        from keystoneauth1 import session  # noqa: PLC0415 - an extra
        from keystoneauth1.identity import v3  # noqa: PLC0415

        options = self._options
        address = options.cinder_store_auth_address or ""
        if options.cinder_store_application_credential_id and options.cinder_store_application_credential_secret:
            login: Any = v3.ApplicationCredential(
                auth_url=address,
                application_credential_id=options.cinder_store_application_credential_id,
                application_credential_secret=str(options.cinder_store_application_credential_secret),
            )
        else:
            login = v3.Password(
                auth_url=address,
                username=options.cinder_store_user_name,
                password=str(options.cinder_store_password),
                project_name=options.cinder_store_project_name,
                user_domain_name=options.cinder_store_user_domain_name,
                project_domain_name=options.cinder_store_project_domain_name,
            )
        verify: str | bool = not options.cinder_api_insecure
        if verify and options.cinder_ca_certificates_file:
            verify = options.cinder_ca_certificates_file
        return login, session.Session(verify=verify, timeout=options.cinder_store_timeout)

    def _endpoint(self, catalog: ServiceCatalog | None, values: Mapping[str, str]) -> str:
        template = self._options.cinder_endpoint_template
        if template:
            try:
                return (template % {**values, "tenant": values["project_id"], "user": values["user_id"]}).rstrip("/")
            except (KeyError, TypeError, ValueError) as error:
                raise AccessDenied(f"The cinder_endpoint_template of store {self._store_id} is not valid.") from error
        types = _ALIASES if self._service in _ALIASES else ()
        region, name = self._options.cinder_os_region_name, self._name
        for kind in (self._service, *types):
            found = None if catalog is None else catalog.url(kind, interface=self._interface, region=region, name=name)
            if found:
                return found.rstrip("/")
        raise AccessDenied(f"The service catalog has no Block Storage service for store {self._store_id}.")
