"""The list of store drivers. Drivers are registered only here; importing one has no side effects.

To add a driver: write its module, add the module's name here, and add a fixture in ``tests/contract/stores/rigs``
(docs/developer/add-a-store.md).
"""

from __future__ import annotations

from importlib import import_module

from glimpse.stores.driver import Driver

#: Modules below ``glimpse.stores`` that have a ``DRIVER``.
MODULES = (
    "filesystem.driver",
    "http",
    "memory",
    "cinder.driver",
    "s3.driver",
    "swift.driver",
    "rbd.driver",
)

DRIVERS: dict[str, Driver] = {
    driver.kind: driver for driver in (import_module(f"glimpse.stores.{name}").DRIVER for name in MODULES)
}


#: The URI schemes that clients may not use in locations that they add.
PRIVATE_SCHEMES = frozenset(scheme for driver in DRIVERS.values() for scheme in driver.private_schemes)


def driver_of(scheme: str) -> Driver | None:
    """Return the driver for locations with this scheme, even if no store uses it; None if no driver reads them."""
    return next((driver for driver in DRIVERS.values() if scheme in driver.schemes), None)
