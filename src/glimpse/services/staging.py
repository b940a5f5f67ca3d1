"""Staging the data of an image: they wait for an import (images-api 4.3; imports-and-stores 2.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from glimpse.context import Context
from glimpse.domain.digests import digests_of_sdk
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.job import JobChange, JobStatus
from glimpse.domain.job_kinds import STAGING, NoInput
from glimpse.domain.properties import FAILED_UPLOAD, IMPORT_LOCK, STAGE_HOST
from glimpse.domain.status import Status
from glimpse.errors import (
    Conflict,
    GlimpseError,
    Gone,
    LeaseLost,
    NotFound,
    SizeMismatch,
    StoreUnavailable,
    Unavailable,
)
from glimpse.jobs.heartbeat import AttendedRun
from glimpse.quota.base import Growth
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.import_lock import take_over
from glimpse.stores.base import Writer
from glimpse.transfer.expected_digest import ExpectedDigest, Verifier
from glimpse.transfer.pump import beyond_cap
from glimpse.transfer.source import Steps

_GONE = "The image was deleted while its data were being staged."


@dataclass(frozen=True, slots=True)
class StageRequest:
    """``declared_size`` in bytes, None when unknown; a negative number matches nothing. ``digests`` are those that the
    data must have, and with ``by_sdk`` those in the properties that openstacksdk has set.
    """

    image_id: str
    declared_size: int | None
    digests: tuple[ExpectedDigest, ...] = ()
    by_sdk: bool = False


def stage_image(deps: Deps, context: Context, request: StageRequest) -> Steps[None]:
    """Stage the data of a queued image, which is ``uploading`` from then on, with the size of the data.

    Returns steps as described in ``transfer/source.py``. What an earlier stage or import left for the image is
    removed. On any failure the image returns to ``queued`` and nothing is staged.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``modify_image``.
    :raises Conflict: the image is not queued, or an import of it is under way.
    :raises Invalid: the size is not the declared one, or the body ended early, or the data do not have the digests that
        were given.
    :raises LimitExceeded: ``image_size_cap``, a limit of the project, or the staging area is full.
    :raises Gone: the image was deleted meanwhile.
    :raises Unavailable: the staging area cannot be written now.
    """
    admission, cap = deps.admission, deps.limits.image_size_cap
    if admission is not None:
        admission.check_stage(context, request.declared_size)
    image = deps.database.get_image(request.image_id, viewer_of(context))
    deps.policy.require_image(context, "modify_image", image)
    if image.status is not Status.QUEUED:
        raise Conflict(f"Image {image.id} is {image.status}; data can be staged only for a queued image.")
    # an import that ended without its last step may have left the lock
    lists = take_over(deps, image)
    if request.declared_size is not None and request.declared_size > cap:
        raise beyond_cap("image_size_cap", cap, request.declared_size)
    if request.by_sdk:
        request = replace(request, digests=(*request.digests, *digests_of_sdk(image.name, image.properties)))
    with deps.heartbeat.attend(context, STAGING, NoInput(), image_id=image.id) as run:
        begun = ImageChange(
            columns={"status": Status.UPLOADING},
            set_properties=lists,
            # an earlier stage may have named another node
            drop_properties=tuple(name for name in (IMPORT_LOCK, STAGE_HOST) if name in image.properties),
            from_status=(Status.QUEUED,),
        )
        deps.database.add_job(run.job, begun, lifetime=deps.heartbeat.lifetime)
        deps.heartbeat.begun(run)
        writer: Writer | None = None
        try:
            growth = None if admission is None else admission.admit_stage(context, run.job, request.declared_size)
            # nobody else stages data of this image now: what there is was left by an earlier stage or import
            writer = deps.staging.fresh_writer(image.id, run.attempt_name)
            size = yield from _move(writer, run, request, cap, growth)
            writer.commit()
        except BaseException as error:
            if writer is not None and not writer.abort():
                # the job stays: its lease expires, and its recovery removes the data and queues the image
                raise
            if not _queue_again(deps, run, error) and isinstance(error, StoreUnavailable):
                # the deletion of the image, or the process that took over the stage, removed the unfinished data
                raise Gone(_GONE) from error
            raise
        _finish(deps, run, image, size)


def _move(writer: Writer, run: AttendedRun, request: StageRequest, cap: int, growth: Growth | None) -> Steps[int]:
    """Write all data, and return their size in bytes.

    :raises Invalid: they do not have the digests that were given.
    :raises SizeMismatch: more bytes than declared, as soon as noticed, or fewer at the end.
    :raises LimitExceeded: more bytes than ``cap``, or than the project may have staged.
    :raises Gone: the image was deleted meanwhile.
    """
    declared_size, size = request.declared_size, 0
    expected = Verifier(request.digests)
    while (batch := (yield)) is not None:
        size += len(batch)
        if declared_size is not None and size > declared_size:
            raise SizeMismatch(declared_size, size)
        if size > cap:
            raise beyond_cap("image_size_cap", cap, size)
        if growth is not None:
            growth(size)
        expected.update(batch)
        writer.write(batch)
        run.check()
        del batch  # release it while the next one is collected
    if declared_size is not None and size != declared_size:
        raise SizeMismatch(declared_size, size)
    expected.verify()
    return size


def _queue_again(deps: Deps, run: AttendedRun, error: BaseException) -> bool:
    """Return the image to ``queued``; False if this stage no longer owns it."""
    reason = str(error) if isinstance(error, GlimpseError) else "internal error"
    change = ImageChange(columns={"status": Status.QUEUED}, from_status=(Status.UPLOADING,))
    end = JobChange(status=JobStatus.FAILED, message=reason)
    try:
        deps.database.save_job(run.job, end, change)
    except LeaseLost:
        return False
    except (NotFound, Conflict):
        # the image is deleted, so there is nothing to change; the job ends all the same
        _end_job(deps, run, end)
        return False
    return True


def _end_job(deps: Deps, run: AttendedRun, end: JobChange) -> None:
    try:
        deps.database.save_job(run.job, end)
    except LeaseLost:
        return


def _finish(deps: Deps, run: AttendedRun, image: Image, size: int) -> None:
    """Record the size of the complete data, and remove the job.

    :raises Gone: the image was deleted; its data are removed.
    """
    own_url = deps.nodes.own_url
    change = ImageChange(
        columns={"size": size},
        set_properties={} if own_url is None else {STAGE_HOST: own_url},
        drop_properties=(FAILED_UPLOAD,) if FAILED_UPLOAD in image.properties else (),
        from_status=(Status.UPLOADING,),
    )
    end = JobChange(status=JobStatus.SUCCEEDED, forget=True)
    try:
        deps.database.save_job(run.job, end, change)
    except (Unavailable, LeaseLost):
        # It is unknown whether this is recorded, or another process owns the job. If it is not, the job still exists,
        # its lease expires, and its recovery removes the data and queues the image.
        raise
    except (NotFound, Conflict) as error:
        deps.staging.remove(image.id)
        _end_job(deps, run, JobChange(status=JobStatus.FAILED, message=_GONE))
        raise Gone(_GONE) from error
