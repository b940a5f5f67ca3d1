"""Image records: create, show, list, update (images-api 3.2 to 3.5)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import msgspec

from glimpse.context import Context
from glimpse.domain.clock import now
from glimpse.domain.creation import check_document, check_limits, draft_image
from glimpse.domain.image import Image
from glimpse.domain.listing import ListQuery
from glimpse.domain.patch import CHANGING_RULES, Operation
from glimpse.domain.status import Visibility
from glimpse.domain.update import ImageEdit, changed
from glimpse.errors import Forbidden, NotFound
from glimpse.notify import events
from glimpse.policy.property_protection import PropertyProtection
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.location_repair import with_locations_repaired
from glimpse.services.locations import finish_location_edit, location_edit, save_with_check

#: Rules that a visibility requires in addition to the right to create or modify (images-api 3.11).
_VISIBILITY_RULES = {Visibility.PUBLIC: "publicize_image", Visibility.COMMUNITY: "communitize_image"}


def create_image(deps: Deps, context: Context, document: Mapping[str, object]) -> Image:
    """Create an image from the document; checks are in the order of images-api 3.2.

    :raises Invalid: the document violates the schema, or a value cannot be stored.
    :raises Forbidden: a name that clients may not set; policy ``add_image`` or the rule of the visibility.
    :raises LimitExceeded: too many tags or custom properties, or too many images in the project.
    :raises Duplicate: the id is in use, possibly by a deleted image.
    """
    check_document(document, deps.checker)
    image = draft_image(document, default_owner=context.project_id, now=now(), new_id=str(uuid.uuid4()))
    target = _creation_target(document, image)
    _require_creation(deps, context, target)
    rule = _VISIBILITY_RULES.get(image.visibility)
    if rule is not None:
        deps.policy.require(context, rule, target)
    ceiling = None if deps.admission is None else deps.admission.check_creation(context, image.owner)
    if deps.protections is not None:
        for name in image.properties:
            deps.protections.require(context, "create", name)
    check_limits(document, image, deps.limits)
    deps.database.create_image(image, ceiling=ceiling)
    if deps.notifier is not None:
        events.image_created(deps.notifier, image)
    return image if deps.protections is None else deps.protections.readable(context, [image])[0]


def _require_creation(deps: Deps, context: Context, target: Mapping[str, object]) -> None:
    """:raises Forbidden: policy ``add_image``; the message says if only the owner in the request is the problem."""
    if target["owner"] != context.project_id and not deps.policy.allows(context, "add_image", target):
        own = {**target, "owner": context.project_id, "project_id": context.project_id}
        if deps.policy.allows(context, "add_image", own):
            raise Forbidden(
                "You are not allowed to create an image for another project: set the owner to project "
                f"{context.project_id} or omit it (policy rule add_image)."
            )
    deps.policy.require(context, "add_image", target)


def _creation_target(document: Mapping[str, object], image: Image) -> dict[str, object]:
    """Build the target of the rules (images-api 8.1): a missing visibility counts as private."""
    return {
        **image.properties,
        "id": image.id,
        "name": image.name,
        "status": image.status,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": image.protected,
        "os_hidden": image.os_hidden,
        "tags": image.tags,
        "project_id": image.owner,
        "owner": image.owner,
        "visibility": document.get("visibility", Visibility.PRIVATE),
        "member_id": None,
    }


def show_image(deps: Deps, context: Context, image_id: str) -> Image:
    """Read one image.

    :raises NotFound: unknown, deleted or invisible image, or policy ``get_image``.
    """
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "get_image", image)
    if image.locations:
        image = with_locations_repaired(deps, image)
    return image if deps.protections is None else deps.protections.readable(context, [image])[0]


def list_images(deps: Deps, context: Context, query: ListQuery) -> tuple[list[Image], str | None]:
    """Return one page of images that policy allows, and the id of the last one if another page may follow.

    :raises Forbidden: policy ``get_images``, or the caller may not see the image of the marker.
    :raises MarkerUnknown: the marker does not refer to an image.
    """
    deps.policy.require(context, "get_images", {"project_id": context.project_id, "owner": context.project_id})
    protections = deps.protections
    if protections is not None and not all(protections.may_filter(context, name) for name, _ in query.properties):
        # listing such an image would reveal the value of a property that the caller may not read
        return [], None
    if query.marker is not None and deps.policy.hides_visible_images:
        _require_marker(deps, context, query.marker)
    found = deps.database.list_images(query, viewer_of(context))
    allowed = deps.policy.visible(context, found)
    if protections is not None:
        allowed = protections.readable(context, allowed)
    full = 0 < query.limit == len(found)
    return allowed, found[-1].id if full and allowed else None


def _require_property(protections: PropertyProtection, context: Context, edit: ImageEdit, operation: Operation) -> None:
    """Check the right to change a custom property as the operation does; base attributes need none.

    To add a property that the caller may not read, the caller needs the rights to create and to update it: with only
    one of them the response would reveal whether the image has the property.

    :raises Forbidden: a right is missing.
    :raises Conflict: see :meth:`ImageEdit.property_action`.
    """
    action = edit.property_action(operation)
    if action is None:
        return
    name = operation.name
    if operation.op != "add" or edit.wrote(name) or protections.allows(context, "read", name):
        protections.require(context, action, name)
    elif not (protections.allows(context, "create", name) and protections.allows(context, "update", name)):
        protections.refuse("create", name)


def _require_marker(deps: Deps, context: Context, marker: str) -> None:
    """Refuse a marker that policy hides: its position among others would reveal its attributes.

    :raises Forbidden: the same error as for an image that the caller may not see.
    """
    try:
        image = deps.database.get_image(marker, viewer_of(context))
    except NotFound:
        return  # the list reports the problem
    if not deps.policy.allows_image(context, "get_image", image):
        raise Forbidden("The marker refers to an image that is not visible to you.")


def check_update_allowed(deps: Deps, context: Context, image_id: str) -> None:
    """Refuse a caller who may not change anything in an image, before a long PATCH is read.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy refuses every operation.
    """
    image = deps.database.get_image(image_id, viewer_of(context))
    if not any(deps.policy.allows_image(context, rule, image) for rule in CHANGING_RULES):
        deps.policy.require_image(context, "modify_image", image)


def update_image(deps: Deps, context: Context, image_id: str, operations: Sequence[Operation]) -> Image:
    """Apply a PATCH; only the fields that it names are written.

    Without operations nothing is saved; every caller who may see the image may do this.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy, or an attribute that may not be changed by this caller or in this status.
    :raises Conflict: a property is missing, or already exists.
    :raises Invalid: a value that cannot be stored.
    :raises LimitExceeded: too many tags, custom properties or locations.
    :raises DataInUse: a store refuses to delete the data of a location; everything else is saved.
    :raises StoreUnavailable: a store that a location is in does not answer.
    """
    image = deps.database.get_image(image_id, viewer_of(context))
    protections = deps.protections
    hidden = frozenset[str]() if protections is None else protections.unreadable(context, [image])
    locations = location_edit(deps, context, image, operations) if deps.shows_locations else None
    edit = ImageEdit(image, checker=deps.checker, limits=deps.limits, hidden=hidden, locations=locations)
    for operation in operations:
        for rule in operation.rules:
            deps.policy.require_image(context, rule, image)
        if operation.sets_owner and not context.is_admin:
            raise Forbidden("Only an administrator can give an image to another project.")
        if protections is not None:
            _require_property(protections, context, edit, operation)
        edit.apply(operation)
    change = edit.change()
    if change is None:
        deps.policy.require_image(context, "get_image", image)
    else:
        if locations is not None and locations.size_to_add and deps.admission is not None:
            within = deps.admission.for_locations(image)
            change = msgspec.structs.replace(change, takes=locations.size_to_add, within=within)
        if locations is not None and locations.adds:
            moment = save_with_check(deps, context, image, change)
        else:
            moment = deps.database.update_image(image.id, change)
        image = changed(image, change, moment)
        if deps.notifier is not None:
            events.image_updated(deps.notifier, image)
        if locations is not None:
            image = finish_location_edit(deps, context, image, locations)
    return image if protections is None else protections.readable(context, [image])[0]
