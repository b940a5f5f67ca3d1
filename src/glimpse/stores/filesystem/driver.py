"""The filesystem store in the list of drivers."""

from glimpse.stores.driver import Driver
from glimpse.stores.filesystem.directories import details, url_prefixes
from glimpse.stores.filesystem.options import SCHEMES, FilesystemOptions, call_timeout
from glimpse.stores.filesystem.store import FilesystemStore

DRIVER = Driver(
    kind="file",
    schemes=SCHEMES,
    options=FilesystemOptions,
    build=FilesystemStore,
    details=details,
    timeout=call_timeout,
    url_prefixes=url_prefixes,
    in_directories=True,
    only_own=True,
    private_schemes=SCHEMES,
)
