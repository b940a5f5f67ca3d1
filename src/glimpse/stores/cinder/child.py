"""The attaching process: ``python -m glimpse.stores.cinder.child``, started by the first transfer that needs it.

It is not part of the API process, because os-brick and the libraries of backends may hang, leak or crash. All workers
of a host use the same one, because a volume can be attached to a host only once. A transfer has one connection to it
and is cleaned up after when that closes, for whatever reason. The process ends soon after the last worker.
"""

from __future__ import annotations

import logging
import mmap
import os
import socket
import sys
import time
from threading import Condition, Lock, Thread

import msgspec

from glimpse.stores.cinder import wire
from glimpse.stores.cinder.attacher import Attacher
from glimpse.stores.cinder.devices import DeviceError, SharedDevice
from glimpse.stores.cinder.shared_volumes import SharedVolumes, Use
from glimpse.stores.cinder.wire import HostSettings

LOG = logging.getLogger("glimpse.stores.cinder.child")

#: Seconds without a connection after which the process ends; every worker keeps one open.
LINGER = 10.0
#: Writes of a stream in progress whose slots are free again, because the data were copied. A cluster of Ceph is fast
#: only with several MiB on their way.
BEHIND = 12
#: Streams at the same time.
STREAMS = 256


class Session:
    """One connection: at most one volume, used by one transfer."""

    def __init__(self, connection: socket.socket, attacher: Attacher, volumes: SharedVolumes) -> None:
        self._connection = connection
        self._attacher = attacher
        self._volumes = volumes
        self._area: mmap.mmap | None = None
        self._use: Use | None = None
        #: the stream uses the volume, or has left it and still has the turn
        self._using = False
        self._turn = False
        self._multipath = False
        self._ended = Condition()
        self._operations = 0
        self._behind = 0
        #: of the first write that failed after it was answered
        self._failure: DeviceError | None = None

    def serve(self) -> None:
        """Answer requests until the other side closes the connection; then clean up."""
        try:
            wire.send(self._connection, wire.Done())
            self._area = wire.received_area(self._connection)
            while self._area is not None and (request := wire.receive_request(self._connection)) is not None:
                self._handle(request)
        except (OSError, msgspec.MsgspecError) as error:
            LOG.info("A connection broke: %s", error)
        finally:
            self._end()

    def _handle(self, request: wire.Request) -> None:
        if isinstance(request, (wire.Read, wire.Write)):
            self._start(request)
            return
        try:
            answer = self._answer(request)
        except DeviceError as error:
            answer = _failed(error)
        wire.send(self._connection, answer)

    def _answer(self, request: wire.Request) -> wire.Answer:
        match request:
            case wire.Acquire():
                return self._acquire(request)
            case wire.Connect():
                return self._connect(request)
            case wire.Ready() if self._use is not None:
                self._turn = False
                self._volumes.ready(self._use)
            case wire.Disconnect():
                self._attacher.disconnect(request.connection)
            case wire.Flush():
                self._drain()
                if self._failure is not None:
                    raise self._failure
                with self._device().used() as device:
                    device.flush()
            case wire.Extend():
                self._drain()
                device = self._device()
                return wire.Attached(device.extended(request.size), device.zeros)
            case wire.Release():
                return wire.Released(self._release(keep_connected=request.keep_connected))
            case wire.Evict():
                self._volumes.evict(request.volume_id)
            case _:
                raise DeviceError("a request came out of order")
        return wire.Done()

    def _acquire(self, request: wire.Acquire) -> wire.Answer:
        if self._use is not None:
            raise DeviceError("a request came out of order")
        self._multipath = request.multipath
        use = self._volumes.acquire(request.volume_id, writable=request.writable)
        self._use = use
        if use.changing:
            self._turn = True
            enforce = request.enforce_multipath
            return wire.YourTurn(self._attacher.properties(multipath=request.multipath, enforce=enforce))
        self._using = True
        return self._attached(self._device())

    def _connect(self, request: wire.Connect) -> wire.Answer:
        use = self._use
        if use is None or not self._turn or self._using:
            raise DeviceError("a request came out of order")
        use.device = self._attacher.connected(request.connection, writable=use.writable, multipath=self._multipath)
        use.attachment_id = request.attachment_id
        self._using = True
        return self._attached(use.device)

    def _attached(self, device: SharedDevice) -> wire.Attached:
        return wire.Attached(device.size(), device.zeros)

    def _device(self) -> SharedDevice:
        if self._use is None or self._use.device is None or not self._using:
            raise DeviceError("the transfer has no volume")
        return self._use.device

    def _start(self, request: wire.Read | wire.Write) -> None:
        """Start a read or write, which is answered when its slot can be used again, maybe by another thread."""
        start = request.slot * wire.SLOT_SIZE
        area = memoryview(self._area or b"")[start : start + request.length]
        writes = isinstance(request, wire.Write)
        early = False

        def ended(error: DeviceError | None) -> None:
            area.release()
            if not early:
                self._reply(request.slot, error)
            with self._ended:
                if error is not None and self._failure is None and early:
                    self._failure = error
                self._behind -= early
                self._operations -= 1
                self._ended.notify_all()

        with self._ended:
            self._operations += 1
        try:
            if writes and self._failure is not None:
                raise self._failure
            device = self._device()
            early = writes and device.copies and self._behind < BEHIND
            with self._ended:
                self._behind += early
            device.start(request.offset, area, ended, write=writes)
        except DeviceError as error:
            ended(error)
        if early:
            self._reply(request.slot, None)

    def _reply(self, slot: int, error: DeviceError | None) -> None:
        try:
            wire.send(self._connection, wire.Done(slot) if error is None else _failed(error))
        except OSError:
            LOG.debug("A transfer ended before its operation")

    def _drain(self) -> None:
        with self._ended:
            self._ended.wait_for(lambda: not self._operations)

    def _release(self, *, keep_connected: bool) -> str | None:
        """End the use of the volume. Return the attachment if it was the last one."""
        self._drain()
        use = self._use
        if use is None or not self._using:
            return None
        self._using = False
        if not self._turn:
            if not self._volumes.leave(use):
                return None
            self._turn = True
        if use.device is not None:
            use.device.close(keep_connected=keep_connected)
        return use.attachment_id

    def _end(self) -> None:
        try:
            self._release(keep_connected=False)
        except DeviceError as error:
            LOG.warning("A volume could not be disconnected: %s", error)
        if self._turn and self._use is not None:
            self._volumes.forget(self._use)
        self._drain()
        if self._area is not None:
            self._area.close()
        self._connection.close()


