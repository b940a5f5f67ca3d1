"""Imports: which requests are accepted, and the job that each one records (imports-and-stores 2.3 to 2.5, 2.9)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from glimpse.context import Context
from glimpse.domain.digests import ExpectedDigest, digests_of_sdk
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.imports import (
    COPY_IMAGE,
    GLANCE_DIRECT,
    GLANCE_DOWNLOAD,
    WEB_DOWNLOAD,
    ImportRequest,
    check_store_choice,
)
from glimpse.domain.job import ENDED, JobQuery, needed_node
from glimpse.domain.job_kinds import IMAGE_IMPORT, STAGING, ImageImportInput
from glimpse.domain.properties import IMPORT_LOCK
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Invalid
from glimpse.fetch.checksum_file import file_name_of
from glimpse.jobs.steps.location_import import unique_key
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.import_lock import take_over
from glimpse.services.stage_forwarding import NodeAnswer, Passage
from glimpse.stores.base import ActsForUsers, Store, ability

#: The status that an image must have, by method.
_NEEDED_STATUS = {
    GLANCE_DIRECT: Status.UPLOADING,
    WEB_DOWNLOAD: Status.QUEUED,
    GLANCE_DOWNLOAD: Status.QUEUED,
    COPY_IMAGE: Status.ACTIVE,
}


def import_image(
    deps: Deps,
    context: Context,
    image_id: str,
    request: ImportRequest,
    header_store: str | None,
    passage: Passage,
    *,
    by_sdk: bool = False,
) -> NodeAnswer | None:
    """Record a job that imports the data of an image; checks are in the order of imports-and-stores 2.4.

    ``header_store`` is the store id of the header ``X-Image-Meta-Store``. A copy of an image that all stores have
    already records nothing. If another node has the staged data, it is asked to do all this; its answer is returned.

    With ``by_sdk`` the data at a URL must have the digests in the properties that openstacksdk has set; data that are
    staged were compared with them then.

    :raises LimitExceeded: the project uses more than its limit already.
    :raises NotFound: unknown or invisible image.
    :raises Conflict: the image has another status than the method needs, or no formats, or an import of it is under
        way; or a store is unknown, or no data are staged.
    :raises Forbidden: policy ``copy_image`` or ``modify_image``.
    :raises Invalid: the stores contradict each other, one is read-only or has the image already, a URI is missing or
        not allowed, or the region or id of another service's image is missing or no UUID.
    :raises Unavailable: the host name of a URI cannot be resolved at the moment.
    :raises NodeUnreachable: the node with the staged data does not answer.
    :raises NodeFailed: what answers for it is not an image service.
    """
    if deps.admission is not None:
        deps.admission.check_upload(context, None)
    image = deps.database.get_image(image_id, viewer_of(context))
    try:
        _check_image(image, request.method)
        if request.glance is not None:
            request.glance.check()
    except (Conflict, Invalid):
        # a caller who may not see the image learns nothing about it
        deps.policy.require_image(context, "get_image", image)
        raise
    deps.policy.require_image(context, "copy_image" if request.method == COPY_IMAGE else "modify_image", image)
    lists = take_over(deps, image)
    targets = _targets(deps, image, request, header_store or None)
    if not targets:
        return None
    if request.method == GLANCE_DIRECT:
        node = deps.nodes.holder(image, passage)
        if node is not None:
            fields = {} if header_store is None else {"X-Image-Meta-Store": header_store}
            body = msgspec.json.encode(request.given)
            return deps.nodes.send("POST", node, f"/v2/images/{image.id}/import", passage, fields=fields, body=body)
        _check_staged(deps, image, passage)
    elif request.method == WEB_DOWNLOAD:
        if not request.uri:
            raise Invalid("An import with web-download needs 'method.uri'.")
        _check_url(deps, "uri", request.uri)
        if request.checksum_uri is not None:
            file_name_of(request.uri)
            _check_url(deps, "checksum_uri", request.checksum_uri)
    digests = digests_of_sdk(image.name, image.properties) if by_sdk and request.method == WEB_DOWNLOAD else ()
    _record(deps, context, image, request, targets, lists, digests)
    return None


def _check_url(deps: Deps, name: str, url: str) -> None:
    """:raises Invalid: the rules refuse the URL of a field of the request, or it has a user name or a password."""
    if deps.url_rules.check(url).credentials is not None:
        raise Invalid(f"'method.{name}' must not have a user name or a password.")


def _check_image(image: Image, method: str) -> None:
    """:raises Conflict: the image has another status than the method needs, or lacks a format."""
    needed = _NEEDED_STATUS[method]
    if image.status is not needed:
        raise Conflict(f"Image {image.id} is {image.status}; {method} needs an image that is {needed}.")
    for name in ("container_format", "disk_format"):
        if getattr(image, name) is None:
            raise Conflict(f"Set the {name} of image {image.id} before you import its data.")


def _targets(deps: Deps, image: Image, request: ImportRequest, header_store: str | None) -> tuple[str, ...]:
    """Return the ids of the stores to import into (imports-and-stores 2.5); none if they all have the image.

    A single store is used whatever the request says.
    """
    stores = deps.stores
    if not stores.named:
        _check_token(stores.default)
        return (stores.default.id,)
    check_store_choice(request, header_store)
    held = _stores_with(deps, image) if request.method == COPY_IMAGE else frozenset[str]()
    if request.all_stores:
        writable = [
            store_id
            for store_id in stores.ids()
            if stores.by_id(store_id).writable and not _needs_token(stores.by_id(store_id))
        ]
        if not writable:
            raise Invalid("All stores of the service are read-only, or need the token of a user to write.")
        return tuple(store_id for store_id in writable if store_id not in held)
    chosen = request.stores if request.stores is not None else (header_store or stores.default.id,)
    unknown = [store_id for store_id in chosen if store_id not in stores.ids()]
    if unknown:
        raise Conflict(f"There is no store {unknown[0]!r}; the stores are {', '.join(stores.ids())}.")
    for store_id in chosen:
        if store_id in held:
            raise Invalid(f"The image is already in the store {store_id!r}.")
        if not stores.by_id(store_id).writable:
            raise Invalid(f"The store {store_id!r} is read-only.")
        _check_token(stores.by_id(store_id))
    return chosen


def _needs_token(store: Store) -> bool:
    acts = ability(store, ActsForUsers)
    return acts is not None and not acts.writes_for_jobs


def _check_token(store: Store) -> None:
    """:raises Invalid: a job, which has no token, cannot write to the store."""
    if _needs_token(store):
        raise Invalid(
            f"The store {store.id!r} writes only with the token of a user, which an import does not have; upload the "
            "data instead."
        )


def _stores_with(deps: Deps, image: Image) -> frozenset[str]:
    """Return the ids of the stores that have the data of an image.

    A location that names no store is in the store that its URI belongs to, and otherwise counts as in the default one.
    """
    found: set[str] = set()
    for location in image.locations:
        named = location.metadata.get("store")
        if isinstance(named, str) and named:
            found.add(named)
        else:
            found.add(deps.stores.owner(location) or deps.stores.default.id)
    return frozenset(found)


def _check_staged(deps: Deps, image: Image, passage: Passage) -> None:
    """:raises Conflict: the data of an image are still being staged, or are not in the staging area of this node."""
    latest = deps.database.list_jobs(JobQuery(image_id=image.id, types=(STAGING,), limit=1))
    if any(job.status not in ENDED for job in latest):
        raise Conflict(f"The data of image {image.id} are still being staged.")
    if deps.staging.size(image.id) is None:
        named = " that another node takes for the one that has them; check worker_self_reference_url of all nodes"
        raise Conflict(f"No data are staged for image {image.id} on this node{named if passage.was_forwarded else ''}.")


def _record(
    deps: Deps,
    context: Context,
    image: Image,
    request: ImportRequest,
    targets: tuple[str, ...],
    lists: Mapping[str, str | None],
    digests: tuple[ExpectedDigest, ...],
) -> None:
    """Record the job, take the lock of the image and change its ``lists`` of stores in one transaction.

    :raises Conflict: the image changed its status meanwhile, or another import was faster.
    """
    own_url = deps.nodes.own_url
    given = ImageImportInput(
        image_id=image.id,
        request=msgspec.json.encode(request.given).decode(),
        stores=targets,
        digests={one.algorithm: one.value for one in digests},
        endpoint=_endpoint(context, request),
        token=None if request.glance is None or context.token is None else str.__str__(context.token),
        roles=tuple(sorted(context.roles)),
    )
    job = deps.jobs.draft(
        context,
        IMAGE_IMPORT,
        given,
        image_id=image.id,
        unique_key=unique_key(image.id),
        stores=(
            *(name for store_id in targets for name in deps.stores.needed[store_id]),
            # the staged data are here, and other nodes do not have them
            *((needed_node(own_url),) if request.method == GLANCE_DIRECT and own_url is not None else ()),
        ),
    )
    deps.jobs.add(
        job,
        ImageChange(set_properties={**lists, IMPORT_LOCK: job.id}, from_status=(_NEEDED_STATUS[request.method],)),
    )


def _endpoint(context: Context, request: ImportRequest) -> str | None:
    """Return the URL of the image service that glance-download reads from; without one the job fails, as in Glance."""
    wanted = request.glance
    if wanted is None or wanted.region is None or context.catalog is None:
        return None
    return context.catalog.url_in("image", interface=wanted.interface, region=wanted.region)
