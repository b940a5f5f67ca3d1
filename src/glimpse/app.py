"""The composition root: builds a service from settings. It knows all parts; ``background.py`` builds those of jobs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial

import msgspec

from glimpse.api.app import Application, counted_transfer
from glimpse.api.cors import CorsAnswers
from glimpse.api.openapi.document import openapi_document
from glimpse.api.request import AppState, Documents
from glimpse.api.routes import TABLE, build_router
from glimpse.api.v2.schemas.catalog import SchemaCatalog, build_schemas
from glimpse.api.v2.views import ImageView
from glimpse.asgi import ASGIApp
from glimpse.auth.all import build as build_authenticator
from glimpse.background import NOTIFY_SECONDS, build_background
from glimpse.database_factory import embedded_directory, for_reading, open_database
from glimpse.db.base import Database
from glimpse.domain.imports import offered_methods
from glimpse.fetch.rules import UrlRules
from glimpse.jobs.heartbeat import Heartbeat
from glimpse.jobs.queue import JobQueue
from glimpse.jobs.runner import JobRunner
from glimpse.notify.all import build_notifier
from glimpse.notify.base import Notifier
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.property_protection import build_property_protection
from glimpse.quota.all import build_admission, build_limits
from glimpse.services.deps import Deps
from glimpse.services.image_source import ImageSource, StoredData
from glimpse.services.stage_forwarding import Nodes
from glimpse.services.store_markers import check_markers
from glimpse.settings.library_sections import AUTHTOKEN
from glimpse.settings.model import Settings
from glimpse.settings.nodes import own_url
from glimpse.signature.all import LazyVerifiers
from glimpse.staging.build import build_staging
from glimpse.stores.multi import StoreSet
from glimpse.telemetry.metrics import ProcessMetrics, Recorder
from glimpse.transfer.concurrency import Concurrency
from glimpse.transfer.fair_threads import FairThreads
from glimpse.transfer.part_sizes import PartMemory
from glimpse.transfer.turn_budget import TurnBudget


@dataclass(frozen=True, slots=True)
class Service:
    """One worker's service: the ASGI application, the parts that tests inspect, and how to close it if it was not
    started.
    """

    application: ASGIApp
    deps: Deps
    jobs: JobRunner
    close: Callable[[], None]


def build_asgi(settings: Settings) -> ASGIApp:
    """Build the ASGI application of one worker process.

    :raises StoreMisconfigured: a store cannot work as configured.
    :raises PolicyError: the policy files are invalid.
    :raises PropertyProtectionError: the property protection file is invalid.
    :raises CustomSchemaError: schema-image.json is invalid.
    :raises AuthSettingsError: the files of auth ``basic`` are invalid.
    :raises SettingsError: the options for Keystone's limits are invalid.
    """
    return build_service(settings).application


def build_service(settings: Settings, database: Database | None = None) -> Service:
    """Like :func:`build_asgi`; uses ``database``, if given, instead of a new connection."""
    recorder = ProcessMetrics() if settings.metrics.port is not None else None
    schemas = build_schemas(
        container_formats=settings.formats.container_formats,
        disk_formats=settings.formats.disk_formats,
        custom=settings.custom_schema,
    )
    notifier = build_notifier(settings.notifications, None if recorder is None else recorder.notification)
    if database is None:
        database = open_database(settings, on_connect=None if recorder is None else recorder.database_connected)
    deps = _deps(settings, database, schemas, notifier, recorder)
    state = _app_state(settings, deps, schemas, recorder)
    background = build_background(
        settings, deps.database, deps.stores, deps.staging, deps.heartbeat,
        digest_threads=deps.digest_threads, wakeup=deps.jobs.wakeup, notifier=deps.notifier, recorder=recorder,
    )  # fmt: skip

    def start() -> None:
        check_markers(deps.stores, deps.database)
        background.start()

    def stop() -> None:
        background.stop()
        close()

    def close() -> None:
        _end_threads(state)
        if notifier is not None:
            notifier.close(NOTIFY_SECONDS)
        deps.nodes.close()
        deps.staging.close()
        deps.stores.close()
        deps.database.close()
        if recorder is not None:
            recorder.close()

    application: ASGIApp = Application(
        app_state=state,
        authenticator=build_authenticator(settings.auth),
        router=build_router(),
        recorder=recorder,
        start=start,
        stop=stop,
    )
    origins = [group for group in (settings.cors, *settings.more_cors.values()) if group.allowed_origin]
    if origins:
        application = CorsAnswers(application, origins)
    return Service(application, deps, background.runner, close)


def _deps(
    settings: Settings,
    database: Database,
    schemas: SchemaCatalog,
    notifier: Notifier | None,
    metrics: Recorder | None,
) -> Deps:
    """The collaborators of the use cases."""
    stores = StoreSet(settings.stores, metrics)
    policy = OsloPolicy(settings.policy)
    limits = build_limits(settings.quotas, database.usage)
    return Deps(
        database=database,
        stores=stores,
        source=_image_source(stores, metrics),
        staging=build_staging(settings, stores, metrics),
        nodes=_nodes(settings),
        policy=policy,
        heartbeat=Heartbeat(database, settings.leases),
        checker=schemas.checker,
        limits=settings.limits,
        formats=settings.formats,
        digest_threads=_threads("digest", settings.listen.transfer_threads),
        signatures=LazyVerifiers(settings.signatures),
        jobs=JobQueue(database, notifier),
        url_rules=UrlRules(settings.uri_filter),
        metadefs=database,
        import_methods=offered_methods(settings.imports.enabled_import_methods, named_stores=settings.stores.named),
        shows_locations=settings.api.show_multiple_locations,
        protections=build_property_protection(settings.policy, policy),
        admission=build_admission(settings.quotas, database, limits),
        project_limits=limits,
        notifier=notifier,
    )


def _nodes(settings: Settings) -> Nodes:
    """Return the access to the other nodes; their certificates are verified with the options for Keystone, if given."""
    tls = settings.auth.keystone.get(AUTHTOKEN, {})
    ca_file = tls.get("cafile")
    return Nodes(
        own_url(settings),
        at_once=max(1, settings.listen.transfer_threads // 4),
        verify=str.__str__(tls.get("insecure", "")).strip().lower() not in {"1", "t", "true", "on", "y", "yes"},
        ca_file=str.__str__(ca_file) if ca_file else None,
    )


def _image_source(stores: StoreSet, metrics: Recorder | None) -> ImageSource:
    """Where downloads read from. A cache goes here, in front of the stores."""
    return StoredData(stores) if metrics is None else StoredData(stores, metrics.download_failover)


def _app_state(settings: Settings, deps: Deps, schemas: SchemaCatalog, recorder: Recorder | None) -> AppState:
    """Build the state that request handlers share."""
    reading = for_reading(settings, deps.database)
    listen = settings.listen
    return AppState(
        deps=deps,
        reading_deps=deps if reading is deps.database else replace(deps, database=reading, metadefs=reading),
        settings=settings,
        documents=Documents(schemas.bodies, _image_view(settings, schemas, deps.stores), _openapi(settings, schemas)),
        identity_threads=FairThreads("identity", _identity_threads(settings)),
        returning_threads=FairThreads("returning", _identity_threads(settings)),
        threads=_threads("request", listen.request_threads),
        transfer_threads=_threads("transfer", listen.transfer_threads),
        reading_threads=FairThreads("reading", listen.transfer_threads),
        store_threads=FairThreads("store", listen.transfer_threads),
        transfer=partial(counted_transfer, recorder),
        uploads=Counter(),
        database_directory=embedded_directory(settings),
        downloads=Concurrency("downloads", listen.max_downloads, listen.max_downloads_per_project),
        part_memory=PartMemory(listen.download_memory),
        turn_budget=TurnBudget(),
    )


def _end_threads(state: AppState) -> None:
    # waiting tasks close the readers of finished downloads, so they must still run
    for fair in (state.reading_threads, state.store_threads, state.identity_threads, state.returning_threads):
        fair.shutdown()
    for pool in (state.threads, state.transfer_threads, state.deps.digest_threads):
        pool.shutdown(wait=True, cancel_futures=True)


def _threads(name: str, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix=name)


def _identity_threads(settings: Settings) -> int:
    """Deriving a hash occupies a CPU, asking Keystone does not."""
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
    """Return the OpenAPI document, built at the first request."""

    @cache
    def document() -> bytes:
        made = openapi_document(TABLE, schemas, auth=settings.auth.kind, url=settings.api.public_endpoint)
        return msgspec.json.encode(made)

    return document
