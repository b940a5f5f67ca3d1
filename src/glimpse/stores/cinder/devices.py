"""Attached volumes in the attaching process: an RBD image through librbd, or a device or file with a path.

Runs only in that process: it imports os-brick, which brings libraries that the API process does not load.
"""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Condition
from typing import Any, Protocol

LOG = logging.getLogger(__name__)

#: Seconds that the operations in progress get when a volume is taken away.
_LAST_OPERATIONS = 20.0
#: Seconds until a device must show the size of its volume after it was extended.
_GROWTH = 20.0

#: Reads and writes of a device at the same time; more of them wait.
_THREADS = 16

_TOO_LARGE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DeviceError(Exception):
    """An operation has failed; ``str(error)`` is for the user."""

    def __init__(self, reason: str, *, permanent: bool = False, full: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.full = full


#: What is called when an operation has ended, in any thread: with its error, or with None.
Ended = Callable[[Exception | None], None]


class Device(Protocol):
    """An open volume. Positions are in bytes; the calls may run in several threads.

    An operation that could be started ends with a call of ``ended``; until then ``area`` must stay as it is.
    """

    #: a new volume reads as zeros
    zeros: bool
    #: ``area`` may change as soon as a write has started
    copies: bool

    def start_read(self, offset: int, area: memoryview, ended: Ended) -> None:
        """Start to fill ``area``."""
        ...

    def start_write(self, offset: int, area: memoryview, ended: Ended) -> None:
        """Start to write all of ``area``."""
        ...

    def flush(self) -> None:
        """Make durable what was written."""
        ...

    def size(self) -> int:
        """Return the size of the volume."""
        ...

    def close(self) -> None:
        """Close the device."""
        ...


class RbdDevice:
    """An image of Ceph, opened by os-brick. The library's threads work on several operations at a time."""

    zeros = True
    copies = True

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._image = handle.rbd_image

    def start_read(self, offset: int, area: memoryview, ended: Ended) -> None:
        def arrived(completion: Any, data: bytes | None) -> None:
            error = _error_of(completion)
            if error is None and data is not None and len(data) == len(area):
                area[:] = data
            elif error is None:
                error = OSError(errno.EIO, "the image is shorter than the volume")
            ended(error)

        self._image.aio_read(offset, len(area), arrived)

    def start_write(self, offset: int, area: memoryview, ended: Ended) -> None:
        def written(completion: Any) -> None:
            ended(_error_of(completion))

        self._image.aio_write(bytes(area), offset, written)

    def flush(self) -> None:
        self._image.flush()

    def size(self) -> int:
        return int(self._image.size())

    def close(self) -> None:
        """Leave it to os-brick, which closes the handle when it disconnects."""


def _error_of(completion: Any) -> OSError | None:
    """Return the error of an operation of librbd, whose result is a count of bytes or a negated errno."""
    result = int(completion.get_return_value())
    return OSError(-result, os.strerror(-result)) if result < 0 else None


class PathDevice:
    """A block device, or a file in a mounted share."""

    zeros = False
    copies = False

    def __init__(self, path: str, *, writable: bool, root_helper: str) -> None:
        """Take the device over as the user of the service while it is open, if necessary."""
        self._path = path
        self._root_helper = root_helper
        self._owner: int | None = None
        self._threads = ThreadPoolExecutor(_THREADS, "io")
        mode = os.R_OK | (os.W_OK if writable else 0)
        if not os.access(path, mode):
            self._owner = os.stat(path).st_uid
            self._chown(os.getuid())
        try:
            self._file = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        except BaseException:
            self._give_back()
            raise

    def start_read(self, offset: int, area: memoryview, ended: Ended) -> None:
        self._start(partial(self.read, offset, area), ended)

    def start_write(self, offset: int, area: memoryview, ended: Ended) -> None:
        self._start(partial(self.write, offset, area), ended)

    def read(self, offset: int, area: memoryview) -> None:
        """Fill ``area``."""
        while area:
            count = os.preadv(self._file, [area], offset)
            if not count:
                raise OSError(errno.EIO, "the device is shorter than the volume")
            area = area[count:]
            offset += count

    def write(self, offset: int, area: memoryview) -> None:
        """Write all of ``area``."""
        while area:
            count = os.pwritev(self._file, [area], offset)
            area = area[count:]
            offset += count

    def flush(self) -> None:
        os.fsync(self._file)

    def size(self) -> int:
        return os.lseek(self._file, 0, os.SEEK_END)

    def close(self) -> None:
        self._threads.shutdown()
        os.close(self._file)
        self._give_back()

    def _start(self, work: Callable[[], None], ended: Ended) -> None:
        def run() -> None:
            try:
                work()
            except OSError as error:
                ended(error)
            else:
                ended(None)

        self._threads.submit(run)

    def _give_back(self) -> None:
        if self._owner is not None:
            try:
                self._chown(self._owner)
            except (OSError, subprocess.SubprocessError) as error:
                LOG.warning("The owner of %s cannot be restored: %s", self._path, error)

    def _chown(self, owner: int) -> None:
        command = [*self._root_helper.split(), "chown", str(owner), self._path]
        subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 - of the operator


class SharedDevice:
    """A connected volume that several streams use. It can be taken from all of them."""

    def __init__(self, connector: Any, connection: dict[str, Any], found: Any, device: Device) -> None:
        self._connector = connector
        self._connection = connection
        self._found = found
        self._device = device
        self._changed = Condition()
        self._operations = 0
        self._open = True
        self.zeros = device.zeros
        self.copies = device.copies

    @contextmanager
    def used(self) -> Generator[Device]:
        """Use the device for one operation.

        :raises DeviceError: the volume was taken away, or the operation failed.
        """
        self._begin()
        try:
            yield self._device
        except DeviceError:
            raise
        except Exception as error:  # librbd has errors of its own, which are no OSError
            raise _failure(error) from error
        finally:
            self._finish()

    def start(self, offset: int, area: memoryview, ended: Callable[[DeviceError | None], None], *, write: bool) -> None:
        """Start to read into ``area``, or to write it; ``ended`` is called at the end, in any thread.

        :raises DeviceError: the volume was taken away, or the operation cannot be started; ``ended`` is not called.
        """

        def end(error: Exception | None) -> None:
            self._finish()
            ended(None if error is None else _failure(error))

        self._begin()
        try:
            (self._device.start_write if write else self._device.start_read)(offset, area, end)
        except Exception as error:
            self._finish()
            raise _failure(error) from error

    def extended(self, least: int) -> int:
        """Return the size after an extension to at least ``least`` bytes; waits until the device shows it."""
        end = time.monotonic() + _GROWTH
        with self.used() as device:
            if isinstance(device, PathDevice):
                self._connector.extend_volume(self._connection)
            while (size := device.size()) < least:
                if time.monotonic() > end:
                    raise DeviceError("the device does not show the new size of the volume")
                time.sleep(0.1)
            return size

    def size(self) -> int:
        """Return the size of the volume in bytes."""
        with self.used() as device:
            return device.size()

    def close(self, *, keep_connected: bool) -> None:
        """Close the device, after the operations in progress, and disconnect it. Safe to call twice.

        :raises DeviceError: an operation does not end, or the volume cannot be disconnected.
        """
        with self._changed:
            if not self._open:
                return
            self._open = False
            if not self._changed.wait_for(lambda: not self._operations, _LAST_OPERATIONS):
                raise DeviceError("an operation on the volume does not end")
        try:
            self._device.close()
            if not keep_connected:
                self._connector.disconnect_volume(self._connection, self._found, force=True)
        except Exception as error:
            LOG.warning("A volume cannot be disconnected: %s", error)
            raise DeviceError(f"the volume cannot be disconnected ({type(error).__name__})") from error

    def _begin(self) -> None:
        with self._changed:
            if not self._open:
                raise DeviceError("another process took the volume over", permanent=False)
            self._operations += 1

    def _finish(self) -> None:
        with self._changed:
            self._operations -= 1
            self._changed.notify_all()


def _failure(error: Exception) -> DeviceError:
    LOG.warning("An operation on a volume failed: %s", error)
    full = getattr(error, "errno", None) in _TOO_LARGE
    return DeviceError(f"an operation on the volume failed ({type(error).__name__})", full=full)
