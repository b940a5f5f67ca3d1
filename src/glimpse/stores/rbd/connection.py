"""The connection of one process to a Ceph cluster, shared by all calls of a store.

It is made at first use, because it does not survive ``fork``, and made again after the cluster has excluded this client
or did not answer. Calls to Ceph's libraries have no deadline of their own: the libraries' time limits for monitors and
OSDs are always set.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import Any, Final

import msgspec

from glimpse.errors import GlimpseError, StoreUnavailable
from glimpse.stores.ceph_modules import Bindings
from glimpse.stores.rbd.ceph_errors import LOST, connect_error, number_of, pool_error, read_error

LOG = logging.getLogger(__name__)

Meaning = Callable[[str, int], GlimpseError]

#: Seconds, for options of Ceph that are 0 (for ever) or have a default that is too long for a request.
_LIMITS: Final = {"client_mount_timeout": 15, "rados_mon_op_timeout": 30, "rados_osd_op_timeout": 60}
_DEFAULTS_OF_CEPH: Final = {"client_mount_timeout": 300.0, "rados_mon_op_timeout": 0.0, "rados_osd_op_timeout": 0.0}

#: Seconds in which calls fail at once after connecting has failed: they must not queue for a cluster that is down.
_FAILED_FOR: Final = 1.0
#: Seconds after which a connection on which a call timed out is replaced, as soon as it is unused.
_DOUBTED_AFTER: Final = 10.0
#: Seconds that closing a connection may take before it is left to itself.
_CLOSING: Final = 2.0


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect: path of ``ceph.conf`` (empty: Ceph's own search), user, and seconds for each request (0: the
    limits of this module).
    """

    conf: str
    user: str | None
    timeout: int


class Connection:
    """One connection, with one context of I/O for each pool."""

    def __init__(self, bindings: Bindings, handle: Any) -> None:
        self.fsid: str = handle.get_fsid()
        self.deadline = float(handle.conf_get("rados_osd_op_timeout"))
        self.features = handle.conf_get("rbd_default_features")
        self.users = 0
        self.lost = False
        self.doubted = False
        self.made = time.monotonic()
        self.pid = os.getpid()
        self._bindings = bindings
        self._handle = handle
        self._pools: dict[str, Any] = {}
        self._lock = Lock()

    def pool(self, name: str) -> Any:
        """Return the context of I/O for a pool.

        :raises Exception: an error of the libraries.
        """
        with self._lock:
            context = self._pools.get(name)
            if context is None:
                context = self._handle.open_ioctx(name)
                # a full pool refuses writes at once and allows deletions; without this, both wait until it has space
                context.set_osdmap_full_try()
                self._pools[name] = context
            return context

    def pool_names(self) -> list[str]:
        """Return the names of all pools of the cluster."""
        return self._handle.list_pools()

    def pool_name(self, number: int) -> str:
        """Return the name of a pool."""
        return self._handle.pool_reverse_lookup(number)

    def shut_down(self, wait: float = 0.0) -> None:
        """Close the connection in a thread, for which ``wait`` seconds are waited: the cluster may not answer."""
        closing = Thread(target=self._shut_down, name="rbd-close", daemon=True)
        closing.start()
        closing.join(wait)

    def _shut_down(self) -> None:
        with suppress(*self._bindings.errors):
            for context in self._pools.values():
                context.close()
            self._handle.shutdown()


