"""The RBD store in the list of drivers."""

from glimpse.stores.driver import Driver
from glimpse.stores.rbd.options import RbdOptions, details, url_prefixes
from glimpse.stores.rbd.store import RbdStore
from glimpse.stores.rbd.uri import SCHEMES

DRIVER = Driver(
    kind="rbd",
    schemes=SCHEMES,
    options=RbdOptions,
    build=RbdStore,
    details=details,
    url_prefixes=url_prefixes,
    stages=True,
)
