"""The configured stores, the store of a location, and checks of URLs that clients give (images-api 3.5.4)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from glimpse.domain.image import Location
from glimpse.domain.locations import Placement
from glimpse.errors import (
    DataNotFound,
    ForeignLocation,
    GlimpseError,
    Invalid,
    LimitExceeded,
    Refused,
    StoreUnavailable,
)
from glimpse.settings.model import Stores, StoreSettings
from glimpse.stores.all import DRIVERS, PRIVATE_SCHEMES, driver_of
from glimpse.stores.argument_checks import split_url
from glimpse.stores.base import AccessLists, LocationRepair, Prefixed, Probed, Store, StoreMisconfigured, ability
from glimpse.stores.driver import Driver
from glimpse.stores.health import StoreHealth
from glimpse.stores.timed_calls import CallTimeout
from glimpse.stores.unusable import UnusableStore
from glimpse.stores.wrap import StoreMetrics, wrapped

LOG = logging.getLogger(__name__)

#: Stores for data in transit, which clients neither see nor name (imports-and-stores 4.2).
RESERVED = frozenset({"os_glance_staging_store", "os_glance_tasks_store"})


class _Served:
    """A store that reads a scheme. ``known``: its URI prefixes without the scheme; empty while they are unknown."""

    __slots__ = ("driver", "known", "store")

    def __init__(self, store: Store, driver: Driver) -> None:
        self.store = store
        self.driver = driver
        self.known: list[str] = []

    def beginnings(self) -> list[str]:
        """Ask the store for its prefixes; a store without prefixes serves every URI."""
        prefixed = ability(self.store, Prefixed)
        self.known = [""] if prefixed is None else [_after_scheme(url) for url in prefixed.url_prefixes]
        return self.known


class StoreSet:
    """All stores of the service, built once at start (store-formats 2 and 3)."""

    def __init__(self, settings: Stores, metrics: StoreMetrics | None = None) -> None:
        """Build all stores; one that is not the default and cannot work as configured is an :class:`UnusableStore`.

        :raises StoreMisconfigured: the default store cannot work as configured, or the list of stores is invalid.
        """
        self._by_id: dict[str, Store] = {}
        #: which stores work; starts no thread before ``health.start()``
        self.health = StoreHealth({}, settings.calls.probe_interval)
        #: scheme → stores that read it, in configuration order
        self._by_scheme: dict[str, list[_Served]] = {}
        for entry in settings.stores:
            if entry.id in self._by_id:
                raise StoreMisconfigured(entry.id, "is configured twice")
            self._add(entry, _build(entry, settings, metrics, self.health))
        if settings.default not in self._by_id:
            raise StoreMisconfigured(settings.default, "is the default store, but not configured")
        self.default = self._by_id[settings.default]
        self.named = settings.named
        self.weights = {entry.id: entry.weight for entry in settings.stores}
        #: store id → its name, as returned by :meth:`needs`
        self.needed = {store_id: self._name(store) for store_id, store in self._by_id.items()}
        #: the settings of each store, in configuration order
        self.entries = settings.stores
        #: whether any store keeps access lists of its own
        self.keeps_access_lists = any(ability(store, AccessLists) is not None for store in self._by_id.values())
        #: schemes of locations for which :meth:`repaired` may know another URI; empty unless URIs are rewritten
        self.repaired_schemes = frozenset(
            scheme
            for scheme, served in self._by_scheme.items()
            if settings.rewrites_locations and any(ability(one.store, LocationRepair) for one in served)
        )
        for store_id, store in self._by_id.items():
            if (probed := ability(store, Probed)) is not None:
                self.health.add(store_id, probed)

    def close(self) -> None:
        """Close all stores; they must not be used afterwards."""
        self.health.stop()
        for store in self._by_id.values():
            store.close()

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all stores in configuration order."""
        return tuple(self._by_id)

    def by_id(self, store_id: str) -> Store:
        """:raises Invalid: no store with this id is configured."""
        store = self._by_id.get(store_id)
        if store is None:
            raise Invalid(f"There is no store {store_id!r}; the stores are {', '.join(self._by_id)}.")
        return store

    def for_location(self, location: Location) -> Store:
        """Return the first store of :meth:`candidates`.

        :raises StoreUnavailable: no configured store serves the location.
        :raises ForeignLocation: the location is not a URI.
        """
        return self.candidates(location)[0]

    def candidates(self, location: Location) -> Sequence[Store]:
        """Return the stores that may have the data of a location, at least one (store-formats 3).

        It is the store named in the location's metadata, else the one with the longest matching URI prefix. Otherwise
        it is each store of the scheme, in configuration order, that may read URIs without its prefixes.

        :raises StoreUnavailable: no configured store serves the location.
        :raises ForeignLocation: the location is not a URI.
        """
        named = location.metadata.get("store")
        if isinstance(named, str) and named in self._by_id:
            return (self._by_id[named],)
        own = self.by_prefix(location.url)
        if own is not None:
            return (own,)
        scheme, _ = split_url(location.url)
        others = [served.store for served in self._by_scheme.get(scheme, ()) if not served.driver.only_own]
        if not others:
            raise StoreUnavailable(f"No configured store serves this location of the scheme {scheme}.")
        return others

    def by_prefix(self, url: str) -> Store | None:
        """Return the store with the longest URI prefix that matches ``url``; stores without prefixes match last.

        :raises ForeignLocation: it is not a URI.
        """
        scheme, rest = split_url(url)
        all_served = self._by_scheme.get(scheme, ())
        if all_served and (plain := all_served[0].driver.without_credentials) is not None:
            rest = plain(rest)
        longest, best = -1, None
        for served in all_served:
            for beginning in served.known or served.beginnings():
                if len(beginning) > longest and rest.startswith(beginning):
                    longest, best = len(beginning), served.store
        return best

    def holding(self, location: Location) -> Store:
        """Return the store of :meth:`candidates` that has the object; asks the stores if there are several.

        :raises DataNotFound: none of them has it.
        :raises StoreUnavailable: no configured store serves the location, or one is unavailable and no other has it.
        :raises ForeignLocation: the location is not a URI, or no store serves it.
        """
        candidates = self.candidates(location)
        if len(candidates) == 1:
            return candidates[0]
        failure: GlimpseError | None = None
        for store in candidates:
            try:
                store.size(location.url)
            except (DataNotFound, ForeignLocation) as error:
                failure = failure or error
            except StoreUnavailable as error:
                failure = error
            else:
                return store
        raise failure or StoreUnavailable("No configured store serves this location.")

    def serving(self, location: Location) -> str | None:
        """Return the id of the store of :meth:`for_location`, None without one."""
        try:
            return self.for_location(location).id
        except (StoreUnavailable, ForeignLocation):
            return None

    def owner(self, location: Location) -> str | None:
        """Return the id of the store that is named in the metadata of a location, or whose prefix the URI has.

        None: no store, or only the stores themselves can tell whether they have the object.
        """
        named = location.metadata.get("store")
        if isinstance(named, str) and named in self._by_id:
            return named
        try:
            store = self.by_prefix(location.url)
        except ForeignLocation:
            return None
        return None if store is None else store.id

    def asks_to_repair(self, location: Location) -> bool:
        """Whether :meth:`repaired` waits for a store if it may ``ask``."""
        return any(repair.asks_to_repair(location.url) for _, repair in self._repairing(location))

    def repaired(self, location: Location, *, ask: bool) -> str | None:
        """Return the URI in the form in which its store would write it today; None: no store knows another one.

        Stores are asked only with ``ask``, and only those that are not known to be down. A location that names a store
        of another installation stays as it is (imports-and-stores 4.5).
        """
        for store_id, repair in self._repairing(location):
            if repair.asks_to_repair(location.url) and (not ask or store_id in self.health.down_ids):
                continue
            try:
                url = repair.repaired(location.url)
            except (Refused, StoreUnavailable) as error:
                LOG.warning("Store %s cannot tell whether location %s is its own: %s", store_id, location.id, error)
                continue
            if url is not None:
                return url
        return None

    def is_read_only(self, location: Location) -> bool:
        """Tell whether the data of a location are never deleted, because they are on a web server (store-formats 4)."""
        driver = driver_of(split_url(location.url)[0])
        return driver is not None and driver.only_read

    def offers(self) -> frozenset[str]:
        """Return the names of the stores that this process offers to jobs: see :meth:`needs`."""
        offered = set(self._by_id)
        for scheme, served in self._by_scheme.items():
            offered.add(f"{scheme}://")
            offered.update(f"{scheme}://{beginning}" for one in served for beginning in one.beginnings())
        return frozenset(offered)

    def needs(self, location: Location) -> tuple[str, ...]:
        """Return the name of the store that is needed to delete the data of a location.

        It is the id of a named store. Without named stores it is the directory of a file, or the scheme, because two
        installations on one database may both call their only store ``default``.
        """
        served = self.serving(location)
        if served is not None:
            return self.needed[served]
        named = location.metadata.get("store")
        if isinstance(named, str) and named and "," not in named:
            return (named,)
        scheme, rest = split_url(location.url)
        driver = driver_of(scheme)
        directory = f"{scheme}://{rest.rpartition('/')[0]}/"
        in_directories = driver is not None and driver.in_directories
        return (directory if in_directories and "," not in directory else f"{scheme}://",)

    def needed_by(self, names: Sequence[str]) -> Store | None:
        """Return the store with this name in :attr:`needed`, None if this process does not have it."""
        for store_id, known in self.needed.items():
            if known == tuple(names):
                return self._by_id[store_id]
        # the id of the only store, in jobs of versions before revision glimpse_007
        return self._by_id.get(names[0]) if names else self.default

    def details(self, entry: StoreSettings) -> dict[str, object]:
        """Return what store discovery shows of a store; nothing of one that cannot be used."""
        if isinstance(self._by_id[entry.id], UnusableStore):
            return {}
        return DRIVERS[entry.kind].details(entry.options)

    def check_preferred(self, store_ids: Iterable[str]) -> None:
        """Check stores that a client prefers; reserved ones are allowed, but never have data (imports-and-stores 4.4).

        :raises Invalid: there are no named stores, or one of the ids is unknown.
        """
        if not self.named:
            raise Invalid("A store cannot be preferred: there is only one.")
        for store_id in store_ids:
            if store_id not in RESERVED:
                self.by_id(store_id)

    def in_order(self, locations: Sequence[Location], prefer: Collection[str] = ()) -> Sequence[Location]:
        """Return ``locations`` in the order to read them: by descending weight of their stores.

        Those in the stores of ``prefer`` come before the others. Locations without a store have weight 0.
        """
        if len(locations) < 2 or not self.named:
            return locations
        ranked: list[tuple[bool, int, int]] = []
        for position, location in enumerate(locations):
            store_id = self.serving(location)
            weight = 0 if store_id is None else self.weights[store_id]
            ranked.append((store_id not in prefer, -weight, position))
        return [locations[position] for _, _, position in sorted(ranked)]

    def _repairing(self, location: Location) -> Iterator[tuple[str, LocationRepair]]:
        """Yield the stores that may have the data of a location and rewrite URIs."""
        try:
            candidates = self.candidates(location) if split_url(location.url)[0] in self.repaired_schemes else ()
        except (ForeignLocation, StoreUnavailable):
            return
        named = location.metadata.get("store")
        for store in candidates:
            if named is not None and named != store.id:
                return
            if (repair := ability(store, LocationRepair)) is not None:
                yield store.id, repair

    def _name(self, store: Store) -> tuple[str, ...]:
        if self.named:
            return (store.id,)
        prefixed = ability(store, Prefixed)
        prefixes = () if prefixed is None else prefixed.url_prefixes
        return (prefixes[0] if prefixes and "," not in prefixes[0] else f"{store.scheme}://",)

    def _add(self, entry: StoreSettings, store: Store) -> None:
        self._by_id[entry.id] = store
        driver = DRIVERS[entry.kind]
        for scheme in driver.schemes:
            self._by_scheme.setdefault(scheme, []).append(_Served(store, driver))


