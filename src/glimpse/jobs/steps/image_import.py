"""Kind ``api_image_import``: what ``POST …/import`` asked for, in one pass (imports-and-stores 2; docs/adr/0026).

The source is read once. Every batch is inspected, hashed, and written to all target stores together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

import msgspec

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.domain.allowance import Allowance
from glimpse.domain.image import Image, Location
from glimpse.domain.job import JobStatus
from glimpse.domain.job_kinds import IMAGE_IMPORT
from glimpse.domain.properties import IMPORT_LOCK
from glimpse.errors import (
    Conflict,
    DatabaseUnavailable,
    GlimpseError,
    Invalid,
    LeaseLost,
    LimitExceeded,
    NotFound,
    StoreUnavailable,
    UnsupportedContent,
)
from glimpse.jobs.base import JobReleased, Outcome, Run, TryAgain, WaitForStores, pause_after, waits_of
from glimpse.jobs.steps.import_leftovers import Leftovers
from glimpse.jobs.steps.import_plan import STAGE_HOST, Plan, Saved, plan_of, saved_of
from glimpse.jobs.steps.import_source import ImportSource, ImportSources, SourceFailed
from glimpse.notify import events
from glimpse.notify.base import Notifier
from glimpse.settings.model import Formats
from glimpse.signature.base import KeyManagerCaller, SignatureVerifier, SignatureVerifiers, is_signed
from glimpse.staging.base import StagingArea
from glimpse.stores.base import Placed, Writer
from glimpse.stores.multi import StoreSet
from glimpse.transfer.fan_out import FanOut, TargetsFailed
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.pump import Digests, Received, is_supported, receive_into
from glimpse.transfer.source import drive

LOG = logging.getLogger(__name__)

_BEGUN = "begun"
_SAVED = "saved"
_FAILURES = "failures"
_ENDING = "ending"
#: How often a source that cannot be read is tried.
_TRIES = 3
#: How often staged data are looked for, by any node: these pauses take eight minutes in total.
_SEARCHES = 8
_CANCELLED = "The import was cancelled."
_DEFECT = "The import failed because of an internal error; the log of the service has the reason."
_ANYBODY = Viewer(None, is_admin=True)


class ImportFailed(Exception):
    """The import is over. ``str(error)`` is the reason for the user; ``discards``: its staged data are of no use.

    ``stores`` are those that have failed; None: all.
    """

    def __init__(self, reason: str, *, discards: bool = False, stores: Collection[str] | None = None) -> None:
        super().__init__(reason)
        self.discards = discards
        self.stores = stores


class ImageImport:
    """Imports staged data and data at URLs, and copies images into further stores. Shared by threads."""

    type = IMAGE_IMPORT
    at_once = None
    most_attempts = 20

    def __init__(
        self,
        database: Database,
        stores: StoreSet,
        staging: StagingArea,
        digest_threads: Executor,
        *,
        sources: ImportSources,
        signatures: SignatureVerifiers,
        formats: Formats,
        size_cap: int,
        allowance_of: Callable[[Image], Allowance | None] | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """``allowance_of`` tells what new copies count against, where there is a quota (images-api 6.2)."""
        self._database = database
        self._stores = stores
        self._staging = staging
        self._digest_threads = digest_threads
        self._sources = sources
        self._signatures = signatures
        self._formats = formats
        self._size_cap = size_cap
        self._allowance_of = allowance_of
        self._notifier = notifier
        self._leftovers = Leftovers(database, stores)

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        image = self._image(run)
        if image is None:
            return self._gone(run)
        plan = plan_of(run.job, named=self._stores.named)
        steps = run.job.steps
        self._leftovers.sweep(run, self._unsaved(run, plan))
        if saved_of(steps, _SAVED).done:
            return self._succeeded(run, image, plan)
        if _ENDING in steps:
            return self._end(run, image, plan, ImportFailed(**steps[_ENDING]))
        if image.properties.get(IMPORT_LOCK) != run.job.id:
            return Outcome(status=JobStatus.FAILED, message="Another operation has taken the image over.")
        try:
            if _BEGUN not in steps:
                run.record(
                    _BEGUN, {"stage_host": image.properties.get(STAGE_HOST)}, plan.begin(image, self._allowance(image))
                )
                image = self._required(run)
        except (Conflict, LimitExceeded) as error:
            return Outcome(status=JobStatus.FAILED, message=str(error), change=plan.unlock(image))
        try:
            self._pass(run, image, plan)
        except ImportFailed as error:
            return self._end(run, self._required(run), plan, error)
        return self._succeeded(run, self._required(run), plan)

    def give_up(self, run: Run, reason: str) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`."""
        image = self._image(run)
        if image is None:
            return self._gone(run)
        plan = plan_of(run.job, named=self._stores.named)
        self._leftovers.sweep(run, self._unsaved(run, plan))
        if saved_of(run.job.steps, _SAVED).done:
            return self._succeeded(run, image, plan)
        return self._end(run, image, plan, ImportFailed(reason))

    def stopped(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`."""
        outcome = self.give_up(run, _CANCELLED)
        done = saved_of(run.job.steps, _SAVED).done
        return outcome if done else msgspec.structs.replace(outcome, status=JobStatus.CANCELLED)

    # ------------------------------------------------------------------------------------------------ the pass

    def _pass(self, run: Run, image: Image, plan: Plan) -> None:
        """Move the data, and save what the stores have committed.

        :raises ImportFailed: nothing else will be saved.
        """
        signature = self._signature(run, image, plan)
        try:
            source = self._sources.open(run, plan, image)
        except SourceFailed as error:
            raise self._unreadable(run, plan, error) from error
        try:
            self._move(run, image, plan, source, signature)
        finally:
            source.close()

    def _signature(self, run: Run, image: Image, plan: Plan) -> SignatureVerifier | None:
        """Return the verifier for a signed image; a job has no token, so the certificate is read as the service.

        Copies are compared with digests of data that were verified when they came.
        """
        if plan.copies or not is_signed(image.properties):
            return None
        caller = KeyManagerCaller(project_id=run.job.owner, user_id=run.job.user_id)
        try:
            return self._signatures.open(image.properties, caller)
        except Invalid as error:
            raise ImportFailed(str(error)) from error

    def _move(
        self, run: Run, image: Image, plan: Plan, source: ImportSource, signature: SignatureVerifier | None
    ) -> None:
        attempt = self._leftovers.begin(run)
        targets = self._unsaved(run, plan)
        if self._notifier is not None:
            for target in targets:
                events.import_prepared(self._notifier, image, self._named(target))
        fan_out = FanOut(
            {target: partial(self._writer, image.id, source.length, attempt, target) for target in targets},
            all_must_succeed=plan.all_must_succeed,
            while_waiting=run.check,
        )
        try:
            data = self._received(run, image, plan, fan_out, source, signature)
            run.require_lease()
            self._save(run, image, plan, fan_out, data)
        except (LeaseLost, JobReleased, DatabaseUnavailable):
            # The next run sweeps this attempt; it knows whether the database has the locations.
            fan_out.abort()
            raise
        except BaseException as error:
            self._clean(run, fan_out)
            self._tell_failures(run, image, fan_out)
            failure = self._failure(run, plan, fan_out, error)
            if failure is error:
                raise
            raise failure from error
        self._clean(run, fan_out)
        self._tell_failures(run, image, fan_out)

    def _received(
        self,
        run: Run,
        image: Image,
        plan: Plan,
        fan_out: FanOut,
        source: ImportSource,
        signature: SignatureVerifier | None,
    ) -> Received:
        """Write the data to all stores, which do not commit them yet.

        :raises ImportFailed: they are not those of the image.
        """
        size = source.length if image.size is None else image.size
        algorithm = self._formats.hashing_algorithm
        if image.os_hash_algo is not None and is_supported(image.os_hash_algo):
            algorithm = image.os_hash_algo
        data = drive(
            receive_into(
                fan_out,
                Digests(algorithm, self._digest_threads),
                Inspection(image.disk_format, image.container_format, self._formats, image.id),
                declared_size=size,
                # an image that is there already may be larger than images may be today
                size_cap=max(self._size_cap, image.size or 0) if plan.copies else self._size_cap,
                progress=lambda done: run.progress(done, size),
                signature=signature,
            ),
            source,
        )
        fan_out.flush()
        known = {"size": image.size, "checksum": image.checksum}
        if algorithm == image.os_hash_algo:
            known["hash_value"] = image.os_hash_value
        for name, value in known.items():
            if value is not None and value != getattr(data, name):
                raise ImportFailed("The data that were read are not those of the image: their size or digest differs.")
        return data

    def _writer(self, image_id: str, size: int | None, attempt: str, store_id: str) -> Writer:
        return self._stores.by_id(store_id).writer(image_id, size, attempt)

    def _save(self, run: Run, inspected: Image, plan: Plan, fan_out: FanOut, data: Received) -> None:
        """Commit, and save the locations: all in one transaction if all must succeed, else each when it is there.

        :raises TargetsFailed: nothing is saved, because a store has failed that must not, or all have.
        """
        if plan.all_must_succeed:
            placed = dict(fan_out.commit())
            if fan_out.failures:
                raise TargetsFailed
            self._record(run, inspected, plan, data, placed, failures={})
            return
        for store_id, one in fan_out.commit():
            failures = fan_out.failures
            self._record(run, inspected, plan, data, {store_id: one}, failures=failures)
        saved = saved_of(run.job.steps, _SAVED)
        if not saved.stores:
            raise TargetsFailed
        if not saved.done:
            self._record(run, inspected, plan, data, {}, failures=fan_out.failures)

    def _record(
        self,
        run: Run,
        inspected: Image,
        plan: Plan,
        data: Received,
        placed: Mapping[str, Placed],
        *,
        failures: Mapping[str, BaseException],
    ) -> None:
        """Save what stores have committed; with the last of them the import is over."""
        image = self._required(run)
        before = saved_of(run.job.steps, _SAVED)
        ordered = [target for target in plan.targets if target in placed]
        stores = (*before.stores, *ordered)
        done = {*stores, *failures}.issuperset(plan.targets)
        failed = [target for target in plan.targets if target in failures] if done else []
        change = plan.save(
            image,
            data,
            [self._location(target, placed[target]) for target in ordered],
            inspected=inspected,
            allowance=self._allowance(image),
            taken=plan.targets if done else ordered,
            failed=failed,
            done=done,
        )
        message = self._reason(plan, failures) if failed else ""
        run.record(_SAVED, msgspec.to_builtins(Saved(stores=stores, done=done, message=message)), change)
        if self._notifier is not None:
            now = self._required(run)
            for target in ordered:
                events.import_stored(self._notifier, now, self._named(target))
            if change.columns:
                events.import_activated(self._notifier, now)

    def _location(self, store_id: str, placed: Placed) -> Location:
        metadata = {**placed.metadata, "store": store_id} if self._stores.named else placed.metadata
        return Location(url=placed.url, metadata=metadata)

    # ------------------------------------------------------------------------------------------------ failures

    def _failure(self, run: Run, plan: Plan, fan_out: FanOut, error: BaseException) -> BaseException:
        """Return the error to raise for ``error``, itself if neither the data, the source nor a store caused it."""
        match error:
            case TargetsFailed():
                failures = fan_out.failures
                stores = list(failures) if plan.copies or plan.is_staged else None
                reason = self._reason(plan, failures)
                return ImportFailed(reason, discards=not plan.all_must_succeed, stores=stores)
            case SourceFailed():
                return self._unreadable(run, plan, error)
            case UnsupportedContent() | Invalid():
                # the same data would be refused again
                return ImportFailed(str(error), discards=True)
            case LimitExceeded():
                return ImportFailed(str(error))
            case Conflict():
                return ImportFailed(f"The image was changed during its import: {error}")
            case _:
                return error

    def _unreadable(self, run: Run, plan: Plan, error: SourceFailed) -> Exception:
        """Return what to raise for a source that cannot be read: it is tried again, but not for ever."""
        if error.is_gone and plan.is_staged:
            if waits_of(run.job) < _SEARCHES:
                # nodes may have a staging area each
                return WaitForStores("This node does not have the staged data; another node is to look for them.")
            return ImportFailed("The staged data are gone; stage the data again.", discards=True)
        failures = int(run.job.steps.get(_FAILURES, 0)) + 1
        if error.is_final or failures >= _TRIES:
            return ImportFailed(str(error))
        run.record(_FAILURES, failures)
        return TryAgain(str(error), pause_after(failures))

    def _reason(self, plan: Plan, failures: Mapping[str, BaseException]) -> str:
        """Return a sentence about the first store that failed, and the names of all."""
        failed = [target for target in plan.targets if target in failures]
        error = failures[failed[0]]
        text = str(error) if isinstance(error, GlimpseError) else _DEFECT
        return f"The import into {', '.join(failed)} failed: {text}" if plan.named else text

    def _clean(self, run: Run, fan_out: FanOut) -> None:
        possible = fan_out.abort()
        saved = saved_of(run.job.steps, _SAVED).stores
        self._leftovers.clean(run, [store for store in fan_out.placed if store not in saved], possible)

    def _tell_failures(self, run: Run, image: Image, fan_out: FanOut) -> None:
        for store_id, error in fan_out.failures.items():
            known = isinstance(error, GlimpseError)
            LOG.warning(
                "Import %s of image %s into store %s failed: %s", run.job.id, image.id, store_id, error,
                exc_info=None if known else error,
            )  # fmt: skip
            if self._notifier is not None:
                events.import_failed(self._notifier, image, str(error) if known else _DEFECT)

    def _end(self, run: Run, image: Image, plan: Plan, failure: ImportFailed) -> Outcome:
        """End an import that did not reach all of its targets; staged data go before their image is queued again."""
        saved = saved_of(run.job.steps, _SAVED).stores
        reason, discards = str(failure), failure.discards
        if plan.is_staged and (discards or saved):
            stores = None if failure.stores is None else sorted(failure.stores)
            run.record(_ENDING, {"reason": reason, "discards": discards, "stores": stores})
            self._discard(run, image)
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
        saved = saved_of(run.job.steps, _SAVED)
        return Outcome(status=JobStatus.SUCCEEDED, message=saved.message, result={"image_id": image.id})

    def _discard(self, run: Run, image: Image) -> None:
        run.require_lease()
        try:
            self._staging.remove(image.id)
        except StoreUnavailable as error:
            raise WaitForStores(str(error)) from error

    def _gone(self, run: Run) -> Outcome:
        """The image was deleted: nothing of it stays."""
        plan = plan_of(run.job, named=self._stores.named)
        self._leftovers.sweep(run, plan.targets)
        if plan.is_staged:
            try:
                self._staging.remove(run.job.image_id or "")
            except StoreUnavailable as error:
                LOG.warning("What is staged for deleted image %s is not removed now: %s", run.job.image_id, error)
        return Outcome(status=JobStatus.CANCELLED, message="The image was deleted meanwhile.")

    # ------------------------------------------------------------------------------------------------- the image

    def _image(self, run: Run) -> Image | None:
        try:
            return self._required(run)
        except NotFound:
            return None

    def _required(self, run: Run) -> Image:
        """:raises NotFound: the image was deleted."""
        return self._database.get_image(run.job.image_id or "", _ANYBODY)

    def _allowance(self, image: Image) -> Allowance | None:
        return None if self._allowance_of is None else self._allowance_of(image)

    def _unsaved(self, run: Run, plan: Plan) -> list[str]:
        saved = saved_of(run.job.steps, _SAVED).stores
        return [target for target in plan.targets if target not in saved]

    def _named(self, store_id: str) -> str | None:
        return store_id if self._stores.named else None
