"""Locations: changed by PATCH, added and read through their own resource (images-api 3.5.4; imports-and-stores 5)."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote

import msgspec

from glimpse.context import Context
from glimpse.db.records import Viewer
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job_kinds import (
    COPY_REMOVAL,
    LOCATION_CHECK,
    LOCATION_IMPORT,
    CopyRemovalInput,
    LocationCheckInput,
    LocationImportInput,
)
from glimpse.domain.location_data import check_digest, location_request
from glimpse.domain.locations import LocationEdit, Placement
from glimpse.domain.patch import Operation
from glimpse.domain.properties import IMPORT_LOCK, about_old_data
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Forbidden, Invalid, LeaseLost, NotFound
from glimpse.jobs.steps.copies import check_removable
from glimpse.jobs.steps.copy_removal import remove_claimed
from glimpse.jobs.steps.location_import import unique_key
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.import_lock import take_over
from glimpse.stores.argument_checks import split_url
from glimpse.stores.multi import place, store_of

LOG = logging.getLogger(__name__)

_WEB = frozenset({"http", "https"})
_SERVICE = "service"
_IMAGE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def location_edit(deps: Deps, context: Context, image: Image, operations: Sequence[Operation]) -> LocationEdit | None:
    """Return the edit for a PATCH's operations on locations; None without any, or if locations are not shown."""
    if not deps.shows_locations or not any(operation.on_locations for operation in operations):
        return None

    def placed(url: str) -> Placement:
        _refuse_data_of_others(deps, context, image, url)
        return place(deps.stores, url, size_cap=deps.limits.image_size_cap)

    algorithm = deps.formats.hashing_algorithm
    return LocationEdit(
        image,
        deps.stores.in_order(image.locations),
        place=placed,
        quota=deps.limits.image_location_quota,
        algorithm=algorithm,
        digits=hashlib.new(algorithm, usedforsecurity=False).digest_size * 2,
    )


def _refuse_data_of_others(deps: Deps, context: Context, image: Image, url: str) -> None:
    """Refuse the URL of another project's image.

    Objects in stores are named after their images, and the service can read all of them. URLs on web servers are not
    checked, because the service stores nothing there.

    :raises Forbidden: the URL names an image of another project.
    """
    if context.is_admin or not store_of(deps.stores, url).writable:
        return
    for found in set(_IMAGE_ID.findall(unquote(url))):
        other = found.lower()
        if other == image.id.lower():
            continue
        try:
            owner = deps.database.get_image(other, Viewer(None, is_admin=True)).owner
        except NotFound:
            continue
        if owner is None or owner != context.project_id:
            raise Forbidden("The location belongs to another image.")


def save_with_check(deps: Deps, context: Context, image: Image, change: ImageChange) -> datetime:
    """Save a change that adds locations, with the job that checks them; returns ``updated_at``.

    Errors are those of :meth:`glimpse.db.base.Database.update_image`.
    """
    if image.status is Status.QUEUED and (stale := about_old_data(image.properties)):
        change = msgspec.structs.replace(change, drop_properties=(*change.drop_properties, *stale))
    job = deps.jobs.draft(context, LOCATION_CHECK, LocationCheckInput(image_id=image.id), image_id=image.id)
    return deps.jobs.add(job, change)


def finish_location_edit(deps: Deps, context: Context, image: Image, edit: LocationEdit) -> Image:
    """Delete the locations that a saved PATCH removes from ``image``, and return the image without them.

    Raises the errors of :func:`remove_location`; the first one leaves the remaining locations in place.
    """
    for location in edit.removed:
        remove_location(deps, context, image, location)
    return msgspec.structs.replace(image, locations=edit.locations)


def remove_location(deps: Deps, context: Context, image: Image, location: Location) -> datetime:
    """Remove one location from an active image and delete its data; return the new ``updated_at`` of the image.

    The store is asked first. Then the location is removed from the image, and a job covers the time until the data are
    deleted: another process deletes them if this one dies, and later if the store is unavailable. Data in a read-only
    store, and data that another location of the image also names, are not deleted.

    :raises NotFound: the image no longer exists.
    :raises Conflict: the image is not active or being deleted, or the location does not exist or is the last one.
    :raises Refused, Invalid: the store refuses; the image keeps the location.
    """
    if location.id is None:
        raise Conflict("The location is not stored.")
    check_removable(deps.stores, image, location)
    given = CopyRemovalInput(url=location.url, location_id=location.id)
    needed = deps.stores.needs(location)
    with deps.heartbeat.attend(context, COPY_REMOVAL, given, image_id=image.id, stores=needed) as run:
        updated_at = deps.database.begin_location_removal(run.job, deps.heartbeat.lifetime, location.id)
        deps.heartbeat.begun(run)
        try:
            remove_claimed(deps.database, deps.stores, run)
        except LeaseLost:
            # the image has the location no more, and the process that took the job over removes the copy
            LOG.warning("Job %s was taken over by another process, which removes the copy", run.job.id)
    return updated_at


def add_location(deps: Deps, context: Context, image_id: str, document: Mapping[str, object]) -> None:
    """Record a job that adds a location to a queued image; checks are in the order of imports-and-stores 5.4.

    :raises Invalid: the document violates the schema, the digest is malformed, or the URL is not allowed.
    :raises NotFound: unknown or invisible image.
    :raises Conflict: the image is not queued, or an import of it is under way.
    :raises Forbidden: policy ``add_image_location``, or the caller is not a service and the URL not on a web server.
    """
    request = location_request(document)
    image = deps.database.get_image(image_id, viewer_of(context))
    if image.status is not Status.QUEUED:
        # a caller who may not see the image learns nothing about it
        deps.policy.require_image(context, "get_image", image)
        raise Conflict(f"Image {image.id} is {image.status}; locations can be added only while it is queued.")
    deps.policy.require_image(context, "add_image_location", image)
    scheme = split_url(request.url)[0] if "://" in request.url else ""
    if _SERVICE not in context.roles | context.service_roles and not _on_web_server(deps, scheme):
        raise Forbidden("Only services may add locations that are not on web servers.")
    given: dict[str, str] = {}
    if request.digest is not None:
        check_digest(request.digest)
        given = {"os_hash_algo": request.digest.algorithm, "os_hash_value": request.digest.value}
    if scheme in _WEB:
        deps.url_rules.check(request.url)
    elif not scheme:
        raise Invalid("The URL of a location must have a scheme.")
    lists = take_over(deps, image)
    job = deps.jobs.draft(
        context,
        LOCATION_IMPORT,
        LocationImportInput(image_id=image.id, loc_url=request.url, validation_data=given),
        image_id=image.id,
        unique_key=unique_key(image.id),
    )
    deps.jobs.add(job, ImageChange(set_properties={**lists, IMPORT_LOCK: job.id}, from_status=(Status.QUEUED,)))


def _on_web_server(deps: Deps, scheme: str) -> bool:
    return scheme in _WEB and deps.stores.serving(Location(url=f"{scheme}://host/")) is not None


def list_locations(deps: Deps, context: Context, image_id: str) -> Image:
    """Return the image, for a service that asks for its locations.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``fetch_image_location``.
    """
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "fetch_image_location", image)
    return image
