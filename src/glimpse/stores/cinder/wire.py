"""Messages between the transfers of a service and the process that attaches volumes.

They talk over a Unix socket that keeps the boundaries of messages; each message is one JSON object. Data are not sent:
they lie in the slots of a memory area that both sides map, one area for each stream.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from typing import Any

import msgspec

#: Slots of a stream, that is, requests in progress at the same time, and the size of each in bytes.
SLOTS = 4
SLOT_SIZE = 1 << 20
AREA = SLOTS * SLOT_SIZE

#: The longest message in bytes; connection information is a few KiB.
_LONGEST = 64 << 10


class HostSettings(msgspec.Struct, frozen=True):
    """What all streams of an attaching process share."""

    root_helper: str
    mount_base: str
    lock_path: str
    address: str


class Acquire(msgspec.Struct, frozen=True, tag=True):
    """Use a volume. The answer is Attached if the host has it attached for this purpose, else YourTurn.

    Answered when no other stream is attaching or detaching the volume.
    """

    volume_id: str
    writable: bool
    multipath: bool
    enforce_multipath: bool


class Attached(msgspec.Struct, frozen=True, tag=True):
    """The volume is attached, with ``size`` bytes; ``zeros``: a new volume reads as zeros."""

    size: int
    zeros: bool


class YourTurn(msgspec.Struct, frozen=True, tag=True):
    """No stream of the host has the volume: the one that receives this attaches it, as the host of ``connector``."""

    connector: dict[str, Any]


class Connect(msgspec.Struct, frozen=True, tag=True):
    """Connect the volume and open its device; the answer is Attached. ``Ready`` must follow."""

    attachment_id: str
    connection: dict[str, Any]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The attachment is complete; other streams may use it."""


class Disconnect(msgspec.Struct, frozen=True, tag=True):
    """Disconnect what a dead process has left, as far as possible."""

    connection: dict[str, Any]


class Read(msgspec.Struct, frozen=True, tag=True):
    """Read ``length`` bytes at ``offset`` of the volume into a slot."""

    slot: int
    offset: int
    length: int


class Write(msgspec.Struct, frozen=True, tag=True):
    """Write the first ``length`` bytes of a slot at ``offset`` of the volume."""

    slot: int
    offset: int
    length: int


class Flush(msgspec.Struct, frozen=True, tag=True):
    """Make durable what was written."""


class Extend(msgspec.Struct, frozen=True, tag=True):
    """Notice that the volume was extended to ``size`` bytes; the answer is Attached with the new size."""

    size: int


class Release(msgspec.Struct, frozen=True, tag=True):
    """End the use. The answer is Released, after the volume was disconnected if no other stream uses it.

    The volume belongs to the stream until it closes its connection, so that it can delete the attachment.
    ``keep_connected``: others on this host, such as Nova, still use the same device.
    """

    keep_connected: bool = False


class Released(msgspec.Struct, frozen=True, tag=True):
    """``attachment_id``: the attachment that must be deleted now; None while others use it."""

    attachment_id: str | None


class Evict(msgspec.Struct, frozen=True, tag=True):
    """Take a volume from all streams of the host that use it, and disconnect it."""

    volume_id: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """A request has succeeded; ``slot`` is that of a Read or Write, otherwise -1."""

    slot: int = -1


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A request has failed; ``permanent`` failures are not worth a retry. ``reason`` is for the user."""

    reason: str
    permanent: bool = False
    full: bool = False


Request = Acquire | Connect | Ready | Disconnect | Read | Write | Flush | Extend | Release | Evict
Answer = Attached | YourTurn | Released | Done | Failed

_encode = msgspec.json.Encoder().encode
_requests = msgspec.json.Decoder(Request)
_answers = msgspec.json.Decoder(Answer)


def send(connection: socket.socket, message: Request | Answer) -> None:
    """:raises OSError: the other side is gone, or does not take the message in time."""
    connection.send(_encode(message))


def receive_request(connection: socket.socket) -> Request | None:
    """Return the next request; None: the other side has closed the connection."""
    received = connection.recv(_LONGEST)
    return _requests.decode(received) if received else None


def receive_answer(connection: socket.socket) -> Answer | None:
    """Return the next answer; None: the other side has closed the connection."""
    received = connection.recv(_LONGEST)
    return _answers.decode(received) if received else None


def new_area(connection: socket.socket) -> mmap.mmap:
    """Make the memory area of a stream and show it to the other side."""
    descriptor = os.memfd_create("glimpse-cinder", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, AREA)
        socket.send_fds(connection, [b"area"], [descriptor])
        return mmap.mmap(descriptor, AREA)
    finally:
        os.close(descriptor)


def received_area(connection: socket.socket) -> mmap.mmap | None:
    """Map the area that the other side has made; None: it has closed the connection."""
    received, descriptors, _, _ = socket.recv_fds(connection, 16, 1)
    try:
        return mmap.mmap(descriptors[0], AREA) if received and descriptors else None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def peer_user(connection: socket.socket) -> int:
    """Return the user id of the process on the other side of a Unix socket."""
    size = struct.calcsize("3i")
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]
