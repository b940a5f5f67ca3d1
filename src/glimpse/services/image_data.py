"""Bytes into an image, and bytes out of it (spec 01, section 4)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from glimpse.context import Context
from glimpse.db.base_records import Lease, Viewer
from glimpse.domain.image import Image, ImageChange, Location, StoredData
from glimpse.domain.status import Status
from glimpse.domain.update import changed
from glimpse.errors import (
    Conflict,
    DataNotFound,
    Forbidden,
    GlimpseError,
    Invalid,
    LeaseLost,
    LimitExceeded,
    RangeNotSatisfiable,
    StoreUnavailable,
    Unavailable,
)
from glimpse.notify import events
from glimpse.quota.admission import Growth
from glimpse.services.deps import Deps
from glimpse.signature.base import SIGNATURE, KeyManagerCaller, SignatureVerifier, is_signed
from glimpse.stores.base import Reader, Store, Writer
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.pump import Digests, receive_into
from glimpse.transfer.ranges import ByteRange
from glimpse.transfer.source import ByteSource

LOG = logging.getLogger(__name__)

#: What an interrupted upload left on the image for its user to read; the next upload that succeeds removes it.
FAILED_UPLOAD = "os_glance_failed_upload"


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """``declared_size`` in bytes, None when unknown; ``store`` is a store id, None for the default.

    ``progress`` is told the bytes stored so far; what it raises ends the upload.
    """

    image_id: str
    declared_size: int | None
    store: str | None = None
    progress: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """Data that are ready to be sent: ``size`` in bytes of the whole, ``range`` the part asked for or None."""

    image: Image
    size: int
    range: ByteRange | None
    reader: Reader


RangeOf = Callable[[Image, int], ByteRange | None]


def upload_image(deps: Deps, context: Context, request: UploadRequest, source: ByteSource) -> None:
    """Store the body of ``source`` as the data of a queued image and make it active (spec 01, section 4.2).

    However it fails, the image is queued again and the store has nothing of it.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``upload_image``.
    :raises Conflict: the image is not queued.
    :raises Invalid: formats are not set, or the size is not the declared one, or the body ended early, or the
        signature of a signed image cannot be verified or is not one of the data.
    :raises LimitExceeded: ``image_size_cap``, the quota of the project, or the store is full.
    :raises UnsupportedContent: inspection refused the content.
    :raises Gone: the image was deleted meanwhile, or the store takes no data.
    """
    admission = deps.admission
    if admission is not None:
        admission.check_upload(context, request.declared_size)
    store = deps.stores.default if request.store is None else deps.stores.by_id(request.store)
    image = deps.database.get_image(request.image_id, Viewer(context.project_id, context.is_admin))
    deps.policy.require_image(context, "upload_image", image)
    _check_ready(image)
    _check_declared(request.declared_size, deps.limits.image_size_cap)
    with deps.leases.hold(image.id, "upload", store.id) as lease:
        if admission is None:
            deps.database.begin_upload(image.id, lease, formats=(image.disk_format, image.container_format))
        else:
            request = _watched(request, admission.claim(context, image, lease, request.declared_size))
        try:
            if deps.notifier is not None:
                events.upload_begun(deps.notifier, image, _named(deps, store))
            signature = _signature(deps, context, image)
            writer = store.writer(image.id, request.declared_size, lease.id)
            data = _move(deps, image, writer, request, source, store, signature)
        except StoreUnavailable as error:
            if _give_up(deps, image, lease, error):
                raise
            # what the writer missed was swept by whoever took the upload over, or went with the image
            raise LeaseLost(f"The upload to image {image.id} was given up meanwhile, or the image deleted.") from error
        except BaseException as error:
            _give_up(deps, image, lease, error)
            raise
        _activate(deps, image, lease, store, data)


def _signature(deps: Deps, context: Context, image: Image) -> SignatureVerifier | None:
    """What verifies the data of a signed image, with the certificate that the caller may read."""
    if SIGNATURE not in image.properties or not is_signed(image.properties):
        return None
    caller = KeyManagerCaller(token=context.token, project_id=context.project_id, user_id=context.user_id)
    return deps.signatures.open(image.properties, caller)


def _give_up(deps: Deps, image: Image, lease: Lease, error: BaseException) -> bool:
    """Queue the image again; False when that is not for this upload to do any more."""
    queued = deps.database.cancel_upload(lease)
    if deps.notifier is not None:
        reason = str(error) if isinstance(error, GlimpseError) else "internal error"
        events.upload_failed(deps.notifier, image, reason, queued=queued)
    return queued


def _named(deps: Deps, store: Store) -> str | None:
    return store.id if deps.stores.named else None


def _watched(request: UploadRequest, growth: Growth | None) -> UploadRequest:
    """``request`` whose progress ``growth`` is told as well."""
    other = request.progress
    if growth is None or other is None:
        return replace(request, progress=growth or other)

    def both(stored: int) -> None:
        growth(stored)
        other(stored)

    return replace(request, progress=both)


def _check_ready(image: Image) -> None:
    if image.status is not Status.QUEUED:
        raise Conflict(f"Image {image.id} is {image.status}; data can be uploaded only to a queued image.")
    if image.disk_format is None or image.container_format is None:
        raise Invalid("Set disk_format and container_format of the image before its data are uploaded.")


def _check_declared(size: int | None, cap: int) -> None:
    if size is not None and size > cap:
        raise LimitExceeded(f"The announced size of {size} bytes is over the limit image_size_cap of {cap} bytes.")


def _move(
    deps: Deps,
    image: Image,
    writer: Writer,
    request: UploadRequest,
    source: ByteSource,
    store: Store,
    signature: SignatureVerifier | None,
) -> StoredData:
    try:
        received = receive_into(
            source,
            writer,
            Digests(deps.formats.hashing_algorithm, deps.digest_threads),
            Inspection(image.disk_format, image.container_format, deps.formats),
            declared_size=request.declared_size,
            size_cap=deps.limits.image_size_cap,
            progress=request.progress,
            signature=signature,
        )
        placed = writer.commit()
    except BaseException:
        writer.abort()
        raise
    metadata = {**placed.metadata, "store": store.id} if deps.stores.named else placed.metadata
    return StoredData(
        size=received.size,
        virtual_size=received.virtual_size,
        checksum=received.checksum,
        os_hash_algo=received.hash_algo,
        os_hash_value=received.hash_value,
        location=Location(url=placed.url, metadata=metadata),
    )


def _activate(deps: Deps, image: Image, lease: Lease, store: Store, data: StoredData) -> None:
    stale = (FAILED_UPLOAD,) if FAILED_UPLOAD in image.properties else ()
    try:
        # a location that the queued image had was left by a failed import of it: no data of this image
        updated_at = deps.database.finish_upload(
            lease, data, drop_properties=stale, drop_locations=bool(image.locations)
        )
    except (Unavailable, LeaseLost):
        # Not known whether it was committed, or no longer ours to decide: the data may belong to an active image.
        # If not, the lease is still there, runs out, and its recovery sweeps this attempt.
        raise
    except BaseException as error:
        store.delete(data.location.url)
        _give_up(deps, image, lease, error)
        raise
    if deps.notifier is not None:
        now = changed(image, ImageChange(drop_properties=stale), updated_at)
        events.upload_finished(deps.notifier, now, data, _named(deps, store), updated_at)


def open_download(
    deps: Deps, context: Context, image_id: str, range_of: RangeOf, prefer: Sequence[str] = ()
) -> Download | None:
    """Open the data of an image, or return None when it has none (spec 01, section 4.4).

    ``range_of`` is given the image and its size in bytes and says which part is wanted. Locations are tried in the
    order of their stores' weights, those in the stores of ``prefer`` before the others, until one can be opened.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``download_image`` or ``download_from_store``, or the image is deactivated and the
        caller no admin.
    :raises Invalid: ``prefer`` names an unknown store, or there are no named stores.
    :raises StoreUnavailable: no location can be read now.
    """
    image = deps.database.get_image(image_id, Viewer(context.project_id, context.is_admin))
    if image.status is Status.DEACTIVATED and not context.is_admin:
        raise Forbidden(f"Image {image.id} is deactivated; its data cannot be downloaded.")
    deps.policy.require_image(context, "download_image", image)
    if prefer:
        deps.policy.require_image(context, "download_from_store", image)
        deps.stores.check_preferred(prefer)
    if image.status is Status.QUEUED:
        # what it may have is the location of an import whose data were found to be others (spec 02, section 5.4)
        return None
    failure: GlimpseError | None = None
    for location in deps.stores.in_order(image.locations, prefer):
        try:
            return _open(deps.stores.for_location(location), image, location, range_of)
        except DataNotFound as error:
            LOG.error("Image %s has lost its data at location %s: %s", image.id, location.id, error)  # noqa: TRY400
        except StoreUnavailable as error:
            LOG.warning("Image %s cannot be read at its location %s: %s", image.id, location.id, error)
            failure = error
    if failure is not None:
        raise failure
    return None


def record_download(deps: Deps, context: Context, download: Download, sent: int) -> None:
    """Tell of data that were sent to their end, or that the store failed to give: ``sent`` is how many bytes went out.

    Not of a client that went away (spec 06, section 11.5).
    """
    if deps.notifier is not None:
        events.download_ended(deps.notifier, context, download.image, sent=sent, expected=download.reader.length)


def _open(store: Store, image: Image, location: Location, range_of: RangeOf) -> Download:
    size = store.size(location.url) if image.size is None else image.size
    wanted = range_of(image, size)
    start, length = (wanted.start, wanted.length) if wanted else (0, size)
    try:
        reader = store.reader(location.url, start, length)
    except RangeNotSatisfiable as error:
        # the range lies within the recorded size, so the object is shorter than it must be
        raise StoreUnavailable(f"The data in store {store.id} are shorter than the {size} bytes recorded.") from error
    return Download(image, size, wanted, reader)
