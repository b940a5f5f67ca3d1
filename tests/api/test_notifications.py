"""The notifications of each request, in order, with the driver ``log`` (configuration 11)."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.image import ImageChange, Location
from glimpse.domain.status import Status
from glimpse.errors import StoreFull
from glimpse.jobs.steps.upload import INTERRUPTED
from glimpse.notify.all import LOGGER
from glimpse.settings.model import NotificationOptions, Stores, StoreSettings
from glimpse.stores.base import Placed
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.writer import FilesystemWriter
from glimpse.stores.memory import MemoryOptions
from tests.contract.db.examples import OVER, deletion_job, upload_job
from tests.support.images import VALID
from tests.support.imports import imported, staged, three_stores
from tests.support.jobs import run_due
from tests.support.wire import ADMIN, OTHER, Caller, Wire, settings_in, wired

MIB = 1 << 20
DATA = b"data of an image" * 1000
OF_AN_UPLOAD = [
    ("image.update", "saving"),
    ("image.prepare", "saving"),
    ("image.upload", "active"),
    ("image.activate", "active"),
    ("image.update", "active"),
]
OF_A_FAILED_ONE = [
    ("image.update", "saving"),
    ("image.prepare", "saving"),
    ("image.upload", "ERROR"),
    ("image.update", "queued"),
]


@dataclass
class Told:
    """The messages that left a service; complete when it has ended."""

    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __getitem__(self, event: str) -> Any:
        """The payload of the last message of an event."""
        return [message["payload"] for message in self.messages if message["event_type"] == event][-1]

    def events(self) -> list[str]:
        """The names of the events in their order."""
        return [message["event_type"] for message in self.messages]

    def statuses(self) -> list[tuple[str, str | None]]:
        """The same with the status of the image, ``ERROR`` for messages of that priority."""
        return [(message["event_type"], status_in(message)) for message in self.messages]


def status_in(message: dict[str, Any]) -> str | None:
    return "ERROR" if message["priority"] == "ERROR" else message["payload"].get("status")


class Collector(logging.Handler):
    """Reads the lines of the driver."""

    def __init__(self, told: Told) -> None:
        super().__init__()
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        message = json.loads(record.getMessage())
        assert record.name == f"{LOGGER}.{message['event_type']}"
        assert record.levelname == message["priority"]
        self._told.messages.append(message)


@pytest.fixture
def told() -> Iterator[Told]:
    found = Told()
    logger, collector = logging.getLogger(LOGGER), Collector(found)
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(collector)
    logger.setLevel(level)


@contextmanager
def telling(directory: Path, *, disabled: tuple[str, ...] = (), **parts: Any) -> Iterator[Wire]:
    """A service that tells; at the end of the block it has told everything."""
    options = NotificationOptions(drivers=("log",), publisher_id="image.host1", disabled=disabled)
    with wired(settings_in(directory, notifications=options, **parts)) as wire:
        yield wire


def test_nothing_is_made_where_no_driver_is_configured(tmp_path: Path) -> None:
    with wired(settings_in(tmp_path)) as wire:
        assert wire.service.deps.notifier is None


def test_the_record_of_an_image(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image = wire.create(name="Débian", os_distro="debian", tags=["a"])
        target = f"/v2/images/{image['id']}"
        assert wire.patch(image["id"], {"op": "replace", "path": "/name", "value": "new"}).status == 200
        assert wire("PUT", f"{target}/tags/b").status == 204
        assert wire("DELETE", f"{target}/tags/a").status == 204
        # what changes nothing, or fails
        assert wire.patch(image["id"]).status == 200
        assert wire("DELETE", f"{target}/tags/a").status == 404
        assert wire.patch(image["id"], {"op": "replace", "path": "/status", "value": "active"}).status == 403
        assert wire("POST", "/v2/images", json_body={"id": image["id"]}).status == 409
        assert wire("DELETE", target).status == 204
        assert wire("DELETE", target).status == 404
    assert told.events() == ["image.create", *["image.update"] * 3, "image.delete"]
    payloads = [message["payload"] for message in told.messages]
    assert [(payload["name"], payload["tags"]) for payload in payloads] == [
        ("Débian", ["a"]), ("new", ["a"]), ("new", ["a", "b"]), ("new", ["b"]), ("new", ["b"]),
    ]  # fmt: skip
    assert payloads[0] == {
        "id": image["id"], "name": "Débian", "status": "queued", "created_at": image["created_at"],
        "updated_at": image["updated_at"], "min_disk": 0, "min_ram": 0, "protected": False, "checksum": None,
        "owner": "p1", "disk_format": "raw", "container_format": "bare", "size": None, "virtual_size": None,
        "is_public": False, "visibility": "shared", "properties": {"os_distro": "debian"}, "tags": ["a"],
        "deleted": False, "deleted_at": None,
    }  # fmt: skip
    gone = payloads[-1]
    assert (gone["status"], gone["deleted"], gone["deleted_at"]) == ("deleted", True, gone["updated_at"])
    for message in told.messages:
        assert set(message) == {"message_id", "publisher_id", "event_type", "priority", "payload", "timestamp"}
        assert (message["publisher_id"], message["priority"]) == ("image.host1", "INFO")
    assert len({message["message_id"] for message in told.messages}) == 5


def test_an_upload_and_what_follows(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create()["id"]
        target = f"/v2/images/{image_id}"
        assert wire.upload(image_id, DATA).status == 204
        shown = wire("GET", target).json
        assert wire.as_(ADMIN)("POST", f"{target}/actions/deactivate").status == 204
        assert wire.as_(ADMIN)("POST", f"{target}/actions/deactivate").status == 204
        assert wire.as_(ADMIN)("POST", f"{target}/actions/reactivate").status == 204
        assert wire("DELETE", target).status == 204
    assert told.statuses() == [
        ("image.create", "queued"),
        *OF_AN_UPLOAD,
        ("image.update", "deactivated"),
        ("image.update", "active"),
        ("image.delete", "deleted"),
    ]
    assert told["image.prepare"]["size"] is None
    uploaded = told["image.upload"]
    assert (uploaded["size"], uploaded["virtual_size"]) == (len(DATA), len(DATA))
    assert (uploaded["checksum"], uploaded["updated_at"]) == (shown["checksum"], shown["updated_at"])
    assert (uploaded["os_glance_importing_to_stores"], uploaded["os_glance_failed_import"]) == ([], [])
    assert told["image.activate"] == {name: uploaded[name] for name in told["image.activate"]}
    assert not any("backend" in message["payload"] for message in told.messages)
    text = json.dumps(told.messages)
    assert not [word for word in ("os_hash", "file:", str(tmp_path), shown["os_hash_value"]) if word in text]


def test_named_stores_are_named(tmp_path: Path, told: Told) -> None:
    options = FilesystemOptions(filesystem_store_datadir=str(tmp_path / "fast"))
    stores = Stores(default="fast", stores=(StoreSettings(id="fast", kind="file", options=options),), named=True)
    with telling(tmp_path, stores=stores) as wire:
        assert wire.upload(wire.create()["id"], DATA).status == 204
    named = [message["event_type"] for message in told.messages if message["payload"].get("backend") == "fast"]
    assert named == ["image.prepare", "image.upload"]


@pytest.mark.parametrize(
    ("headers", "cut", "status", "reason"),
    [
        ({"x-openstack-image-size": "5"}, False, 400, "announced size is 5 bytes"),
        ({}, True, 400, "before the end of the body"),
    ],
)
def test_a_failed_upload(
    tmp_path: Path, told: Told, headers: dict[str, str], cut: bool, status: int, reason: str
) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create()["id"]
        fields = {"Content-Type": "application/octet-stream", **headers}
        assert wire("PUT", f"/v2/images/{image_id}/file", [DATA], fields, cut=cut).status == status
        assert wire.upload(image_id, DATA).status == 204
    assert told.statuses() == [("image.create", "queued"), *OF_A_FAILED_ONE, *OF_AN_UPLOAD]
    (failure,) = [message["payload"] for message in told.messages if message["priority"] == "ERROR"]
    assert failure.startswith(f"The upload of image {image_id} failed: ")
    assert reason in failure


def test_refused_content(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create(disk_format="iso")["id"]
        assert wire.upload(image_id, VALID["qcow2-v3"].build()).status == 415
    assert told.statuses() == [("image.create", "queued"), *OF_A_FAILED_ONE]


def test_an_upload_that_is_refused_before_it_begins_is_not_told(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create(disk_format=None)["id"]
        assert wire.upload(image_id, DATA).status == 400
    assert told.events() == ["image.create"]


def test_downloads(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create(visibility="community")["id"]
        wire.upload(image_id, DATA)
        file = f"/v2/images/{image_id}/file"
        assert wire.as_(OTHER)("GET", file).body == DATA
        assert wire("GET", file, headers={"Range": "bytes=5-9"}).status == 206
    sent = [message["payload"] for message in told.messages if message["event_type"] == "image.send"]
    whole = {"image_id": image_id, "owner_id": "p1", "bytes_sent": len(DATA)}
    assert sent == [
        {**whole, "receiver_tenant_id": "p2", "receiver_user_id": "u3"},
        {**whole, "receiver_tenant_id": "p1", "receiver_user_id": "u1", "bytes_sent": 5},
    ]


def test_data_that_the_store_loses_halfway(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create()["id"]
        wire.upload(image_id, bytes(3 * MIB))
        answer = losing(wire, tmp_path / "images" / image_id, MIB)("GET", f"/v2/images/{image_id}/file")
        assert (len(answer.body), answer.complete) == (MIB, False)
    (last,) = [message for message in told.messages if message["event_type"] == "image.send"]
    assert (last["priority"], last["payload"]["bytes_sent"]) == ("ERROR", MIB)


def losing(wire: Wire, path: Path, left: int) -> Wire:
    """The same service, whose file ``path`` shrinks to ``left`` bytes when an answer begins."""
    application = wire.service.application

    async def shrinking(scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                os.truncate(path, left)
            await send(message)

        await application(scope, receive, watched)

    return replace(wire, service=replace(wire.service, application=shrinking))


def test_a_client_that_goes_away_is_not_told_of(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create()["id"]
        wire.upload(image_id, bytes(8 * MIB))
        assert not wire("GET", f"/v2/images/{image_id}/file", cut=True).complete
    assert "image.send" not in told.events()


def test_members(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create()["id"]
        members = f"/v2/images/{image_id}/members"
        assert wire("POST", members, json_body={"member": "p2"}).status == 200
        assert wire("POST", members, json_body={"member": "p2"}).status == 409
        accepted = wire.as_(OTHER)("PUT", f"{members}/p2", json_body={"status": "accepted"})
        assert accepted.status == 200
        assert wire("DELETE", f"{members}/p2").status == 204
    assert told.events() == ["image.create", "image.member.create", "image.member.update", "image.member.delete"]
    offered, answered, withdrawn = (message["payload"] for message in told.messages[1:])
    shown = {name: accepted.json[name] for name in ("image_id", "member_id", "created_at")}
    assert shown.items() <= offered.items()
    assert [payload["status"] for payload in (offered, answered)] == ["pending", "accepted"]
    assert [payload["deleted"] for payload in (offered, answered, withdrawn)] == [False, False, True]
    assert withdrawn["deleted_at"] == withdrawn["updated_at"]


@pytest.mark.parametrize(
    ("disabled", "left"),
    [
        (("image.update", "image.send"), {"create", "prepare", "upload", "activate", "delete", "member.create"}),
        (("image.member", "image.upload"), {"create", "update", "prepare", "activate", "send", "delete"}),
        (("image",), set[str]()),
        (("task", "image.nothing"), None),
    ],
)
def test_events_can_be_switched_off(
    tmp_path: Path, told: Told, disabled: tuple[str, ...], left: set[str] | None
) -> None:
    with telling(tmp_path, disabled=disabled) as wire:
        image_id = wire.create()["id"]
        assert wire.upload(image_id, DATA).status == 204
        assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
        assert wire("POST", f"/v2/images/{image_id}/members", json_body={"member": "p2"}).status == 200
        assert wire("DELETE", f"/v2/images/{image_id}").status == 204
    everything = {"create", "update", "prepare", "upload", "activate", "send", "delete", "member.create"}
    assert set(told.events()) == {f"image.{name}" for name in (everything if left is None else left)}


def test_an_upload_whose_process_died(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create()["id"]
        wire.service.deps.database.begin_upload(upload_job(image_id, stores=("default",)), OVER)
        assert run_due(wire.service.jobs) == 1
        assert wire("GET", f"/v2/images/{image_id}").json["status"] == "queued"
        assert wire.upload(image_id, DATA).status == 204
    assert told.statuses() == [
        ("image.create", "queued"), ("image.upload", "ERROR"), ("image.update", "queued"), *OF_AN_UPLOAD,
    ]  # fmt: skip
    assert told.messages[2]["payload"]["properties"] == {"os_glance_failed_upload": INTERRUPTED}
    assert told["image.update"]["properties"] == {}


def test_a_deletion_whose_process_died(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path) as wire:
        image_id = wire.create()["id"]
        wire.upload(image_id, DATA)
        wire.service.deps.database.begin_deletion(deletion_job(image_id), OVER, from_status=Status.ACTIVE)
        assert run_due(wire.service.jobs) == 1
        assert wire("GET", f"/v2/images/{image_id}").status == 404
    assert told.statuses()[-1] == ("image.delete", "deleted")
    assert told["image.delete"]["deleted"] is True


def test_a_copy_that_is_removed(tmp_path: Path, told: Told) -> None:
    kept, removed = (StoreSettings(id=name, kind="memory", options=MemoryOptions()) for name in ("a", "b"))
    with telling(tmp_path, stores=Stores(default="a", stores=(kept, removed), named=True)) as wire:
        image_id = wire.create()["id"]
        assert wire.upload(image_id, DATA).status == 204
        writer = wire.service.deps.stores.by_id("b").writer(image_id, None, "a")
        writer.write(DATA)
        copy = Location(url=writer.commit().url, metadata={"store": "b"})
        wire.service.deps.database.update_image(image_id, ImageChange(add_locations=(copy,)))
        assert wire.as_(ADMIN)("DELETE", f"/v2/stores/b/{image_id}").status == 204
        shown = wire("GET", f"/v2/images/{image_id}").json
    assert told.statuses() == [("image.create", "queued"), *OF_AN_UPLOAD, ("image.update", "active")]
    assert told["image.update"]["updated_at"] == shown["updated_at"]


def test_a_location_that_a_job_adds(tmp_path: Path, told: Told) -> None:
    memory = StoreSettings(id="default", kind="memory", options=MemoryOptions())
    with telling(tmp_path, stores=Stores(default="default", stores=(memory,))) as wire:
        image_id = wire.create()["id"]
        writer = wire.service.deps.stores.default.writer("elsewhere", None, "a")
        writer.write(DATA)
        location = {"url": writer.commit().url, "validation_data": {}}
        service = wire.as_(Caller(roles="service,member,reader"))
        answer = service("POST", f"/v2/images/{image_id}/locations", json_body=location)
        assert answer.status == 202, answer
        assert run_due(wire.service.jobs) == 1
        shown = wire("GET", f"/v2/images/{image_id}").json
    assert told.statuses() == [
        ("image.create", "queued"),
        ("task.create", "pending"),
        ("task.run", "pending"),
        ("task.processing", "processing"),
        ("image.update", "active"),
        ("image.update", "active"),
        ("task.success", "success"),
    ]
    assert told["image.update"]["checksum"] == shown["checksum"]
    assert shown["checksum"] is not None


def test_an_import_is_a_task(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path, stores=three_stores(tmp_path)) as wire:
        job = imported(wire, staged(wire, DATA), stores=("a",))
        imported(wire, wire.create()["id"], "web-download", ("a",), "http://127.0.0.1:9/x")
    begun = [("task.create", "pending"), ("task.run", "pending"), ("task.processing", "processing")]
    assert [one for one in told.statuses() if one[0].startswith("task.")] == [
        *begun,
        ("task.success", "success"),
        *begun,
        ("task.failure", "failure"),
    ]
    payload = told["task.success"]
    assert (payload["id"], payload["owner"], payload["result"]) == (job.id, "p1", None)


def test_an_import_into_two_stores(tmp_path: Path, told: Told) -> None:
    with telling(tmp_path, stores=three_stores(tmp_path)) as wire:
        imported(wire, staged(wire, DATA), stores=("b", "a"))
    of_stores = [
        (message["event_type"], message["payload"]["backend"], status_in(message))
        for message in told.messages
        if "backend" in message["payload"]
    ]
    assert of_stores == [
        ("image.prepare", "b", "importing"),
        ("image.prepare", "a", "importing"),
        ("image.upload", "b", "active"),
        ("image.upload", "a", "active"),
    ]
    prepared = told["image.prepare"]
    assert prepared["os_glance_importing_to_stores"] == ["a", "b"]
    uploaded = told["image.upload"]
    assert (uploaded["os_glance_importing_to_stores"], uploaded["os_glance_failed_import"]) == ([], [])
    assert told.events().count("image.activate") == 1
    assert told.events().index("image.upload") < told.events().index("image.activate")


def test_a_store_that_fails_in_an_import(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    original = FilesystemWriter.commit

    def commit(writer: FilesystemWriter) -> Placed:
        if writer._target.store_id == "b":
            raise StoreFull("The store is full.")
        return original(writer)

    monkeypatch.setattr(FilesystemWriter, "commit", commit)
    with telling(tmp_path, stores=three_stores(tmp_path)) as wire:
        image_id = staged(wire, DATA)
        imported(wire, image_id, stores=("a", "b"), all_stores_must_succeed=False)
    uploads = [one for one in told.statuses() if one[0] == "image.upload"]
    assert uploads == [("image.upload", "active"), ("image.upload", "ERROR")]
    (failure,) = [message["payload"] for message in told.messages if message["priority"] == "ERROR"]
    assert failure == f"The import of image {image_id} failed: The store is full."
    assert told["image.activate"]["status"] == "active"