def _after_scheme(prefix: str) -> str:
    """Return a prefix without its scheme; nothing remains of the prefix of an unnamed cinder store, ``cinder://``."""
    return prefix.partition("://")[2]


def offered_by(settings: Stores) -> frozenset[str]:
    """Return what :meth:`StoreSet.offers` would return with these settings, without opening a store."""
    offered: set[str] = set()
    for entry in settings.stores:
        offered.add(entry.id)
        driver = DRIVERS.get(entry.kind)
        if driver is not None and isinstance(entry.options, driver.options):
            beginnings = ["", *(_after_scheme(url) for url in _prefixes(driver, entry))]
            offered.update(f"{scheme}://{beginning}" for scheme in driver.schemes for beginning in beginnings)
    return frozenset(offered)


def store_of(stores: StoreSet, url: str) -> Store:
    """Return the store that serves a URL given by a client.

    :raises Invalid: the URL is malformed, clients may not use its scheme, or no store serves it.
    """
    scheme, _ = split_url(url)
    if scheme in PRIVATE_SCHEMES:
        raise Invalid(f"Locations of the scheme {scheme} cannot be added.")
    try:
        return stores.for_location(Location(url=url))
    except StoreUnavailable as error:
        raise Invalid(str(error)) from error


def place(stores: StoreSet, url: str, *, size_cap: int) -> Placement:
    """Return the size of the data at a URL and the metadata of its location, as told by its store.

    ``size_cap`` is the maximum size of an image in bytes.

    :raises Invalid: see :func:`store_of`; or the store refuses the URL, has no data there, does not know their size, or
        the data are empty.
    :raises LimitExceeded: the data are larger than ``size_cap``.
    :raises StoreUnavailable: the store is not working at the moment.
    """
    store_of(stores, url)
    try:
        store = stores.holding(Location(url=url))
        size = store.size(url)
    except DataNotFound as error:
        raise Invalid("There are no data at the location.") from error
    except Refused as error:
        raise Invalid(str(error)) from error
    if size is None:
        raise Invalid("The server of the location does not say how long the data are; an image needs its size.")
    if size == 0:
        raise Invalid("The data at the location are empty.")
    if size > size_cap:
        raise LimitExceeded(f"The data have {size} bytes, image_size_cap allows {size_cap}.")
    return Placement(size, {"store": store.id} if stores.named else {})


