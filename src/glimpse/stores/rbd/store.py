"""The store of kind ``rbd``: images in one pool, and reading those of other pools of the same cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC
from threading import Lock
from typing import Any

from glimpse.errors import GlimpseError
from glimpse.stores import ceph_modules
from glimpse.stores.argument_checks import check_names, is_object_name, span_length
from glimpse.stores.base import StoredObject, StoreMisconfigured
from glimpse.stores.object_errors import duplicate
from glimpse.stores.rbd import removal
from glimpse.stores.rbd.ceph_conf import cluster_id
from glimpse.stores.rbd.ceph_errors import of_another_cluster, open_error, pool_error, read_error, write_error
from glimpse.stores.rbd.connection import Cluster, ClusterSettings, Session
from glimpse.stores.rbd.options import RbdOptions, check, object_order, url_prefixes
from glimpse.stores.rbd.reader import RbdReader, opened_source
from glimpse.stores.rbd.uri import RbdLocation, location_url, parsed, unfinished_name, unfinished_parts
from glimpse.stores.rbd.writer import RbdWriter, Target

LOG = logging.getLogger(__name__)

#: Features of new images where the cluster has no default: layering, without which there are no clones.
_LAYERING = 1


class RbdStore:
    """Implements ``stores.base.Store`` and several of the ability protocols.

    An image is the RBD image ``<image id>`` with the protected snapshot ``snap``. Until its commit it is
    ``.<image id>.<attempt>.partial``, which no location can name.
    """

    scheme = "rbd"

    writable = True

    def __init__(self, store_id: str, options: RbdOptions) -> None:
        """:raises StoreMisconfigured: Ceph's configuration file or its Python modules are missing."""
        self.id = store_id
        check(store_id, options)
        try:
            loaded = ceph_modules.load()
        except ImportError as error:
            raise StoreMisconfigured(store_id, str(error)) from error
        self.url_prefixes = url_prefixes(store_id, options)
        self._pool_name = options.rbd_store_pool
        self._order = object_order(options)
        self._fsid = cluster_id(options.rbd_store_ceph_conf)
        self._cluster = Cluster(
            store_id,
            loaded,
            ClusterSettings(
                conf=options.rbd_store_ceph_conf, user=options.rbd_store_user, timeout=options.rados_connect_timeout
            ),
        )
        self._lock = Lock()
        #: open writers by image id and attempt, for sweeps in this process
        self._writers: dict[tuple[str, str], RbdWriter] = {}
        #: attempts that could not be removed when they were aborted
        self._unremoved: set[tuple[str, str]] = set()

    def writer(self, image_id: str, size: int | None, attempt: str) -> RbdWriter:
        check_names(image_id, attempt)
        target = Target(
            store_id=self.id, pool=self._pool_name, image_id=image_id, attempt=attempt, object_size=1 << self._order
        )
        session = self._cluster.session()
        try:
            self._remove_unremoved(session)
            image = self._created(session, target, size or 0)
        except BaseException:
            session.close()
            raise
        writer = RbdWriter(session, target, image, size or 0, self._ended)
        with self._lock:
            self._writers[image_id, attempt] = writer
        return writer

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> RbdReader:
        location = self._parsed(url)
        session = self._cluster.session()
        try:
            pool = self._pool_of(session, location)
            with session.translated(open_error):
                source = opened_source(session, pool, location.image, location.snapshot)
            try:
                return RbdReader(session, source, offset, span_length(source.size, offset, length))
            except BaseException:
                source.image.close()
                raise
        except BaseException:
            session.close()
            raise

    def size(self, url: str) -> int:
        location = self._parsed(url)
        with self._cluster.session() as session:
            pool = self._pool_of(session, location)
            with (
                session.translated(open_error),
                removal.opened(session, pool, location.image, location.snapshot) as image,
            ):
                return image.size()

    def delete(self, url: str) -> None:
        location = self._parsed(url)
        with self._cluster.session() as session:
            removal.delete(session, self._pool_of(session, location), location.image, location.snapshot)

    def check_delete(self, url: str) -> None:
        location = self._parsed(url)
        with self._cluster.session() as session:
            removal.check(session, self._pool_of(session, location), location.image, location.snapshot)

    def sweep(
        self,
        image_id: str,
        attempt: str,
        is_orphan: Callable[[str], bool] | None = None,  # noqa: ARG002 - every image has its mark
    ) -> bool:
        """Remove the unfinished image first: from then on a writer of the attempt that is still alive has nothing to
        rename, and what it renamed before is found in the second step by its mark.
        """
        check_names(image_id, attempt)
        with self._lock:
            writer = self._writers.get((image_id, attempt))
        if writer is not None:
            writer.stop()
        with self._cluster.session() as session:
            found = removal.remove_attempt(session, session.pool(self._pool_name), image_id, attempt)
        self._unremoved.discard((image_id, attempt))
        return found

    def objects(self) -> Iterator[StoredObject]:
        """See :class:`glimpse.stores.base.Listing`. An image that neither has the snapshot nor was written by Glimpse
        is not of the service: other services may use the pool.
        """
        with self._cluster.session() as session:
            pool = session.pool(self._pool_name)
            with session.translated(read_error):
                names: list[str] = session.rbd.RBD().list(pool)
            for name in names:
                with session.translated(read_error), suppress(session.rbd.ImageNotFound):
                    found = self._listed(session, pool, name)
                    if found is not None:
                        yield found

    def url_of(self, image_id: str) -> str:
        """See :class:`glimpse.stores.base.Addressed`."""
        if self._fsid is not None:
            return location_url(self._fsid, self._pool_name, image_id)
        with self._cluster.session() as session:
            return location_url(session.fsid, self._pool_name, image_id)

    def probe(self) -> None:
        with self._cluster.session() as session:
            pool = session.pool(self._pool_name)
            # an empty pool does not have this object: that is an answer, too
            with session.translated(read_error), suppress(session.rados.ObjectNotFound):
                pool.stat("rbd_directory")
            self._remove_unremoved(session)

    def close(self) -> None:
        self._cluster.close()

    def _created(self, session: Session, target: Target, size: int) -> Any:
        """Create the image of an attempt and open it."""
        pool = session.pool(target.pool)
        unfinished = unfinished_name(target.image_id, target.attempt)
        with session.translated(write_error):
            if removal.exists(session, pool, target.image_id):
                raise duplicate(self.id, target.image_id)
            try:
                session.rbd.RBD().create(
                    pool, unfinished, size, self._order, old_format=False, features=_features(session)
                )
                return session.image(pool, unfinished, read_only=False)
            except session.rbd.ImageExists as error:
                raise duplicate(self.id, target.image_id) from error
            except session.errors:
                self._unremoved.add((target.image_id, target.attempt))
                raise

    def _ended(self, writer: RbdWriter, removed: bool) -> None:
        key = (writer.target.image_id, writer.target.attempt)
        with self._lock:
            self._writers.pop(key, None)
        if not removed:
            self._unremoved.add(key)

    def _remove_unremoved(self, session: Session) -> None:
        """Try again to remove one attempt that could not be removed when it ended, because the cluster was down."""
        with self._lock:
            if not self._unremoved:
                return
            key = self._unremoved.pop()
        try:
            removal.remove_attempt(session, session.pool(self._pool_name), *key)
        except GlimpseError as error:
            self._unremoved.add(key)
            LOG.warning("Store %s: unfinished data could not be removed yet: %s", self.id, error)

    def _parsed(self, url: str) -> RbdLocation:
        location = parsed(url, self.id)
        if location.fsid is not None and self._fsid not in {None, location.fsid}:
            raise of_another_cluster(self.id)
        return location

    def _pool_of(self, session: Session, location: RbdLocation) -> Any:
        """Return the context of I/O for the pool of a location, which may be another one of the same cluster."""
        if location.fsid not in {None, session.fsid}:
            raise of_another_cluster(self.id)
        with session.translated(pool_error if location.pool in {None, self._pool_name} else open_error):
            return session.connection.pool(location.pool or self._pool_name)

    def _listed(self, session: Session, pool: Any, name: str) -> StoredObject | None:
        unfinished = unfinished_parts(name)
        if unfinished is None and not is_object_name(name):
            return None
        with removal.opened(session, pool, name) as image:
            size: int = image.size()
            modified_at = image.create_timestamp().replace(tzinfo=UTC).timestamp()
            if unfinished is None:
                if not removal.is_ours(image):
                    return None
                url = location_url(session.fsid, self._pool_name, name)
                return StoredObject(image_id=name, size=size, modified_at=modified_at, url=url)
        image_id, attempt = unfinished
        with self._lock:
            writer = self._writers.get(unfinished)
        size = size if writer is None else writer.received
        return StoredObject(image_id=image_id, size=size, modified_at=modified_at, attempt=attempt)


def _features(session: Session) -> int:
    """Return the features of new images: those of the cluster's configuration (store-formats 8.2)."""
    configured = session.connection.features
    return (
        int(configured) if configured.isdigit() else session.rbd.RBD().features_from_string(configured)
    ) or _LAYERING
