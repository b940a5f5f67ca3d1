"""What imports work with: the collaborators of the handler, which its passes share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.domain.allowance import Allowance
from glimpse.domain.image import Image
from glimpse.jobs.access_lists import set_readers
from glimpse.jobs.base import Run
from glimpse.jobs.steps.import_leftovers import Leftovers
from glimpse.jobs.steps.import_plugins import ImportPlugins
from glimpse.jobs.steps.import_sources import ImportSources
from glimpse.notify.base import Notifier
from glimpse.settings.model import Formats
from glimpse.signature.base import SignatureVerifiers
from glimpse.staging.base import StagingArea
from glimpse.stores.multi import StoreSet

_ANYBODY = Viewer(None, is_admin=True)


class ImportServices:
    """Shared by threads; keeps no state of an import."""

    def __init__(
        self,
        database: Database,
        stores: StoreSet,
        staging: StagingArea,
        digest_threads: Executor,
        *,
        sources: ImportSources,
        plugins: ImportPlugins,
        signatures: SignatureVerifiers,
        formats: Formats,
        size_cap: int,
        allowance_of: Callable[[Image], Allowance | None] | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """``allowance_of`` tells what new copies count against, where there is a quota (images-api 6.2)."""
        self.stores = stores
        self.staging = staging
        self.digest_threads = digest_threads
        self.sources = sources
        self.plugins = plugins
        self.signatures = signatures
        self.formats = formats
        self.size_cap = size_cap
        self.notifier = notifier
        self.leftovers = Leftovers(database, stores)
        self._database = database
        self._allowance_of = allowance_of

    def image(self, run: Run) -> Image:
        """Return the image of a job as it is now.

        :raises NotFound: it was deleted.
        """
        return self._database.get_image(run.job.image_id or "", _ANYBODY)

    def allowance(self, image: Image) -> Allowance | None:
        """Return what new copies of an image count against; None: nothing."""
        return None if self._allowance_of is None else self._allowance_of(image)

    def set_readers(self, run: Run) -> None:
        """Tell stores that check readers themselves who may read the image of a job; a failure is only logged."""
        if self.stores.keeps_access_lists:
            set_readers(self._database, self.stores, run.job.image_id or "")

    def named(self, store_id: str) -> str | None:
        """Return the name of a store as users know it; None where the only store has none."""
        return store_id if self.stores.named else None
