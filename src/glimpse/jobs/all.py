"""The handlers of the kinds of jobs (:mod:`glimpse.domain.job_kinds`), one module each in ``steps/``."""

from __future__ import annotations

from concurrent.futures import Executor

from glimpse.db.base import Database
from glimpse.fetch.rules import UrlRules
from glimpse.jobs.base import Handlers, JobHandler
from glimpse.jobs.steps.copy_removal import CopyRemoval
from glimpse.jobs.steps.image_deletion import ImageDeletion
from glimpse.jobs.steps.image_import import ImageImport
from glimpse.jobs.steps.import_plugins import ImportPlugins
from glimpse.jobs.steps.import_services import ImportServices
from glimpse.jobs.steps.import_sources import ImportSources, OpenCopies
from glimpse.jobs.steps.location_check import LocationCheck
from glimpse.jobs.steps.location_import import LocationImport
from glimpse.jobs.steps.staging import StagingRecovery
from glimpse.jobs.steps.upload import UploadRecovery
from glimpse.jobs.steps.upload_sweep import UploadSweep
from glimpse.notify.base import Notifier
from glimpse.quota.all import build_admission
from glimpse.settings.model import Settings
from glimpse.signature.all import LazyVerifiers
from glimpse.staging.base import StagingArea
from glimpse.stores.multi import StoreSet


def build_handlers(
    settings: Settings,
    database: Database,
    stores: StoreSet,
    staging: StagingArea,
    digest_threads: Executor,
    notifier: Notifier | None = None,
    *,
    open_copies: OpenCopies,
) -> Handlers:
    """Build the handlers by the types of their jobs. ``digest_threads`` hash in parallel with the job's own thread,
    ``open_copies`` opens the data of an active image.
    """
    # limits of Keystone do not count locations (imports-and-stores 7.2)
    quotas = settings.quotas
    admission = None if quotas.use_keystone_limits else build_admission(quotas, database, None)
    allowance_of = None if admission is None else admission.for_locations
    imports = ImportServices(
        database,
        stores,
        staging,
        digest_threads,
        sources=ImportSources(
            staging,
            open_copies,
            rules=UrlRules(settings.uri_filter),
            web=settings.data_sources,
            formats=settings.formats,
            copied_properties=settings.imports.extra_properties,
            size_cap=settings.limits.image_size_cap,
        ),
        plugins=ImportPlugins(settings.import_plugins, staging, settings.formats, settings.limits.image_size_cap),
        signatures=LazyVerifiers(settings.signatures),
        formats=settings.formats,
        size_cap=settings.limits.image_size_cap,
        allowance_of=allowance_of,
        notifier=notifier,
    )
    handlers: tuple[JobHandler, ...] = (
        UploadRecovery(database, stores, notifier),
        UploadSweep(stores),
        StagingRecovery(database, staging),
        ImageDeletion(database, stores, notifier),
        CopyRemoval(database, stores),
        LocationImport(
            database,
            stores,
            digest_threads,
            settings=settings.locations,
            formats=settings.formats,
            size_cap=settings.limits.image_size_cap,
            allowance_of=allowance_of,
        ),
        LocationCheck(database, stores, digest_threads, settings=settings.locations, formats=settings.formats),
        ImageImport(imports),
    )
    return {handler.type: handler for handler in handlers}
