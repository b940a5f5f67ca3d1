"""What an import does: method, targets, and the change of the image at each step (imports-and-stores 2.6, 2.8)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from glimpse.domain.allowance import Allowance
from glimpse.domain.digests import ExpectedDigest
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.imports import (
    COPY_IMAGE,
    GLANCE_DIRECT,
    GLANCE_DOWNLOAD,
    WEB_DOWNLOAD,
    ImportRequest,
    OfferedMethods,
    begun,
    ended,
    import_request,
)
from glimpse.domain.job import Job
from glimpse.domain.job_kinds import ImageImportInput, input_of
from glimpse.domain.properties import DIGEST_PREFIX, FAILED_UPLOAD, IMPORT_LOCK, STAGE_HOST, about_old_data
from glimpse.domain.status import Status
from glimpse.errors import Invalid
from glimpse.jobs.steps.location_check import NO_DATA, USABLE
from glimpse.transfer.pump import Received

#: Jobs are checked when they are recorded, perhaps by a process with another configuration.
_METHODS = OfferedMethods((GLANCE_DIRECT, WEB_DOWNLOAD, COPY_IMAGE, GLANCE_DOWNLOAD))
#: The step of the job that saves locations.
SAVED: Final = "saved"


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of the step that saves locations: the stores of those saved so far.

    ``done``: nothing else will be saved; ``message`` says what failed, if anything did.
    """

    stores: tuple[str, ...] = ()
    done: bool = False
    message: str = ""


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """What an image gets beside its locations when its data are there: the size and digests of ``data``, and more.

    ``columns`` and ``set_properties`` are further changes, which come with the data.
    """

    data: Received
    columns: dict[str, Any] = {}
    set_properties: dict[str, str | None] = {}

    @property
    def all_columns(self) -> dict[str, Any]:
        """The columns of an image with these data."""
        data = self.data
        return {
            "size": data.size,
            "virtual_size": data.virtual_size,
            "checksum": data.checksum,
            "os_hash_algo": data.hash_algo,
            "os_hash_value": data.hash_value,
            "status": Status.ACTIVE,
            **self.columns,
        }


class GlancePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The image that glance-download reads. ``endpoint`` None: the catalog had none for the region and interface."""

    region: str
    interface: str
    image_id: str
    endpoint: str | None
    token: str | None

    def __repr__(self) -> str:
        return f"<image {self.image_id} in region {self.region}>"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One import. ``targets`` are ids of stores in the order of their locations; ``named``: they have names."""

    job_id: str
    method: str
    targets: tuple[str, ...]
    all_must_succeed: bool
    named: bool
    #: where web-download reads
    uri: str | None = None
    #: digests of the source, and where a file has more of them
    digests: tuple[ExpectedDigest, ...] = ()
    checksum_uri: str | None = None
    #: what glance-download reads
    glance: GlancePlan | None = None
    #: algorithms whose digests are kept
    want_digests: tuple[str, ...] = ()

    @property
    def copies(self) -> bool:
        """Whether the image has its data already, and only gets further copies."""
        return self.method == COPY_IMAGE

    @property
    def is_fetched(self) -> bool:
        """Whether the data are fetched from a URL."""
        return self.uri is not None or self.glance is not None

    @property
    def is_staged(self) -> bool:
        """Whether the data are in the staging area."""
        return self.method == GLANCE_DIRECT

    def begin(self, image: Image, allowance: Allowance | None) -> ImageChange:
        """The change with which the import begins; the quota is asked first where the size is known."""
        known = image.size is not None and (self.copies or self.is_staged)
        return ImageChange(
            columns={} if self.copies else {"status": Status.IMPORTING},
            set_properties=begun(image.properties, self._listed()),
            drop_properties=(STAGE_HOST,) if STAGE_HOST in image.properties else (),
            takes=(image.size or 0) * len(self.targets) if known else 0,
            within=allowance if known else None,
            from_status=(self._begins_from(),),
        )

    def save(
        self,
        image: Image,
        activation: Activation,
        locations: Sequence[Location],
        *,
        inspected: Image,
        allowance: Allowance | None,
        taken: Collection[str],
        failed: Collection[str],
        done: bool,
    ) -> ImageChange:
        """The change that adds ``locations``, and makes an image active that is not; the last one drops the lock.

        Only an image that becomes active gets what is in ``activation``; others get the further digests of the data.

        ``inspected`` is the image as it was when the data were inspected: other formats now are a Conflict. ``taken``
        are the targets that nothing more happens to, ``failed`` those among all targets that have failed.
        """
        activates = image.status is Status.IMPORTING and not self.copies
        columns: dict[str, Any] = {}
        properties: dict[str, str | None] = {
            DIGEST_PREFIX + name: value for name, value in activation.data.further.items()
        }
        drop: list[str] = []
        if activates:
            columns = activation.all_columns
            properties |= activation.set_properties
            drop += [name for name in about_old_data(image.properties) if name not in properties]
        if done:
            drop += self._lock(image)
        return ImageChange(
            columns=columns,
            add_locations=tuple(locations),
            # what a failed import left (imports-and-stores 13, quirk 33)
            drop_locations=tuple(one.id for one in image.locations if one.id is not None) if activates else (),
            set_properties=properties | ended(image.properties, self._listed(taken), self._listed(failed)),
            drop_properties=tuple(drop),
            takes=activation.data.size * len(locations),
            within=allowance if locations else None,
            if_columns={"disk_format": inspected.disk_format, "container_format": inspected.container_format}
            if activates
            else {},
            from_status=(Status.IMPORTING,) if activates else USABLE,
        )

    def fail(
        self,
        image: Image,
        reason: str,
        *,
        saved: Collection[str],
        failed: Collection[str] | None,
        stage_host: str | None,
        discards: bool,
    ) -> ImageChange:
        """The change with which an import ends for good without all of its targets.

        An image that has data keeps them. Any other is queued again, or ``uploading`` where its staged data are kept
        for another import; ``discards``: they are not. ``failed``: the stores that have failed; None: all that are not
        saved.
        """
        if failed is None:
            failed = [target for target in self.targets if target not in saved]
        change = ImageChange(
            set_properties=ended(image.properties, self._listed(), self._listed(failed)),
            drop_properties=tuple(self._lock(image)),
        )
        if self.copies or saved or image.status is not Status.IMPORTING:
            return change
        if self.is_staged and not discards:
            kept = {} if stage_host is None else {STAGE_HOST: stage_host}
            return msgspec.structs.replace(
                change,
                columns={"status": Status.UPLOADING},
                set_properties={**change.set_properties, **kept},
                from_status=(Status.IMPORTING,),
            )
        return msgspec.structs.replace(
            change,
            columns={**NO_DATA, "status": Status.QUEUED},
            set_properties={**change.set_properties, FAILED_UPLOAD: reason},
            from_status=(Status.IMPORTING,),
        )

    def unlock(self, image: Image) -> ImageChange:
        """The change of an import that never began."""
        return ImageChange(drop_properties=tuple(self._lock(image)))

    def _begins_from(self) -> Status:
        if self.copies:
            return Status.ACTIVE
        return Status.UPLOADING if self.is_staged else Status.QUEUED

    def _lock(self, image: Image) -> list[str]:
        return [IMPORT_LOCK] if image.properties.get(IMPORT_LOCK) == self.job_id else []

    def _listed(self, stores: Collection[str] | None = None) -> Collection[str]:
        """Both lists stay empty where the store has no name (imports-and-stores 2.8)."""
        if not self.named:
            return ()
        return self.targets if stores is None else stores


def plan_of(job: Job, *, named: bool) -> Plan:
    """Read the request in the input of a job.

    :raises Invalid: it is not an import.
    """
    given: ImageImportInput = input_of(job)
    try:
        document: object = msgspec.json.decode(given.request)
    except msgspec.DecodeError as error:
        raise Invalid("The request of the import is not JSON.") from error
    request = import_request(document, _METHODS)
    return Plan(
        job_id=job.id,
        method=request.method,
        targets=tuple(sorted(given.stores)) if request.all_stores else given.stores,
        all_must_succeed=request.all_stores_must_succeed,
        named=named,
        uri=request.uri,
        digests=(
            *([request.digest] if request.digest else []),
            *(ExpectedDigest(*one) for one in given.digests.items()),
        ),
        checksum_uri=request.checksum_uri,
        want_digests=request.want_digests,
        glance=_glance_plan(request, given),
    )


def _glance_plan(request: ImportRequest, given: ImageImportInput) -> GlancePlan | None:
    found = request.glance
    if found is None:
        return None
    return GlancePlan(
        region=found.region or "",
        interface=found.interface,
        image_id=found.image_id or "",
        endpoint=given.endpoint,
        token=given.token,
    )


def saved_of(job: Job) -> Saved:
    """Read the outcome of the step that saves locations; without one nothing is saved."""
    return msgspec.convert(job.steps.get(SAVED, {}), Saved)


def unsaved(job: Job, plan: Plan) -> list[str]:
    """Return the targets whose locations are not saved."""
    saved = saved_of(job).stores
    return [target for target in plan.targets if target not in saved]
