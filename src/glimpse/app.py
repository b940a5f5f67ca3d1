"""The composition root: settings in, a wired service out. The only module that knows all parts."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial

import msgspec

from glimpse.api.app import Application, counted_transfer
from glimpse.api.cors import ASGIApp, CorsAnswers
from glimpse.api.documents import Documents
from glimpse.api.exchange import AppState
from glimpse.api.openapi.document import openapi_document
from glimpse.api.routes import TABLE, build_router
from glimpse.api.v2.schemas.catalog import SchemaCatalog, build_schemas
from glimpse.api.v2.views import ImageView
from glimpse.auth.all import build as build_authenticator
from glimpse.database_factory import embedded_directory, for_reading, open_database
from glimpse.db.base import Database
from glimpse.fetch.rules import UrlRules
from glimpse.jobs.all import build_handlers
from glimpse.jobs.leases import LeaseKeeper
from glimpse.jobs.periodic import Periodic
from glimpse.jobs.queue import JobQueue
from glimpse.jobs.recovery import Recovery
from glimpse.jobs.runner import JobRunner
from glimpse.notify.all import build_notifier
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.property_protection import build_property_protection
from glimpse.quota.all import build_admission, build_limits
from glimpse.services.deps import Deps
from glimpse.services.store_markers import check_markers
from glimpse.settings.model import Settings
from glimpse.settings.pool_size import pool_of_jobs
from glimpse.signature.all import LazyVerifiers
from glimpse.stores.multi import StoreSet
from glimpse.telemetry.metrics import ProcessMetrics, Recorder
from glimpse.transfer.concurrency import Concurrency
from glimpse.transfer.fair_threads import FairThreads
from glimpse.transfer.part_sizes import PartMemory

#: Seconds that waiting notifications get to leave when the service stops.
NOTIFY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """One worker's service: the ASGI application, the parts that tests look into, and how to end it unstarted."""

    application: ASGIApp
    deps: Deps
    recovery: Recovery
    jobs: JobRunner
    close: Callable[[], None]


def build_asgi(settings: Settings) -> ASGIApp:
    """The ASGI application of one worker process.

    :raises StoreMisconfigured: a store cannot work as configured.
    :raises PolicyError: the policy files cannot be used.
    :raises PropertyProtectionError: the file of property protections cannot be used.
    :raises CustomSchemaError: schema-image.json cannot be used.
    :raises AuthSettingsError: the files of auth ``basic`` cannot be used.
    :raises SettingsError: the options of Keystone's limits cannot be used.
    """
    return build_service(settings).application


