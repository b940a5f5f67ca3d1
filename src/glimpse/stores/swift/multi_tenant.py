"""A store in the accounts of the uploading projects: each image has a container of its own (store-formats 7.2, 7.4).

Requests carry the caller's token, so Swift decides who may do what. Work without a caller, as a job, is done with the
service's own account, which then needs the role of a reseller admin in Swift; it is not used for what belongs to
others.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

import msgspec

from glimpse.context import CALLER
from glimpse.errors import AccessDenied, DeletionDenied, ForeignLocation, GlimpseError
from glimpse.settings.model import Secret
from glimpse.stores import object_errors
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.swift.account import Account
from glimpse.stores.swift.answers import failure
from glimpse.stores.swift.keystone import Keystone, TokenInfo
from glimpse.stores.swift.locations import Place, parse, same_address, same_origin
from glimpse.stores.swift.login import Grant, Login, login_with
from glimpse.stores.swift.options import SwiftOptions
from glimpse.stores.swift.references import Credentials, load
from glimpse.stores.swift.single_tenant import endpoint_choice
from glimpse.stores.swift.store import Slot, SwiftStore, Tuning
from glimpse.stores.swift.trusts import Trust
from glimpse.stores.swift.writer import SEGMENT_BYTES

LOG = logging.getLogger(__name__)


class MultiTenantStore(SwiftStore):
    """Implements ``stores.base.Store``, ``AccessLists`` and ``ActsForUsers``."""

    def __init__(self, store_id: str, options: SwiftOptions, tuning: Tuning = Tuning()) -> None:  # noqa: B008 - it cannot be changed
        """:raises StoreMisconfigured: the options are incomplete or contradictory."""
        super().__init__(store_id, options, tuning)
        service = load(store_id, options).own
        if service is None and not options.swift_store_endpoint:
            raise StoreMisconfigured(
                store_id, "swift_store_multi_tenant needs swift_store_auth_address, or swift_store_endpoint"
            )
        if service is not None and service.auth_version != "3":
            raise StoreMisconfigured(store_id, "swift_store_multi_tenant needs swift_store_auth_version 3")
        self._choice = endpoint_choice(options)
        self._keystone = None if service is None else Keystone(service.auth_address, self.connections, store_id)
        self._service = service if service is not None and (service.key or service.application_credential_id) else None
        address = options.swift_store_endpoint or options.swift_store_auth_address or ""
        self.scheme = "swift+http" if address.startswith("http://") else "swift+https"

    # ------------------------------------------------------------------------------------ calls of SwiftStore

    def slot(self, image_id: str, size: int | None) -> Slot:
        place = self._place(image_id)
        trust: Trust | None = None
        own = None if self._has_caller() else self._account_of_project()
        if own is None:
            token, info, storage_url = self._caller()
            trust = self._trust(info) if size is None or size > SEGMENT_BYTES else None
            renewal = None if trust is None else self._login_at(storage_url, trust.credentials)
            account = self._account(_first(token, info, storage_url, renewal))
        else:
            account, storage_url = own

        def ended(*, committed: bool) -> None:
            try:
                if not committed:
                    account.request("DELETE", f"/{quote(place.container, safe='')}")
                if trust is not None:
                    trust.delete(account.grant().token)
            except GlimpseError as error:
                LOG.warning("Store %s: an upload was not cleaned up: %s", self.id, error)

        scheme, _, rest = storage_url.partition("://")
        return Slot(
            account=account,
            place=place,
            url=f"{'swift+http' if scheme == 'http' else 'swift+https'}://{rest}{place.path}",
            create_container=True,
            ended=ended,
        )

    def locate(self, url: str, *, deleting: bool = False) -> tuple[Account, Place]:
        location = parse(url, self.id)
        if location.address is None or location.user is not None:
            raise object_errors.foreign(self.id)
        place = location.place
        of_an_image = place.container == f"{self.options.swift_store_container}_{place.name}"
        return self._account_at(location.address, owner=deleting, of_an_image=of_an_image), place

    def sweep_place(self, image_id: str) -> tuple[Account, Place]:
        place = self._place(image_id)
        if self._has_caller():
            token, info, storage_url = self._caller()
            return self._account(_first(token, info, storage_url, None)), place
        own = self._account_of_project()
        if own is not None:
            return own[0], place
        raise AccessDenied(f"Store {self.id} cannot tell the account of the image: there is no caller.")

    def own_containers(self) -> Iterator[tuple[Account, str, str]]:
        """Yield the containers in the account of the caller, or of the service."""
        storage_url = self._caller()[2] if self._has_caller() else None
        if storage_url is None:
            if self._service is None:
                raise AccessDenied(f"Store {self.id} has no account of its own, and there is no caller.")
            login = login_with(self._service, self._choice, self.connections, self.id)
            account = self._account(login)
            storage_url = account.storage_url
        else:
            account = self._account_at(storage_url, owner=True, of_an_image=False)
        scheme, _, rest = storage_url.partition("://")
        begin = f"{'swift+http' if scheme == 'http' else 'swift+https'}://{rest}/"
        for name in account.containers(f"{self.options.swift_store_container}_"):
            yield account, name, f"{begin}{quote(name, safe='')}/"

    def after_deletion(self, account: Account, place: Place) -> None:
        # not when something else is in it: Swift then answers 409
        account.persist("DELETE", f"/{quote(place.container, safe='')}")

    def container_headers(self) -> dict[str, str]:
        return self._writers()

    # --------------------------------------------------------------------------------------------- abilities

    def set_readers(self, url: str, projects: Sequence[str] | None) -> None:
        """See :class:`glimpse.stores.base.AccessLists`."""
        account, place = self.locate(url, deleting=True)
        readers = "*:*" if projects is None else ",".join(f"{project}:*" for project in projects)
        headers = {"X-Container-Read": readers, **self._writers()}
        answer = account.persist("POST", f"/{quote(place.container, safe='')}", headers)
        if not 200 <= answer.status < 300:
            raise failure(self.id, answer)

    @property
    def writes_for_jobs(self) -> bool:
        """See :class:`glimpse.stores.base.ActsForUsers`."""
        return self._service is not None

    def probe(self) -> None:
        """See :class:`glimpse.stores.base.Probed`."""
        if self._service is not None:
            self._account(login_with(self._service, self._choice, self.connections, self.id)).head("")

    # ---------------------------------------------------------------------------------------------- accounts

    def _writers(self) -> dict[str, str]:
        writers = ",".join(f"{project}:*" for project in self.options.swift_store_admin_tenants)
        return {"X-Container-Write": writers} if writers else {}

    def _place(self, image_id: str) -> Place:
        return Place(f"{self.options.swift_store_container}_{image_id}", image_id)

    def _account_of_project(self) -> tuple[Account, str] | None:
        """Return the account of the project of a job, as the service reaches it, and its storage URL.

        None: the service has no credentials, or there is no project.
        """
        caller = CALLER.get()
        if self._service is None or caller is None or not caller.project_id:
            return None
        login = login_with(self._service, self._choice, self.connections, self.id)
        storage_url = _of_project(login().storage_url, caller.project_id)
        return self._account(self._login_at(storage_url, self._service)), storage_url

    def _has_caller(self) -> bool:
        caller = CALLER.get()
        return caller is not None and caller.token is not None

    def _caller(self) -> tuple[Secret, TokenInfo | None, str]:
        """Return the caller's token, what is known about it, and the storage URL of the caller's project.

        :raises AccessDenied: there is no caller with a token, or the token is not valid any more.
        """
        caller = CALLER.get()
        if caller is None or caller.token is None:
            raise AccessDenied(f"Store {self.id} needs the token of a user.")
        info = None
        catalog = caller.catalog
        if self._keystone is not None and (catalog is None or self.options.swift_store_use_trusts):
            info = self._keystone.validate(caller.token)
            catalog = info.catalog
        storage_url = self._choice.url(catalog, self.id)
        if self._choice.override and caller.project_id and storage_url.rpartition("/")[2].endswith("_"):
            storage_url += caller.project_id
        return caller.token, info, storage_url

    def _account_at(self, storage_url: str, *, owner: bool, of_an_image: bool) -> Account:
        """Return the account at a storage URL from a location, for the caller or else for the service.

        ``owner``: only who owns the account may do it; for another caller the service does.

        The service may do everything in Swift, and a location may have been added by anybody. So it acts only in the
        account of the project that it works for, and where an owner is needed also on what is named like the objects
        that the store writes (``of_an_image``). Nobody can add the location of another project's image.

        :raises AccessDenied, DeletionDenied: the service does not act there.
        :raises ForeignLocation: the URL is not in the configured cluster, so it must not get the token.
        """
        if self._has_caller():
            token, info, own = self._caller()
            if not same_origin(own, storage_url):
                raise self._foreign()
            if not owner or self._service is None or same_address(own, storage_url):
                return self._account(_first(token, info, storage_url, None))
        if self._service is None:
            raise AccessDenied(f"Store {self.id} has no credentials of its own, and there is no caller.")
        login = login_with(self._service, self._choice, self.connections, self.id)
        first = login()
        if not same_origin(first.storage_url, storage_url):
            raise self._foreign()
        caller = CALLER.get()
        project = None if caller is None else caller.project_id
        ours = project is not None and same_address(_of_project(first.storage_url, project), storage_url)
        if not ours and not (owner and of_an_image):
            message = f"Store {self.id} does not use its own credentials in the account of another project."
            raise DeletionDenied(message) if owner else AccessDenied(message)
        return self._account(self._login_at(storage_url, self._service))

    def _login_at(self, storage_url: str, credentials: Credentials) -> Login:
        """Log in with ``credentials``, for the account at ``storage_url``."""
        login = login_with(credentials, self._choice, self.connections, self.id)
        return lambda: msgspec.structs.replace(login(), storage_url=storage_url)

    def _account(self, login: Login) -> Account:
        return Account(self.id, login, self.connections, self.options.swift_store_expire_soon_interval)

    def _trust(self, info: TokenInfo | None) -> Trust | None:
        """Return a trust for an upload; without it (None) the upload must end before the token expires."""
        if not self.options.swift_store_use_trusts or self._service is None or self._keystone is None or info is None:
            return None
        try:
            return Trust.created(self._keystone, self._service, info)
        except GlimpseError as error:
            LOG.warning("Store %s: no trust for an upload, it must end before the token expires: %s", self.id, error)
            return None

    def _foreign(self) -> ForeignLocation:
        return object_errors.foreign(self.id)


def _of_project(storage_url: str, project_id: str) -> str:
    """Return the storage URL of a project; the accounts of a cluster differ in the id of the project at the end."""
    base, _, name = storage_url.rpartition("/")
    return f"{base}/{name[: name.find('_') + 1]}{project_id}"


def _first(token: Secret, info: TokenInfo | None, storage_url: str, renewal: Login | None) -> Login:
    """Return a login that grants the user's token, and then what ``renewal`` grants."""
    expires_at = math.inf if info is None else info.expires_at
    grants: list[Callable[[], Grant]] = []

    def user() -> Grant:
        grants.append(renewal or _expired)
        # without a renewal the token is used to its end
        until = expires_at if renewal is not None and expires_at > time.time() else math.inf
        return Grant(token=token, storage_url=storage_url, expires_at=until)

    return lambda: grants[0]() if grants else user()


def _expired() -> Grant:
    raise AccessDenied("The token of the user is not valid any more.")
