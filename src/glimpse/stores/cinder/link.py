"""Connections of transfers to the attaching process, which the first connection starts."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import subprocess
import sys
from threading import Lock

import msgspec

from glimpse.errors import AccessDenied, StoreFull, StoreUnavailable
from glimpse.stores.cinder import wire
from glimpse.stores.cinder.wire import HostSettings

LOG = logging.getLogger(__name__)

#: Seconds until the process listens, and until it greets a new connection.
_START = 30.0
_GREETING = 10.0
#: Heaps of the process: with one for each thread, every stream would keep some MiB after its end.
_ARENAS = "2"
#: Ceph's library does not cache: data are read and written once, and the cache costs 32 MiB and a copy.
_CEPH = "--rbd-cache=false"


class Link:
    """One connection, used by one thread at a time."""

    def __init__(self, store_id: str, connection: socket.socket, deadline: float) -> None:
        """``deadline``: default timeout of a request, in seconds."""
        self._store_id = store_id
        self._connection = connection
        self._deadline = deadline
        self.area = memoryview(wire.new_area(connection))

    def ask(self, request: wire.Request, deadline: float | None = None) -> wire.Answer:
        """Send a request and return the answer; nothing else may be in progress.

        :raises AccessDenied: the volume cannot be used at all.
        :raises StoreUnavailable: the request failed, or took longer than ``deadline``.
        """
        self.send(request)
        return self.answer(deadline)

    def send(self, request: wire.Request) -> None:
        """Send a request, whose answer :meth:`answer` returns later.

        :raises StoreUnavailable: the process is gone or stuck.
        """
        try:
            self._connection.settimeout(self._deadline)
            wire.send(self._connection, request)
        except OSError as error:
            raise self._broken(error) from error

    def answer(self, deadline: float | None = None) -> wire.Answer:
        """Return the next answer, of any request in progress.

        :raises StoreFull: the backend has no space for the data.
        :raises AccessDenied: the volume cannot be used at all.
        :raises StoreUnavailable: the request failed, or took longer than ``deadline``.
        """
        return self._received(self._deadline if deadline is None else deadline)

    def answer_now(self) -> wire.Answer | None:
        """Return the next answer if it is there; otherwise None. Raises what :meth:`answer` raises."""
        try:
            return self._received(0)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """End the stream: the process cleans up. Safe to call twice."""
        self._connection.close()

    def _received(self, seconds: float) -> wire.Answer:
        try:
            self._connection.settimeout(seconds)
            answer = wire.receive_answer(self._connection)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._broken(error) from error
        if answer is None:
            raise self._broken(None)
        if isinstance(answer, wire.Failed):
            text = f"Store {self._store_id}: {answer.reason}."
            if answer.full:
                raise StoreFull(text)
            raise AccessDenied(text) if answer.permanent else StoreUnavailable(text)
        return answer

    def _broken(self, error: OSError | None) -> StoreUnavailable:
        self.close()
        if isinstance(error, TimeoutError):
            return StoreUnavailable(f"Store {self._store_id}: a volume did not answer in time.")
        return StoreUnavailable(f"Store {self._store_id}: the process that attaches volumes has ended.")


class AttachingProcess:
    """The process of this host for one store; other workers with the same settings use the same one."""

    def __init__(self, store_id: str, settings: HostSettings, deadline: float) -> None:
        """``deadline``: the usual seconds until an answer."""
        self._store_id = store_id
        self._settings = settings
        self._deadline = deadline
        self._arguments = msgspec.json.encode(settings).decode()
        digest = hashlib.sha256(f"{self._arguments} {os.getuid()} {sys.prefix}".encode()).hexdigest()
        #: the name of its socket, which also distinguishes the records of attachments
        self.name = f"glimpse-cinder-{digest[:24]}"
        self._lock = Lock()
        self._presence: socket.socket | None = None

    def link(self) -> Link:
        """Return a new connection; starts the process if necessary.

        :raises StoreUnavailable: it cannot be started.
        """
        with self._lock:
            if self._presence is None or not _alive(self._presence):
                if self._presence is not None:
                    self._presence.close()
                self._presence = self._connected()
                self._presence.setblocking(False)  # noqa: FBT003
        return Link(self._store_id, self._connected(), self._deadline)

    def close(self) -> None:
        """Let the process end when its last stream has ended. Safe to call twice."""
        with self._lock:
            if self._presence is not None:
                self._presence.close()
                self._presence = None

    def _connected(self) -> socket.socket:
        failure: Exception | None = None
        for _ in range(3):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                connection.settimeout(_GREETING)
                connection.connect(f"\0{self.name}")
                if not _is_own(connection):
                    connection.close()
                    raise self._taken()
                if wire.receive_answer(connection) is not None:
                    return connection
            except ConnectionError as error:
                failure = error
                self._start()
            except OSError as error:
                failure = error
            connection.close()
        raise StoreUnavailable(
            f"Store {self._store_id}: the process that attaches volumes does not answer."
        ) from failure

    def _taken(self) -> StoreUnavailable:
        LOG.error("A process of another user listens at the abstract socket %s; see ss -xlp", self.name)
        return StoreUnavailable(f"Store {self._store_id}: another user occupies the socket of the attaching process.")

    def _start(self) -> None:
        command = [sys.executable, "-m", "glimpse.stores.cinder.child", self.name, self._arguments]
        environment = {"MALLOC_ARENA_MAX": _ARENAS, **os.environ}
        environment["CEPH_ARGS"] = f"{_CEPH} {environment.get('CEPH_ARGS', '')}".strip()
        try:
            subprocess.run(  # noqa: S603 - our own program
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=_START, cwd="/",
                start_new_session=True, env=environment,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            LOG.error("The process that attaches volumes cannot be started: %s", error)  # noqa: TRY400 - says all
            raise StoreUnavailable(
                f"Store {self._store_id}: the process that attaches volumes cannot be started."
            ) from error


def _alive(connection: socket.socket) -> bool:
    """Whether the other side has not closed a connection that does not block, and on which it sends nothing."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _is_own(connection: socket.socket) -> bool:
    """Whether the listening process runs as this user: every user can bind such a name."""
    return wire.peer_user(connection) == os.getuid()