def _prefixes(driver: Driver, entry: StoreSettings) -> tuple[str, ...]:
    try:
        return driver.url_prefixes(entry.id, entry.options)
    except StoreMisconfigured:  # its reason is that of the store
        return ()


def _build(entry: StoreSettings, settings: Stores, metrics: StoreMetrics | None, health: StoreHealth) -> Store:
    driver = DRIVERS.get(entry.kind)
    if driver is None:
        raise StoreMisconfigured(entry.id, f"there is no driver {entry.kind!r}; the drivers are {', '.join(DRIVERS)}")
    if not isinstance(entry.options, driver.options):
        raise StoreMisconfigured(entry.id, f"its options are not those of the driver {entry.kind}")
    try:
        msgspec.convert(msgspec.structs.asdict(entry.options), driver.options)
    except msgspec.ValidationError as error:
        raise StoreMisconfigured(entry.id, str(error)) from error
    arguments = (settings.uri_filter, settings.data_sources) if driver.fetches else ()
    timeout = driver.timeout(entry.options)
    if timeout is None and settings.calls.timeout:
        timeout = CallTimeout(seconds=settings.calls.timeout)
    try:
        store: Store = driver.build(entry.id, entry.options, *arguments)
    except StoreMisconfigured as error:
        if entry.id == settings.default:
            raise
        LOG.error("Store %s cannot be used: %s", entry.id, error.reason)  # noqa: TRY400 - the message is complete
        return UnusableStore(entry.id, driver.schemes[0], error.reason, _prefixes(driver, entry))
    return wrapped(store, settings.calls, timeout, metrics, health)
