"""The collaborators of the use cases; built once by ``app.py`` and passed to each."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.db.metadef_base import MetadefDatabase
from glimpse.db.records import Viewer
from glimpse.domain.document import ImageDocumentChecker
from glimpse.domain.imports import OfferedMethods
from glimpse.fetch.rules import UrlRules
from glimpse.jobs.heartbeat import Heartbeat
from glimpse.jobs.queue import JobQueue
from glimpse.notify.base import Notifier
from glimpse.policy.base import Policy
from glimpse.policy.property_protection import PropertyProtection
from glimpse.quota.base import Admission, ProjectLimits
from glimpse.services.image_source import ImageSource
from glimpse.services.stage_forwarding import Nodes
from glimpse.settings.model import Formats, Limits
from glimpse.signature.base import SignatureVerifiers
from glimpse.staging.base import StagingArea
from glimpse.stores.multi import StoreSet


@dataclass(frozen=True, slots=True)
class Deps:
    """The collaborators of every use case. ``digest_threads`` hashes in parallel with the transfer threads."""

    database: Database
    stores: StoreSet
    #: the source of data for reading: the stores, or a cache in front of them
    source: ImageSource
    #: where data wait for their import
    staging: StagingArea
    #: other nodes, which may have staging areas of their own
    nodes: Nodes
    policy: Policy
    #: renews the leases of the jobs that requests do themselves
    heartbeat: Heartbeat
    checker: ImageDocumentChecker
    limits: Limits
    formats: Formats
    digest_threads: Executor
    #: verify the signatures of signed images
    signatures: SignatureVerifiers
    jobs: JobQueue
    #: the operator's rules for URLs that users give
    url_rules: UrlRules
    #: the import methods that clients may use
    import_methods: OfferedMethods
    metadefs: MetadefDatabase
    #: whether locations of images are shown and can be changed
    shows_locations: bool = False
    #: rules for single properties, if a file of them is configured
    protections: PropertyProtection | None = None
    #: the quota of projects, if one is configured
    admission: Admission | None = None
    #: the limits of Keystone, with ``use_keystone_limits``
    project_limits: ProjectLimits | None = None
    #: sends events, if a notification driver is configured
    notifier: Notifier | None = None


def viewer_of(context: Context) -> Viewer:
    """Return the database's view of the caller."""
    return Viewer(context.project_id, context.is_admin)
