"""The pass of an import: its source is read once, and every batch is inspected, hashed, and written to all stores."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

import msgspec

from glimpse.domain.image import Image, Location
from glimpse.errors import DatabaseUnavailable, GlimpseError, Invalid, LeaseLost
from glimpse.jobs.base import JobReleased, Run, TryAgain
from glimpse.jobs.steps.import_digests import open_verified
from glimpse.jobs.steps.import_failures import DEFECT, ImportFailed, failure, in_the_way, reason_of, unreadable
from glimpse.jobs.steps.import_handover import Handover
from glimpse.jobs.steps.import_plan import SAVED, Activation, Plan, Saved, saved_of, unsaved
from glimpse.jobs.steps.import_plugins import Prepared
from glimpse.jobs.steps.import_resumption import Earlier
from glimpse.jobs.steps.import_services import ImportServices
from glimpse.jobs.steps.import_source import ImportSource, SourceFailed
from glimpse.notify import events
from glimpse.signature.base import KeyManagerCaller, SignatureVerifier, is_signed
from glimpse.stores.base import LocalFile, Placed, Writer
from glimpse.transfer.fan_out import FanOut, TargetsFailed
from glimpse.transfer.inspect import Inspection
from glimpse.transfer.pump import Digests, Received, is_supported, receive_into
from glimpse.transfer.source import drive

LOG = logging.getLogger(__name__)


class ImportPass:
    """One pass of one import, used once by the thread of its run."""

    def __init__(
        self, services: ImportServices, run: Run, image: Image, plan: Plan, earlier: Earlier | None = None
    ) -> None:
        """``image`` is the image at the beginning: its formats are those that the data must have. ``earlier`` is what
        an earlier run has received.
        """
        self._services = services
        self._run = run
        self._image = image
        self._plan = plan
        self._earlier = earlier

    def move(self) -> None:
        """Move the data, and save what the stores have committed.

        :raises ImportFailed: nothing else will be saved.
        """
        signature = self._signature()
        try:
            self._prepared = self._prepare()
        except SourceFailed as error:
            raise unreadable(self._run, self._plan, error) from error
        try:
            self._move(self._prepared.source, signature)
        finally:
            self._prepared.source.close()

    # --------------------------------------------------------------------------------------- what goes in and comes out

    def _prepare(self) -> Prepared:
        """Open what is read, as the plugins make it.

        :raises SourceFailed: it cannot be read.
        :raises ImportFailed: a plugin refuses the data.
        """
        services, run, plan, image = self._services, self._run, self._plan, self._image
        source = open_verified(services.sources, run, plan, image, self._earlier)
        return services.plugins.prepare(run, plan, image, source)

    def _signature(self) -> SignatureVerifier | None:
        """Return the verifier for a signed image; a job has no token, so the certificate is read as the service.

        Copies are compared with digests of data that were verified when they came.
        """
        if self._plan.copies or not is_signed(self._image.properties):
            return None
        job = self._run.job
        try:
            caller = KeyManagerCaller(project_id=job.owner, user_id=job.user_id)
            return self._services.signatures.open(self._image.properties, caller)
        except Invalid as error:
            raise ImportFailed(str(error)) from error

    def _digests(self) -> Digests:
        algorithm = self._image.os_hash_algo
        if algorithm is None or not is_supported(algorithm):
            algorithm = self._services.formats.hashing_algorithm
        return Digests(algorithm, self._services.digest_threads, self._plan.want_digests)

    def _inspection(self) -> Inspection:
        image = self._prepared.image
        return Inspection(image.disk_format, image.container_format, self._services.formats, image.id)

    def _activation(self, data: Received) -> Activation:
        """Return what becomes of the image, unless it has data already."""
        return Activation(data=data, columns=self._prepared.columns, set_properties=self._prepared.properties)

    # ----------------------------------------------------------------------------------------------------- the pass

    def _move(self, source: ImportSource, signature: SignatureVerifier | None) -> None:
        attempt = self._services.leftovers.begin(self._run)
        targets = unsaved(self._run.job, self._plan)
        notifier = self._services.notifier
        if notifier is not None:
            for target in targets:
                events.import_prepared(notifier, self._image, self._services.named(target))
        # what wraps staged data and changes them is no local file
        handover = Handover(source.fileno() if isinstance(source, LocalFile) else None)
        fan_out = FanOut(
            {target: partial(self._writer, handover, source.length, attempt, target) for target in targets},
            all_must_succeed=self._plan.all_must_succeed,
            while_waiting=self._run.check,
        )
        try:
            self._require_free(fan_out)
            data = self._received(fan_out, source, signature)
            self._run.require_lease()
            self._save(fan_out, data)
        except JobReleased:
            # the process ends: what its stores have of the data of a URL is for the next run, which sweeps it
            if not self._plan.is_fetched:
                fan_out.abort()
            raise
        except TryAgain:
            self._clean(fan_out)
            raise
        except (LeaseLost, DatabaseUnavailable):
            # The next run sweeps this attempt; it knows whether the database has the locations.
            fan_out.abort()
            raise
        except BaseException as error:
            self._clean(fan_out)
            self._tell_failures(fan_out)
            meant = failure(self._run, self._plan, error, fan_out.failures)
            if meant is error:
                raise
            raise meant from error
        self._clean(fan_out)
        self._tell_failures(fan_out)

    def _require_free(self, fan_out: FanOut) -> None:
        """:raises TryAgain: a store still has what an earlier run has committed."""
        if self._run.job.generation == 1:
            return
        # opens the writers
        with suppress(TargetsFailed):
            fan_out.flush()
        later = in_the_way(self._run, fan_out.failures)
        if later is not None:
            raise later

    def _received(self, fan_out: FanOut, source: ImportSource, signature: SignatureVerifier | None) -> Received:
        """Write the data to all stores, which do not commit them yet.

        :raises ImportFailed: they are not those of the image.
        """
        image, run, size_cap = self._prepared.image, self._run, self._services.size_cap
        size = source.length if image.size is None else image.size
        data = drive(
            receive_into(
                fan_out,
                self._digests(),
                self._inspection(),
                declared_size=size,
                # an image that is there already may be larger than images may be today
                size_cap=max(size_cap, image.size or 0) if self._plan.copies else size_cap,
                progress=lambda done: run.progress(done, size),
                signature=signature,
            ),
            source,
        )
        fan_out.flush()
        _require_known(image, data)
        return data

    def _writer(self, handover: Handover, size: int | None, attempt: str, store_id: str) -> Writer:
        return handover.open(self._services.stores.by_id(store_id), self._image.id, size, attempt)

    def _save(self, fan_out: FanOut, data: Received) -> None:
        """Commit, and save the locations: all in one transaction if all must succeed, else each when it is there.

        :raises TargetsFailed: nothing is saved, because a store has failed that must not, or all have.
        """
        if self._plan.all_must_succeed:
            placed = dict(fan_out.commit())
            if fan_out.failures:
                raise TargetsFailed
            self._record(data, placed, failures={})
            return
        for store_id, one in fan_out.commit():
            failures = fan_out.failures
            self._record(data, {store_id: one}, failures=failures)
        saved = saved_of(self._run.job)
        if not saved.stores:
            raise TargetsFailed
        if not saved.done:
            self._record(data, {}, failures=fan_out.failures)

    def _record(self, data: Received, placed: Mapping[str, Placed], *, failures: Mapping[str, BaseException]) -> None:
        """Save what stores have committed; with the last of them the import is over."""
        plan, run, notifier = self._plan, self._run, self._services.notifier
        image = self._services.image(run)
        ordered = [target for target in plan.targets if target in placed]
        stores = (*saved_of(run.job).stores, *ordered)
        done = {*stores, *failures}.issuperset(plan.targets)
        failed = [target for target in plan.targets if target in failures] if done else []
        change = plan.save(
            image,
            self._activation(data),
            [self._location(target, placed[target]) for target in ordered],
            # the formats of another service's image replace those of this one, whatever they are by now
            inspected=image if self._prepared.takes_over else self._image,
            allowance=self._services.allowance(image),
            taken=plan.targets if done else ordered,
            failed=failed,
            done=done,
        )
        message = reason_of(plan, failures) if failed else ""
        run.record(SAVED, msgspec.to_builtins(Saved(stores=stores, done=done, message=message)), change)
        if notifier is not None:
            now = self._services.image(run)
            for target in ordered:
                events.import_stored(notifier, now, self._services.named(target))
            if change.columns:
                events.import_activated(notifier, now)

    def _location(self, store_id: str, placed: Placed) -> Location:
        named = self._services.stores.named
        metadata = {**placed.metadata, "store": store_id} if named else placed.metadata
        return Location(url=placed.url, metadata=metadata)

    # ------------------------------------------------------------------------------------------------ failures

    def _clean(self, fan_out: FanOut) -> None:
        possible = fan_out.abort()
        saved = saved_of(self._run.job).stores
        self._services.leftovers.clean(self._run, [store for store in fan_out.placed if store not in saved], possible)

    def _tell_failures(self, fan_out: FanOut) -> None:
        image, notifier = self._image, self._services.notifier
        for store_id, error in fan_out.failures.items():
            known = isinstance(error, GlimpseError)
            LOG.warning(
                "Import %s of image %s into store %s failed: %s", self._run.job.id, image.id, store_id, error,
                exc_info=None if known else error,
            )  # fmt: skip
            if notifier is not None:
                events.import_failed(notifier, image, str(error) if known else DEFECT)


def _require_known(image: Image, data: Received) -> None:
    """:raises ImportFailed: the data are not those that the image is known to have."""
    known = {"size": image.size, "checksum": image.checksum}
    if data.hash_algo == image.os_hash_algo:
        known["hash_value"] = image.os_hash_value
    for name, value in known.items():
        if value is not None and value != getattr(data, name):
            raise ImportFailed("The data that were read are not those of the image: their size or digest differs.")