def build_service(settings: Settings, database: Database | None = None) -> Service:
    """As :func:`build_asgi`; with a ``database`` that one is used in place of a connection of its own."""
    recorder = ProcessMetrics() if settings.metrics.port is not None else None
    stores = StoreSet(settings.stores)
    schemas = build_schemas(
        container_formats=settings.formats.container_formats,
        disk_formats=settings.formats.disk_formats,
        custom=settings.custom_schema,
    )
    connected = None if recorder is None else recorder.database_connected
    database = database or open_database(settings, on_connect=connected)
    keeper = LeaseKeeper(database, settings.leases)
    policy = OsloPolicy(settings.policy)
    limits = build_limits(settings.quotas, database.usage)
    notifier = build_notifier(settings.notifications, None if recorder is None else recorder.notification)
    deps = Deps(
        database=database,
        stores=stores,
        policy=policy,
        leases=keeper,
        checker=schemas.checker,
        limits=settings.limits,
        formats=settings.formats,
        digest_threads=_threads("digest", settings.listen.transfer_threads),
        signatures=LazyVerifiers(settings.signatures),
        jobs=JobQueue(database),
        url_rules=UrlRules(settings.uri_filter),
        metadefs=database,
        shows_locations=settings.api.show_multiple_locations,
        protections=build_property_protection(settings.policy, policy),
        admission=build_admission(settings.quotas, database, limits),
        project_limits=limits,
        notifier=notifier,
    )
    reading = for_reading(settings, database)
    app_state = AppState(
        deps=deps,
        reading_deps=deps if reading is database else replace(deps, database=reading, metadefs=reading),
        settings=settings,
        documents=Documents(schemas.bodies, _image_view(settings, schemas, stores), _openapi(settings, schemas)),
        identity_threads=FairThreads("identity", _identity_threads(settings)),
        returning_threads=FairThreads("returning", _identity_threads(settings)),
        threads=_threads("request", settings.listen.request_threads),
        transfer_threads=_threads("transfer", settings.listen.transfer_threads),
        reading_threads=FairThreads("reading", settings.listen.transfer_threads),
        store_threads=FairThreads("store", settings.listen.transfer_threads),
        transfer=partial(counted_transfer, recorder),
        uploads=Counter(),
        database_directory=embedded_directory(settings),
        downloads=Concurrency("downloads", settings.listen.max_downloads, settings.listen.max_downloads_per_project),
        part_memory=PartMemory(settings.listen.download_memory),
    )
    recovery = Recovery(database, stores, keeper, _count_in(recorder), notifier)
    runner = _runner(settings, deps, recorder)
    beats = _beats(settings, keeper, recovery)
    pools = (
        app_state.threads,
        app_state.transfer_threads,
        deps.digest_threads,
    )

    def start() -> None:
        check_markers(stores, database)
        for beat in beats:
            beat.start()
        if settings.jobs.threads:
            runner.start()

    def stop() -> None:
        if settings.jobs.threads:
            runner.stop()
        for beat in beats:
            beat.stop()
        close()

    def close() -> None:
        # what waits there closes the readers of downloads that ended: it must still run
        app_state.reading_threads.shutdown()
        app_state.store_threads.shutdown()
        app_state.identity_threads.shutdown()
        app_state.returning_threads.shutdown()
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)
        if notifier is not None:
            notifier.close(NOTIFY_SECONDS)
        database.close()
        if recorder is not None:
            recorder.close()

    application: ASGIApp = Application(
        app_state=app_state,
        authenticator=build_authenticator(settings.auth),
        router=build_router(),
        recorder=recorder,
        start=start,
        stop=stop,
    )
    origins = [group for group in (settings.cors, *settings.more_cors.values()) if group.allowed_origin]
    if origins:
        application = CorsAnswers(application, origins)
    return Service(application, deps, recovery, runner, close)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that runs jobs and recovers what others left, and serves nothing; ``name`` is its name in leases."""

    name: str
    start: Callable[[], None]
    stop: Callable[[], None]


def build_worker(settings: Settings, *, threads: int) -> Worker:
    """``threads`` jobs run at the same time.

    :raises StoreMisconfigured: a store cannot work as configured.
    """
    stores = StoreSet(settings.stores)
    database = open_database(settings, pool=pool_of_jobs(threads))
    keeper = LeaseKeeper(database, settings.leases)
    notifier = build_notifier(settings.notifications, None)
    digest_threads = _threads("digest", threads)
    runner = JobRunner(
        database,
        build_handlers(settings, database, stores, digest_threads),
        owner=keeper.owner,
        wakeup=threading.Event(),
        jobs=msgspec.structs.replace(settings.jobs, threads=threads),
        leases=settings.leases,
        notifier=notifier,
    )
    recovery = Recovery(database, stores, keeper, _count_in(None), notifier)
    beat = Periodic("The recovery of leases", settings.leases.heartbeat, recovery.run)

    def start() -> None:
        check_markers(stores, database)
        beat.start()
        runner.start()

    def stop() -> None:
        runner.stop()
        beat.stop()
        digest_threads.shutdown(wait=True, cancel_futures=True)
        if notifier is not None:
            notifier.close(NOTIFY_SECONDS)
        database.close()

    return Worker(keeper.owner, start, stop)


def _runner(settings: Settings, deps: Deps, recorder: Recorder | None) -> JobRunner:
    return JobRunner(
        deps.database,
        build_handlers(settings, deps.database, deps.stores, deps.digest_threads),
        owner=deps.leases.owner,
        wakeup=deps.jobs.wakeup,
        jobs=settings.jobs,
        leases=settings.leases,
        on_outcome=_count_in(recorder),
        notifier=deps.notifier,
    )


def _count_in(recorder: Recorder | None) -> Callable[[str, str], None]:
    return recorder.work if recorder is not None else lambda _purpose, _outcome: None


def _threads(name: str, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix=name)


def _identity_threads(settings: Settings) -> int:
    """Deriving a hash takes a processor for itself, asking Keystone takes none."""
    return min(os.cpu_count() or 1, 4) if settings.auth.kind == "basic" else settings.listen.request_threads


def _image_view(settings: Settings, schemas: SchemaCatalog, stores: StoreSet) -> ImageView:
    return ImageView(
        locations=settings.api.show_multiple_locations,
        direct_url=settings.api.show_image_direct_url,
        stores=stores.named,
        weights=stores.weights,
        schema_names=schemas.custom_names,
        typed_names=schemas.typed_names,
    )


def _openapi(settings: Settings, schemas: SchemaCatalog) -> Callable[[], bytes]:
    """The document of the API, made when it is asked for the first time."""

    @cache
    def document() -> bytes:
        made = openapi_document(TABLE, schemas, auth=settings.auth.kind, url=settings.api.public_endpoint)
        return msgspec.json.encode(made)

    return document


def _beats(settings: Settings, keeper: LeaseKeeper, recovery: Recovery) -> tuple[Periodic, ...]:
    return (
        Periodic("The renewal of leases", settings.leases.heartbeat, keeper.renew),
        Periodic("The recovery of leases", settings.leases.heartbeat, recovery.run),
    )
