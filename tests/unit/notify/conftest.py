"""Small, real implementations of the protocols, which tests can inspect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime

import pytest

from glimpse.domain.image import Image, Location, StoredData
from glimpse.domain.status import Visibility
from glimpse.notify.base import Message


class ListDriver:
    """Keeps what it is sent. While ``gate`` is closed it waits, as for a broker; it fails what ``refuses`` names."""

    def __init__(self, name: str = "list", refuses: Callable[[Message], Exception | None] = lambda _: None) -> None:
        self.name = name
        self.messages: list[Message] = []
        self.closed = 0
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()
        self.threads: set[str] = set()
        self._refuses = refuses

    @property
    def events(self) -> list[str]:
        return [message["event_type"] for message in self.messages]

    def send(self, message: Message) -> None:
        self.threads.add(threading.current_thread().name)
        self.arrived.set()
        assert self.gate.wait(30)
        error = self._refuses(message)
        if error is not None:
            raise error
        self.messages.append(message)

    def close(self) -> None:
        self.closed += 1


class ListNotifier:
    """A notifier that keeps what services emit, in order."""

    def __init__(self, disabled: frozenset[str] = frozenset()) -> None:
        self.emitted: list[tuple[str, Mapping[str, object] | str, bool]] = []
        self._disabled = disabled

    @property
    def events(self) -> list[str]:
        return [event for event, _, _ in self.emitted]

    def payload(self, number: int) -> Mapping[str, object]:
        found = self.emitted[number][1]
        assert not isinstance(found, str)
        return found

    def enabled(self, event: str) -> bool:
        return event not in self._disabled

    def emit(self, event: str, payload: Mapping[str, object] | str, *, error: bool = False) -> None:
        assert self.enabled(event), "asked before"
        self.emitted.append((event, payload, error))


@pytest.fixture
def image() -> Image:
    return Image(
        id="7c8f6d5e-0000-4000-8000-000000000001",
        name="debian 12",
        visibility=Visibility.PUBLIC,
        owner="physics",
        disk_format="qcow2",
        container_format="bare",
        min_disk=2,
        min_ram=512,
        os_hash_algo="sha512",
        os_hash_value="00",
        created_at=datetime.fromisoformat("2026-01-02T03:04:05.678901"),
        updated_at=datetime.fromisoformat("2026-01-03T03:04:05"),
        properties={"os_distro": "debian", "os_glance_importing_to_stores": "fast,slow", "empty": None},
        tags=("a", "b"),
        locations=(Location(url="file:///secret/place"),),
    )


@pytest.fixture
def data() -> StoredData:
    return StoredData(
        size=1234,
        virtual_size=5678,
        checksum="d41d8cd98f00b204e9800998ecf8427e",
        os_hash_algo="sha512",
        os_hash_value="11",
        location=Location(url="file:///secret/place"),
    )