class Session:
    """The use of a connection by one call, or by one reader or writer until it is closed."""

    def __init__(self, cluster: Cluster, connection: Connection, bindings: Bindings) -> None:
        self.connection = connection
        self.fsid = connection.fsid
        self.rados = bindings.rados
        self.rbd = bindings.rbd
        #: everything that the libraries raise
        self.errors = bindings.errors
        self.store_id = cluster.store_id
        #: whether the cluster did not answer during this use
        self.timed_out = False
        self._cluster = cluster
        self._lock = Lock()
        #: images that are being closed, and whether the use has ended
        self._closing = 0
        self._closed = self._left = False

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pool(self, name: str) -> Any:
        """Return the context of I/O for a pool.

        :raises AccessDenied: the user may not use it.
        :raises StoreUnavailable: it does not exist, or the cluster does not answer.
        """
        with self.translated(pool_error):
            return self.connection.pool(name)

    @contextmanager
    def translated(self, meaning: Meaning) -> Generator[None]:
        """Raise errors of the libraries as ``meaning`` returns them from the id of the store and a number of errno."""
        try:
            yield
        except self.errors as error:
            raise self.failed(meaning, number_of(error)) from error

    def failed(self, meaning: Meaning, number: int) -> GlimpseError:
        """Return the error for a number of errno, and note what it says about the connection."""
        if number in LOST:
            self.connection.lost = self.timed_out = True
        elif number == errno.ETIMEDOUT:
            self.connection.doubted = self.timed_out = True
        return meaning(self.store_id, number)

    def image(self, pool: Any, name: str, snapshot: str | None = None, *, read_only: bool = True) -> Any:
        """Open an image.

        :raises Exception: an error of the libraries.
        """
        return self.rbd.Image(pool, name, snapshot=snapshot, read_only=read_only)

    def close_image(self, image: Any) -> None:
        """Close an image, waiting at most for the time limit of one request, and not at all after a timeout.

        The library goes on by itself: it waits for requests that are under way, and gives up its locks and watches one
        by one. The connection is kept until it has ended.

        :raises StoreUnavailable: the cluster does not answer.
        """
        done = Event()
        results: list[int] = []

        def closed(completion: Any) -> None:
            results.append(completion.get_return_value())
            done.set()
            self._leave(closing=-1)

        with self._lock:
            self._closing += 1
        with self.translated(read_error):
            try:
                image.aio_close(closed)
            except BaseException:
                self._leave(closing=-1)
                raise
        if self.timed_out or not done.wait(self.connection.deadline):
            raise self.failed(read_error, errno.ETIMEDOUT)
        if results[0] < 0:
            raise self.failed(read_error, -results[0])

    def close(self) -> None:
        """End the use. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._leave(closing=0)

    def _leave(self, *, closing: int) -> None:
        """Leave the connection when the use has ended and all images are closed."""
        with self._lock:
            self._closing += closing
            over = self._closed and not self._closing and not self._left
            self._left = self._left or over
        if over:
            self._cluster.leave(self.connection)


class Cluster:
    """Gives sessions on the connection of this process."""

    def __init__(self, store_id: str, bindings: Bindings, settings: ClusterSettings) -> None:
        self.store_id = store_id
        self._bindings = bindings
        self._settings = settings
        self._connection: Connection | None = None
        self._connecting = Lock()
        #: of users and of the current connection
        self._counting = Lock()
        #: when connecting failed, and the number of errno
        self._failure: tuple[float, int] | None = None
        self._closed = False

    def session(self) -> Session:
        """Return a session, after connecting if necessary. It must be closed.

        :raises AccessDenied: the cluster does not know the user, or no key of the user was found.
        :raises StoreUnavailable: the cluster does not answer, or the store is closed.
        """
        connection = self._take()
        if connection is None:
            if not self._connecting.acquire(timeout=self._patience()):
                raise connect_error(self.store_id, errno.ETIMEDOUT)
            try:
                connection = self._take() or self._connect()
            finally:
                self._connecting.release()
        return Session(self, connection, self._bindings)

    def leave(self, connection: Connection) -> None:
        """End one use of ``connection``; one that is no longer the current one is closed with its last use."""
        with self._counting:
            connection.users -= 1
            over = connection.users == 0 and connection is not self._connection
        if over:
            connection.shut_down()

    def close(self) -> None:
        """Close the connection as soon as it is unused; no new connection is made."""
        with self._counting:
            self._closed = True
            connection, self._connection = self._connection, None
            over = connection is not None and connection.users == 0
        if connection is not None and over and connection.pid == os.getpid():
            connection.shut_down(_CLOSING)

    def _take(self) -> Connection | None:
        """Use the current connection; None if the store is not connected, or the connection must be replaced."""
        dropped = None
        with self._counting:
            connection = self._connection
            if connection is not None and connection.pid != os.getpid():
                # a copy from before the fork: its destructor would wait for threads that do not exist here
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
                connection = self._connection = None
            if connection is not None and _is_over(connection):
                dropped = connection if connection.users == 0 else None
                connection = self._connection = None
            if connection is not None:
                connection.users += 1
        if dropped is not None:
            dropped.shut_down()
        return connection

    def _connect(self) -> Connection:
        if self._closed:
            raise StoreUnavailable(f"Store {self.store_id} is closed.")
        if self._failure is not None and time.monotonic() - self._failure[0] < _FAILED_FOR:
            raise connect_error(self.store_id, self._failure[1])
        try:
            connection = self._connected()
        except self._bindings.errors as error:
            self._failure = (time.monotonic(), number_of(error))
            raise connect_error(self.store_id, number_of(error)) from error
        connection.users = 1
        with self._counting:
            self._connection = connection
        return connection

    def _connected(self) -> Connection:
        settings = self._settings
        # the library reads its configuration file here; its cache is off, because readers and writers buffer themselves
        handle = self._bindings.rados.Rados(
            conffile=settings.conf, rados_id=settings.user or "admin", conf={"rbd_cache": "false"}
        )
        for option, limit in _LIMITS.items():
            if settings.timeout > 0:
                handle.conf_set(option, str(settings.timeout))
            elif float(handle.conf_get(option)) in {0.0, _DEFAULTS_OF_CEPH[option]}:
                handle.conf_set(option, str(limit))
        handle.connect()
        return Connection(self._bindings, handle)

    def _patience(self) -> float:
        """Seconds to wait for another thread that connects."""
        return (self._settings.timeout if self._settings.timeout > 0 else _LIMITS["client_mount_timeout"]) + 5.0


def _is_over(connection: Connection) -> bool:
    if connection.lost:
        return True
    old = time.monotonic() - connection.made > _DOUBTED_AFTER
    return connection.doubted and old and connection.users == 0
