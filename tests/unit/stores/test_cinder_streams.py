"""A transfer and the attaching process: operations on the way, late failures, data that are there already."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from glimpse.errors import StoreFull
from glimpse.stores.cinder import wire
from glimpse.stores.cinder.child import BEHIND, Session
from glimpse.stores.cinder.devices import RbdDevice, SharedDevice
from glimpse.stores.cinder.link import Link
from glimpse.stores.cinder.reader import CinderReader
from glimpse.stores.cinder.shared_volumes import SharedVolumes

VOLUME = "7e918973-3a81-4c36-9a04-a7da6b0dd0e7"


class Image:
    """An image of librbd; the test ends the operations."""

    def __init__(self) -> None:
        self.ends: list[Any] = []
        self.flushed = 0

    def aio_read(self, _offset: int, _length: int, ended: Any) -> None:
        self.ends.append(ended)

    def aio_write(self, _data: bytes, _offset: int, ended: Any) -> None:
        self.ends.append(ended)

    def flush(self) -> None:
        self.flushed += 1

    def size(self) -> int:
        return 1 << 30

    def end(self, number: int, result: int, *data: bytes) -> None:
        self.ends[number](SimpleNamespace(get_return_value=lambda: result), *data)


class Attacher:
    def __init__(self, image: Image) -> None:
        connector = SimpleNamespace(disconnect_volume=lambda *_, **__: None)
        self.device = SharedDevice(connector, {}, None, RbdDevice(SimpleNamespace(rbd_image=image)))

    def properties(self, **_: object) -> dict[str, Any]:
        return {}

    def connected(self, _connection: object, **_: object) -> SharedDevice:
        return self.device


@pytest.fixture
def image() -> Image:
    return Image()


@pytest.fixture
def link(image: Image) -> Iterator[Link]:
    """The stream of a transfer that has attached the image for writing."""
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    session: Any = Session(other, Attacher(image), SharedVolumes())  # pyright: ignore[reportArgumentType]
    serving = threading.Thread(target=session.serve)
    serving.start()
    assert wire.receive_answer(own) == wire.Done()
    link = Link("vol", own, 5.0)
    assert isinstance(link.ask(wire.Acquire(VOLUME, True, False, False)), wire.YourTurn)
    assert isinstance(link.ask(wire.Connect("attachment", {})), wire.Attached)
    link.ask(wire.Ready())
    yield link
    link.close()
    serving.join(10)
    assert not serving.is_alive()


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def _written(link: Link, count: int) -> None:
    for number in range(count):
        assert link.ask(wire.Write(number % wire.SLOTS, number << 20, 1 << 20)) == wire.Done(number % wire.SLOTS)


def test_writes_are_answered_before_they_end_up_to_a_limit(link: Link, image: Image) -> None:
    _written(link, BEHIND)
    link.send(wire.Write(0, BEHIND << 20, 10))
    _until(lambda: len(image.ends) == BEHIND + 1)
    assert link.answer_now() is None
    image.end(BEHIND, 0)
    assert link.answer() == wire.Done(0)
    link.send(wire.Flush())
    for number in range(BEHIND):
        assert link.answer_now() is None
        assert not image.flushed
        image.end(number, 0)
    assert link.answer() == wire.Done()
    assert image.flushed == 1


def test_a_write_that_fails_late_fails_the_upload(link: Link, image: Image) -> None:
    _written(link, 2)
    image.end(1, -errno.ENOSPC)
    with pytest.raises(StoreFull):
        link.ask(wire.Write(0, 0, 10))
    link.send(wire.Flush())
    image.end(0, 0)
    with pytest.raises(StoreFull):
        link.answer()
    assert not image.flushed


def test_data_that_have_arrived_are_read_without_waiting(link: Link, image: Image) -> None:
    reader = CinderReader(SimpleNamespace(link=link, close=lambda: None), 0, 300 << 10)  # pyright: ignore[reportArgumentType]
    assert reader.read_now(1 << 20) is None
    _until(lambda: len(image.ends) == 2)
    image.end(1, 44 << 10, b"b" * (44 << 10))
    assert reader.read_now(1 << 20) is None
    image.end(0, 256 << 10, b"a" * (256 << 10))
    found: list[bytes | None] = []
    _until(lambda: found.append(reader.read_now(200 << 10)) or found[-1] is not None)
    assert found[-1] == b"a" * (200 << 10)
    assert reader.read_now(1 << 20) == b"a" * (56 << 10)
    assert reader.read_now(1 << 20) == b"b" * (44 << 10)
    assert reader.read_now(1 << 20) == b""
    reader.close()
