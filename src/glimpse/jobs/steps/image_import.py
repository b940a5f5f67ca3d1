"""Kind ``api_image_import``: what ``POST …/import`` asked for, in one pass (imports-and-stores 2; docs/adr/0026).

This module has the beginning and the end of an import, :mod:`glimpse.jobs.steps.import_pass` what is between them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from glimpse.domain.image import Image
from glimpse.domain.job import JobStatus
from glimpse.domain.job_kinds import IMAGE_IMPORT
from glimpse.domain.properties import IMPORT_LOCK, STAGE_HOST
from glimpse.errors import Conflict, LimitExceeded, NotFound, StoreUnavailable
from glimpse.jobs.base import Outcome, Run, WaitForStores
from glimpse.jobs.steps.import_failures import ImportFailed
from glimpse.jobs.steps.import_pass import ImportPass
from glimpse.jobs.steps.import_plan import Plan, plan_of, saved_of, unsaved
from glimpse.jobs.steps.import_resumption import Earlier, earlier_data
from glimpse.jobs.steps.import_services import ImportServices

LOG = logging.getLogger(__name__)

_BEGUN = "begun"
_ENDING = "ending"
_CANCELLED = "The import was cancelled."


class ImageImport:
    """Imports staged data and data at URLs, and copies images into further stores. Shared by threads."""

    type = IMAGE_IMPORT
    at_once = None
    most_attempts = 20

    def __init__(self, services: ImportServices) -> None:
        self._services = services

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        image = self._image(run)
        if image is None:
            return self._gone(run)
        plan = self._plan(run)
        # opened before it is swept
        with earlier_data(run, plan, self._services.stores) as earlier:
            return self._go_on(run, image, plan, earlier)

    def _go_on(self, run: Run, image: Image, plan: Plan, earlier: Earlier | None) -> Outcome:
        """Do the rest of the import; ``earlier`` is what was received before."""
        steps = run.job.steps
        self._sweep(run, unsaved(run.job, plan))
        if saved_of(run.job).done:
            return self._succeeded(run, image, plan)
        if _ENDING in steps:
            return self._end(run, image, plan, ImportFailed(**steps[_ENDING]))
        if image.properties.get(IMPORT_LOCK) != run.job.id:
            return Outcome(status=JobStatus.FAILED, message="Another operation has taken the image over.")
        try:
            if _BEGUN not in steps:
                begun = {"stage_host": image.properties.get(STAGE_HOST)}
                run.record(_BEGUN, begun, plan.begin(image, self._services.allowance(image)))
                image = self._services.image(run)
        except (Conflict, LimitExceeded) as error:
            return Outcome(status=JobStatus.FAILED, message=str(error), change=plan.unlock(image))
        try:
            ImportPass(self._services, run, image, plan, earlier).move()
        except ImportFailed as error:
            return self._end(run, self._services.image(run), plan, error)
        return self._succeeded(run, self._services.image(run), plan)

    def give_up(self, run: Run, reason: str) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`."""
        image = self._image(run)
        if image is None:
            return self._gone(run)
        plan = self._plan(run)
        self._sweep(run, unsaved(run.job, plan))
        if saved_of(run.job).done:
            return self._succeeded(run, image, plan)
        return self._end(run, image, plan, ImportFailed(reason))

    def stopped(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`."""
        outcome = self.give_up(run, _CANCELLED)
        done = saved_of(run.job).done
        return outcome if done else msgspec.structs.replace(outcome, status=JobStatus.CANCELLED)

    def _end(self, run: Run, image: Image, plan: Plan, failure: ImportFailed) -> Outcome:
        """End an import that did not reach all of its targets; staged data go before their image is queued again."""
        saved = saved_of(run.job).stores
        reason, discards = str(failure), failure.discards
        if plan.is_staged and (discards or saved):
            stores = None if failure.stores is None else sorted(failure.stores)
            run.record(_ENDING, {"reason": reason, "discards": discards, "stores": stores})
            self._discard(run, image)
        if saved:
            self._services.set_readers(run)
        begun: Mapping[str, Any] = run.job.steps.get(_BEGUN, {})
        change = (
            plan.fail(
                image,
                reason,
                saved=saved,
                failed=failure.stores,
                stage_host=begun.get("stage_host"),
                discards=discards,
            )
            if begun
            else plan.unlock(image)
        )
        # some copies are what was asked for, unless all had to succeed (imports-and-stores 2.8)
        enough = bool(saved) or (plan.copies and not plan.all_must_succeed and discards)
        return Outcome(
            status=JobStatus.SUCCEEDED if enough else JobStatus.FAILED,
            message=reason,
            result={"image_id": image.id} if enough else None,
            change=change,
        )

    def _succeeded(self, run: Run, image: Image, plan: Plan) -> Outcome:
        if plan.is_staged:
            self._discard(run, image)
        self._services.set_readers(run)
        message = saved_of(run.job).message
        return Outcome(status=JobStatus.SUCCEEDED, message=message, result={"image_id": image.id})

    def _discard(self, run: Run, image: Image) -> None:
        run.require_lease()
        try:
            self._services.staging.remove(image.id)
        except StoreUnavailable as error:
            raise WaitForStores(str(error)) from error

    def _gone(self, run: Run) -> Outcome:
        """The image was deleted: nothing of it stays."""
        plan = self._plan(run)
        self._sweep(run, plan.targets)
        if plan.is_staged:
            try:
                self._services.staging.remove(run.job.image_id or "")
            except StoreUnavailable as error:
                LOG.warning("What is staged for deleted image %s is not removed now: %s", run.job.image_id, error)
        return Outcome(status=JobStatus.CANCELLED, message="The image was deleted meanwhile.")

    def _sweep(self, run: Run, stores: Sequence[str]) -> None:
        """Remove what earlier runs have left in stores, and in the staging area of this node."""
        self._services.leftovers.sweep(run, stores)
        self._services.plugins.sweep(run)

    def _plan(self, run: Run) -> Plan:
        return plan_of(run.job, named=self._services.stores.named)

    def _image(self, run: Run) -> Image | None:
        try:
            return self._services.image(run)
        except NotFound:
            return None
