"""The events of each use case, their order and content (images-api 3.10; configuration 11.2)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from glimpse.context import Context
from glimpse.domain.clock import wire_time
from glimpse.domain.image import Image, Member, StoredData
from glimpse.domain.task import Task
from glimpse.notify import events
from tests.unit.notify.conftest import ListNotifier

LATER = datetime.fromisoformat("2026-05-06T07:08:09")
MEMBER = Member(image_id="i", member_id="m", created_at=LATER, updated_at=LATER)
TASK = Task(
    id="t", type="api_image_import", status="pending", owner="p1", created_at=datetime(2026, 5, 6),  # noqa: DTZ001 - naive UTC
    updated_at=datetime(2026, 5, 7), input={"image_id": "i"}, message="m",  # noqa: DTZ001 - naive UTC
)  # fmt: skip
BOB = Context(request_id="req-1", user_id="bob", project_id="chemistry")


def test_an_upload(image: Image, data: StoredData) -> None:
    notifier = ListNotifier()
    events.upload_begun(notifier, image, "fast")
    events.upload_finished(notifier, image, data, "fast", LATER)

    assert notifier.events == ["image.update", "image.prepare", "image.upload", "image.activate", "image.update"]
    assert [notifier.payload(number)["status"] for number in range(5)] == ["saving", "saving"] + ["active"] * 3
    assert [notifier.payload(number).get("backend") for number in range(5)] == [None, "fast", "fast", None, None]
    last = notifier.payload(4)
    assert (last["size"], last["virtual_size"], last["checksum"]) == (1234, 5678, data.checksum)
    assert last["updated_at"] == "2026-05-06T07:08:09Z"
    assert not any(error for _, _, error in notifier.emitted)


def test_a_failed_upload_is_an_error_in_words(image: Image) -> None:
    notifier = ListNotifier()
    events.upload_begun(notifier, image, None)
    events.upload_failed(notifier, image, "The store is full.", queued=True)

    assert notifier.events == ["image.update", "image.prepare", "image.upload", "image.update"]
    assert notifier.emitted[2] == (
        "image.upload", f"The upload of image {image.id} failed: The store is full.", True,
    )  # fmt: skip
    assert notifier.payload(3)["status"] == "queued"


def test_an_upload_whose_image_is_gone_has_no_update(image: Image) -> None:
    notifier = ListNotifier()
    events.upload_failed(notifier, image, "It was deleted.", queued=False)
    assert notifier.events == ["image.upload"]


def test_records(image: Image) -> None:
    notifier = ListNotifier()
    events.image_created(notifier, image)
    events.image_updated(notifier, image)
    events.image_deleted(notifier, image, LATER)
    assert notifier.events == ["image.create", "image.update", "image.delete"]
    gone = notifier.payload(2)
    assert (gone["status"], gone["deleted"], gone["deleted_at"]) == ("deleted", True, "2026-05-06T07:08:09Z")


def test_a_download(image: Image) -> None:
    notifier = ListNotifier()
    events.download_ended(notifier, BOB, image, sent=10, expected=10)
    events.download_ended(notifier, BOB, image, sent=9, expected=10)
    assert [error for _, _, error in notifier.emitted] == [False, True]
    assert notifier.payload(1) == {
        "bytes_sent": 9,
        "image_id": image.id,
        "owner_id": "physics",
        "receiver_tenant_id": "chemistry",
        "receiver_user_id": "bob",
    }


def test_members() -> None:
    notifier = ListNotifier()
    for change in ("create", "update", "delete"):
        events.member_changed(notifier, change, MEMBER, deleted_at=LATER if change == "delete" else None)
    assert notifier.events == ["image.member.create", "image.member.update", "image.member.delete"]
    assert [notifier.payload(number)["deleted"] for number in range(3)] == [False, False, True]


def test_a_task(image: Image) -> None:
    notifier = ListNotifier()
    running = msgspec.structs.replace(TASK, status="processing")
    ended = msgspec.structs.replace(TASK, status="failure", expires_at=LATER, message="why", result={"a": 1})
    events.task_created(notifier, TASK)
    events.task_begun(notifier, running)
    events.task_ended(notifier, ended)
    assert [(event, notifier.payload(number)["status"]) for number, event in enumerate(notifier.events)] == [
        ("task.create", "pending"),
        ("task.run", "pending"),
        ("task.processing", "processing"),
        ("task.failure", "failure"),
    ]
    assert notifier.payload(3) == {
        "id": TASK.id, "type": "api_image_import", "status": "failure", "owner": "p1", "result": None, "message": None,
        "created_at": wire_time(TASK.created_at), "updated_at": wire_time(TASK.updated_at),
        "expires_at": wire_time(LATER), "deleted": False, "deleted_at": None,
    }  # fmt: skip
    assert notifier.payload(0)["expires_at"] == wire_time(TASK.updated_at)


def test_disabled_events_are_not_emitted(image: Image, data: StoredData) -> None:
    every = {
        "image.create", "image.update", "image.delete", "image.prepare", "image.upload", "image.activate",
        "image.send", "image.member.create", "task.create",
    }  # fmt: skip
    notifier = ListNotifier(frozenset(every))
    events.image_created(notifier, image)
    events.image_updated(notifier, image)
    events.image_deleted(notifier, image, LATER)
    events.upload_begun(notifier, image, None)
    events.upload_finished(notifier, image, data, None, LATER)
    events.upload_failed(notifier, image, "why", queued=True)
    events.download_ended(notifier, BOB, image, sent=1, expected=1)
    events.member_changed(notifier, "create", MEMBER)
    events.task_created(notifier, TASK)
    assert notifier.emitted == []