def _failed(error: DeviceError) -> wire.Failed:
    return wire.Failed(str(error), permanent=error.permanent, full=error.full)


class Server:
    """Accepts connections of the same user; ends when no connection is open for a while."""

    def __init__(self, listening: socket.socket, settings: HostSettings) -> None:
        self._listening = listening
        self._attacher = Attacher(settings)
        self._volumes = SharedVolumes()
        self._lock = Lock()
        self._sessions = 0
        self._last_used = time.monotonic()

    def run(self) -> None:
        """Serve; returns when the process is no longer needed."""
        self._listening.settimeout(2.0)
        while True:
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                with self._lock:
                    if not self._sessions and time.monotonic() - self._last_used > LINGER:
                        break
                continue
            connection.setblocking(True)  # noqa: FBT003
            with self._lock:
                refused = wire.peer_user(connection) != os.getuid() or self._sessions >= STREAMS
                self._sessions += not refused
            if refused:
                connection.close()
                continue
            Thread(target=self._serve, args=(connection,), daemon=True).start()
        self._listening.close()
        self._attacher.unmount()

    def _serve(self, connection: socket.socket) -> None:
        try:
            Session(connection, self._attacher, self._volumes).serve()
        except Exception:
            LOG.exception("A stream failed")
        finally:
            with self._lock:
                self._sessions -= 1
                self._last_used = time.monotonic()


def main(name: str, settings: HostSettings) -> int:
    """Listen at the abstract socket ``name`` and leave for the background; 0 also if another process listens there."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listening.bind(f"\0{name}")
    except OSError:
        return 0
    listening.listen(64)
    if os.fork():
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s")
    Server(listening, settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=HostSettings)))
