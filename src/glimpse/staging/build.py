"""The staging area of a configuration: a directory, or an object store."""

from __future__ import annotations

import msgspec

from glimpse.settings.files import staging_directory
from glimpse.settings.model import Settings
from glimpse.staging.base import StagingArea
from glimpse.staging.directory import DirectoryStaging
from glimpse.staging.objects import ObjectStaging, require_apart
from glimpse.stores.multi import StoreSet
from glimpse.stores.wrap import StoreMetrics


def build_staging(settings: Settings, images: StoreSet, metrics: StoreMetrics | None = None) -> StagingArea:
    """Build the staging area; ``images`` are the stores of images.

    :raises StoreMisconfigured: the store of staged data cannot work as configured.
    """
    entry = settings.imports.staging_entry
    local = DirectoryStaging(staging_directory(settings))
    if entry is None:
        return local
    alone = msgspec.structs.replace(settings.stores, default=entry.id, stores=(entry,), named=True)
    store = StoreSet(alone, metrics).default
    require_apart(store, images)
    return ObjectStaging(store, local)
