"""Uploading the data of an image (images-api 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from glimpse.context import Context
from glimpse.db.records import Viewer
from glimpse.domain.digests import digests_of_sdk
from glimpse.domain.image import Image, ImageChange, Location, StoredData
from glimpse.domain.job_kinds import UPLOAD, UPLOAD_SWEEP, NoInput, UploadSweepInput
from glimpse.domain.properties import DIGEST_PREFIX, about_old_data
from glimpse.domain.status import Status
from glimpse.domain.update import changed
from glimpse.errors import (
    Conflict,
    GlimpseError,
    Invalid,
    LeaseLost,
    LimitExceeded,
    StoreBusy,
    StoreUnavailable,
    Unavailable,
)
from glimpse.jobs.access_lists import set_readers
from glimpse.jobs.heartbeat import AttendedRun
from glimpse.notify import events
from glimpse.quota.base import Growth
from glimpse.services.deps import Deps
from glimpse.signature.base import SIGNATURE, KeyManagerCaller, SignatureVerifier, is_signed
from glimpse.stores.base import Store, Writer
from glimpse.transfer.expected_digest import ExpectedDigest, Verifier
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.pump import Digests, receive_into
from glimpse.transfer.source import Steps


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """``declared_size`` in bytes, None when unknown; ``store`` is a store id, None for the default; ``digests`` are
    those that the data must have, and with ``by_sdk`` those in the properties that openstacksdk has set.
    ``want_digests`` are algorithms whose digests are to be kept.

    ``progress`` is called with the bytes stored so far; an exception that it raises ends the upload.
    """

    image_id: str
    declared_size: int | None
    store: str | None = None
    progress: Callable[[int], None] | None = None
    digests: tuple[ExpectedDigest, ...] = ()
    by_sdk: bool = False
    want_digests: tuple[str, ...] = ()


def upload_image(deps: Deps, context: Context, request: UploadRequest) -> Steps[None]:
    """Store the data of a queued image and make the image active (images-api 4.2).

    Returns steps as described in ``transfer/source.py``: they hold no thread and no database connection while they
    wait for a batch. On any failure the image returns to ``queued`` and the store keeps none of the data.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``upload_image``.
    :raises Conflict: the image is not queued.
    :raises Invalid: formats are not set, or the size is not the declared one, or the body ended early, or the
        signature of a signed image cannot be verified or does not match the data, or they do not have the digests that
        were given.
    :raises LimitExceeded: ``image_size_cap``, the quota of the project, or the store is full.
    :raises UnsupportedContent: inspection refused the content.
    :raises Gone: the image was deleted meanwhile, or the store is read-only.
    """
    admission = deps.admission
    if admission is not None:
        admission.check_upload(context, request.declared_size)
    store = deps.stores.default if request.store is None else deps.stores.by_id(request.store)
    image = deps.database.get_image(request.image_id, Viewer(context.project_id, context.is_admin))
    deps.policy.require_image(context, "upload_image", image)
    _check_ready(image)
    _check_declared(request.declared_size, deps.limits.image_size_cap)
    if request.by_sdk:
        request = replace(request, digests=(*request.digests, *digests_of_sdk(image.name, image.properties)))
    stores = deps.stores.needed[store.id]
    with deps.heartbeat.attend(context, UPLOAD, NoInput(), image_id=image.id, stores=stores) as run:
        growth: Growth | None = None
        if admission is None:
            formats = (image.disk_format, image.container_format)
            deps.database.begin_upload(run.job, deps.heartbeat.lifetime, formats=formats)
        else:
            growth = admission.claim(context, image, run.job, deps.heartbeat.lifetime, request.declared_size)
        deps.heartbeat.begun(run)
        request = _watched(request, run, growth)
        writer: Writer | None = None
        try:
            if deps.notifier is not None:
                events.upload_begun(deps.notifier, image, _named(deps, store))
            signature = _signature(deps, context, image)
            writer = store.writer(image.id, request.declared_size, run.attempt_name)
            data, further = yield from _move(deps, image, writer, request, store, signature)
        except BaseException as error:
            if not _removed(writer, error):
                # before the upload's own job ends, so that a process that dies in between leaves nothing behind
                _sweep_later(deps, context, image, run)
            if not _give_up(deps, image, run, error) and isinstance(error, StoreUnavailable):
                # the process that took over the upload swept the data, or they were deleted with the image
                raise LeaseLost(
                    f"The upload to image {image.id} was aborted meanwhile, or the image was deleted."
                ) from error
            raise
        _activate(deps, image, run, store, data, further)
    if deps.stores.keeps_access_lists:
        set_readers(deps.database, deps.stores, image.id)


def _signature(deps: Deps, context: Context, image: Image) -> SignatureVerifier | None:
    """Return the verifier for a signed image, None for any other; the certificate is read as the caller."""
    if SIGNATURE not in image.properties or not is_signed(image.properties):
        return None
    caller = KeyManagerCaller(token=context.token, project_id=context.project_id, user_id=context.user_id)
    return deps.signatures.open(image.properties, caller)


def _give_up(deps: Deps, image: Image, run: AttendedRun, error: BaseException) -> bool:
    """Return the image to ``queued``; False if this upload no longer owns it."""
    queued = deps.database.cancel_upload(run.job)
    if deps.notifier is not None:
        reason = str(error) if isinstance(error, GlimpseError) else "internal error"
        events.upload_failed(deps.notifier, image, reason, queued=queued)
    return queued


def _removed(writer: Writer | None, error: BaseException) -> bool:
    """Remove what was written before ``error``; return whether nothing is left for certain.

    What is on its way to a store that stops working may arrive after the removal.
    """
    removed = writer is None or writer.abort()
    # a store that is busy was not asked to begin
    return removed and (isinstance(error, StoreBusy) or not isinstance(error, StoreUnavailable))


def _sweep_later(deps: Deps, context: Context, image: Image, run: AttendedRun) -> None:
    """Record a job that removes what the upload may have left in a store that does not work now.

    :raises Unavailable: the database. The upload's job stays then, and its recovery sweeps the attempt.
    """
    given = UploadSweepInput(attempt=run.attempt_name)
    deps.jobs.add(deps.jobs.draft(context, UPLOAD_SWEEP, given, image_id=image.id, stores=run.job.stores))


def _named(deps: Deps, store: Store) -> str | None:
    return store.id if deps.stores.named else None


def _watched(request: UploadRequest, run: AttendedRun, growth: Growth | None) -> UploadRequest:
    """Return ``request`` with a progress callback that also updates ``growth`` and stops when ``run`` must stop."""
    other = request.progress

    def progress(stored: int) -> None:
        run.check()
        if growth is not None:
            growth(stored)
        if other is not None:
            other(stored)

    return replace(request, progress=progress)


def _check_ready(image: Image) -> None:
    if image.status is not Status.QUEUED:
        raise Conflict(f"Image {image.id} is {image.status}; data can be uploaded only to a queued image.")
    if image.disk_format is None or image.container_format is None:
        raise Invalid("Set the image's disk_format and container_format before you upload its data.")


def _check_declared(size: int | None, cap: int) -> None:
    if size is not None and size > cap:
        raise LimitExceeded(f"The announced size of {size} bytes exceeds image_size_cap ({cap} bytes).")


def _move(
    deps: Deps,
    image: Image,
    writer: Writer,
    request: UploadRequest,
    store: Store,
    signature: SignatureVerifier | None,
) -> Steps[tuple[StoredData, dict[str, str]]]:
    """Returns the data as the image gets them, and their further digests by algorithm."""
    digests = Digests(deps.formats.hashing_algorithm, deps.digest_threads, request.want_digests)
    received = yield from receive_into(
        writer,
        digests,
        Inspection(image.disk_format, image.container_format, deps.formats, image.id),
        declared_size=request.declared_size,
        size_cap=deps.limits.image_size_cap,
        progress=request.progress,
        signature=signature,
        expected=Verifier(request.digests, digests) if request.digests else None,
    )
    placed = writer.commit()
    metadata = {**placed.metadata, "store": store.id} if deps.stores.named else placed.metadata
    data = StoredData(
        size=received.size,
        virtual_size=received.virtual_size,
        checksum=received.checksum,
        os_hash_algo=received.hash_algo,
        os_hash_value=received.hash_value,
        location=Location(url=placed.url, metadata=metadata),
    )
    return data, received.further


def _activate(
    deps: Deps, image: Image, run: AttendedRun, store: Store, data: StoredData, further: dict[str, str]
) -> None:
    stale = about_old_data(image.properties) if image.properties else ()
    kept: dict[str, str | None] = {DIGEST_PREFIX + name: value for name, value in further.items()}
    try:
        # a location of a queued image was left by a failed import: its data are not those of this image
        updated_at = deps.database.finish_upload(
            run.job, data, drop_properties=stale, drop_locations=bool(image.locations), set_properties=kept or None
        )
    except (Unavailable, LeaseLost):
        # It is unknown whether the commit succeeded, or another process owns the job: the data may belong to an active
        # image. If not, the job still exists, its lease runs out, and its recovery sweeps this attempt.
        raise
    except BaseException as error:
        store.delete(data.location.url)
        _give_up(deps, image, run, error)
        raise
    if deps.notifier is not None:
        now = changed(image, ImageChange(drop_properties=stale, set_properties=kept), updated_at)
        events.upload_finished(deps.notifier, now, data, _named(deps, store), updated_at)
