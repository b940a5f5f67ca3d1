"""A store in the account of the service: one container, or several (store-formats 7.2)."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from threading import Lock
from urllib.parse import quote

import msgspec

from glimpse.errors import ForeignLocation
from glimpse.stores import object_errors
from glimpse.stores.swift.account import Account
from glimpse.stores.swift.keystone import EndpointChoice
from glimpse.stores.swift.locations import (
    Place,
    SwiftLocation,
    container_of,
    direct_prefix,
    parse,
    reference_prefix,
    same_address,
)
from glimpse.stores.swift.login import login_with
from glimpse.stores.swift.options import SwiftOptions
from glimpse.stores.swift.references import Credentials, References, load
from glimpse.stores.swift.store import Slot, SwiftStore, Tuning

#: Accounts whose tokens are kept besides the store's own: those of credentials in locations.
_OTHER_ACCOUNTS = 64


class SingleTenantStore(SwiftStore):
    """Implements ``stores.base.Store``.

    A location with credentials is read with them, if it names an identity service that the operator configured: no
    location makes the service send credentials anywhere else.
    """

    def __init__(self, store_id: str, options: SwiftOptions, tuning: Tuning = Tuning()) -> None:  # noqa: B008 - it cannot be changed
        """:raises StoreMisconfigured: the options are incomplete or contradictory."""
        super().__init__(store_id, options, tuning)
        references = load(store_id, options)
        self._references = references.named
        self._own = own_credentials(references)
        self._configured = (self._own, *references.named.values())
        self._choice = endpoint_choice(options)
        self._lock = Lock()
        self._accounts: dict[Credentials, Account] = {}
        self._prefix = prefixes(options, references)[0]
        self.url_prefixes = url_prefixes(store_id, options)
        self.scheme = self._prefix.partition("://")[0]

    def slot(self, image_id: str, size: int | None) -> Slot:  # noqa: ARG002 - for stores that need it
        place = self._place(image_id)
        return Slot(
            account=self._account(self._own),
            place=place,
            url=self.url_of(image_id),
            create_container=self.options.swift_store_create_container_on_put,
        )

    def url_of(self, image_id: str) -> str:
        """See :class:`glimpse.stores.base.Addressed`."""
        return f"{self._prefix}{quote(self._place(image_id).container, safe='')}/{quote(image_id)}"

    def locate(self, url: str, *, deleting: bool = False) -> tuple[Account, Place]:  # noqa: ARG002
        location = parse(url, self.id)
        return self._account(self._credentials(location)), location.place

    def sweep_place(self, image_id: str) -> tuple[Account, Place]:
        return self._account(self._own), self._place(image_id)

    def after_deletion(self, account: Account, place: Place) -> None:
        """Do nothing: the container is that of other images too."""

    def own_containers(self) -> Iterator[tuple[Account, str, str]]:
        account = self._account(self._own)
        container = self.options.swift_store_container
        names = [container]
        if self.options.swift_store_multiple_containers_seed:
            names = list(account.containers(f"{container}_"))
        for name in names:
            yield account, name, f"{self._prefix}{quote(name, safe='')}/"

    def probe(self) -> None:
        """See :class:`glimpse.stores.base.Probed`."""
        self._account(self._own).head("")

    def _place(self, image_id: str) -> Place:
        seed = self.options.swift_store_multiple_containers_seed
        return Place(container_of(self.options.swift_store_container, seed, image_id), image_id)

    def _credentials(self, location: SwiftLocation) -> Credentials:
        if location.reference is not None:
            found = self._references.get(location.reference)
            if found is None:
                raise self._foreign()
            return found
        address = location.address or ""
        configured = [known for known in self._configured if same_address(known.auth_address, address)]
        if location.user is None or location.key is None:
            # only an application credential is not written into locations
            configured = [known for known in configured if known.application_credential_id]
            if not configured:
                raise self._foreign()
            return configured[0]
        if not configured:
            raise self._foreign()
        for known in configured:
            if known.user == location.user and hmac.compare_digest(known.key or "", location.key):
                return known
        return msgspec.structs.replace(
            configured[0], user=location.user, key=location.key, project_id=None, project_name=None,
            application_credential_id=None, application_credential_secret=None,
        )  # fmt: skip

    def _account(self, credentials: Credentials) -> Account:
        with self._lock:
            account = self._accounts.get(credentials)
            if account is None:
                while len(self._accounts) >= _OTHER_ACCOUNTS + len(self._configured):
                    self._accounts.pop(next(iter(set(self._accounts).difference(self._configured))))
                login = login_with(credentials, self._choice, self.connections, self.id)
                expire_soon = self.options.swift_store_expire_soon_interval
                account = self._accounts[credentials] = Account(self.id, login, self.connections, expire_soon)
            return account

    def _foreign(self) -> ForeignLocation:
        return object_errors.foreign(self.id)


def own_credentials(references: References) -> Credentials:
    """Return the account of a single-tenant store; ``load`` has checked that it is configured."""
    if references.own is None:
        raise LookupError("a single-tenant store has an account")
    return references.own


def prefixes(options: SwiftOptions, references: References) -> tuple[str, ...]:
    """Return the beginnings of locations up to the container; the first is that of new images."""
    if references.named:
        names = sorted(references.named, key=lambda name: name != options.default_swift_reference)
        return tuple(reference_prefix(name) for name in names)
    own = own_credentials(references)
    if own.application_credential_id:
        return (direct_prefix(own.auth_address, None, None),)
    return (direct_prefix(own.auth_address, own.user, own.key),)


def url_prefixes(store_id: str, options: SwiftOptions) -> tuple[str, ...]:
    """See :class:`glimpse.stores.base.Prefixed`; with several containers a prefix ends before their number."""
    end = "_" if options.swift_store_multiple_containers_seed else "/"
    container = quote(options.swift_store_container, safe="")
    return tuple(f"{prefix}{container}{end}" for prefix in prefixes(options, load(store_id, options)))


def endpoint_choice(options: SwiftOptions) -> EndpointChoice:
    """Return the endpoint that the options choose."""
    return EndpointChoice(
        override=options.swift_store_endpoint or None,
        region=options.swift_store_region or None,
        service_type=options.swift_store_service_type,
        interface=options.swift_store_endpoint_type.removesuffix("URL"),
    )
