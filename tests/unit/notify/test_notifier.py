"""Messages, disabled events, and the filters of drivers (configuration 11.1 and 11.4)."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import uuid

import pytest

from glimpse.notify.all import build_notifier
from glimpse.notify.base import Message
from glimpse.notify.notifier import QueuedNotifier, Route
from glimpse.notify.queue import Outbox
from glimpse.settings.model import NotificationOptions
from tests.unit.notify.conftest import ListDriver

Counted = list[tuple[str, str]]


def notifier_over(*drivers: ListDriver, disabled: tuple[str, ...] = ()) -> tuple[QueuedNotifier, Counted]:
    counted: Counted = []
    routes = [Route(Outbox(driver, lambda name, outcome: counted.append((name, outcome)))) for driver in drivers]
    return QueuedNotifier(routes, publisher_id="image.host1", disabled=disabled), counted


def one_message(payload: dict[str, object] | str, *, error: bool = False) -> Message:
    driver = ListDriver()
    notifier, counted = notifier_over(driver)
    notifier.emit("image.upload", payload, error=error)
    notifier.close(10)
    assert counted == [("list", "sent")]
    (message,) = driver.messages
    return message


def test_the_message() -> None:
    message = one_message({"id": "x", "name": "Ünicode"})
    assert list(message) == ["message_id", "publisher_id", "event_type", "priority", "payload", "timestamp"]
    assert uuid.UUID(message["message_id"]).version == 4
    assert message["publisher_id"] == "image.host1"
    assert message["event_type"] == "image.upload"
    assert message["priority"] == "INFO"
    assert message["payload"] == {"id": "x", "name": "Ünicode"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", message["timestamp"])


def test_an_error_is_text() -> None:
    message = one_message("it failed", error=True)
    assert (message["priority"], message["payload"]) == ("ERROR", "it failed")


def test_the_payload_is_what_it_was_when_emitted() -> None:
    driver = ListDriver()
    driver.gate.clear()
    notifier, _ = notifier_over(driver)
    payload: dict[str, object] = {"status": "queued"}
    notifier.emit("image.create", payload)
    payload["status"] = "active"
    driver.gate.set()
    notifier.close(10)
    assert driver.messages[0]["payload"] == {"status": "queued"}


@pytest.mark.parametrize(
    ("disabled", "off"),
    [
        ((), ()),
        (("image.create",), ("image.create",)),
        (("image",), ("image.create", "image.member.create", "image.member.delete")),
        # no effect in Glance (images-api 10, quirk 29), but this is what it is documented to mean
        (("image.member",), ("image.member.create", "image.member.delete")),
        (("image.member.delete",), ("image.member.delete",)),
        (("metadef_tag", "task"), ("metadef_tag.create", "task.run")),
        (("imag", "image.", "create", ""), ()),
    ],
)
def test_disabled_names_events_or_groups(disabled: tuple[str, ...], off: tuple[str, ...]) -> None:
    notifier, _ = notifier_over(disabled=disabled)
    events = (
        "image.create", "image.member.create", "image.member.delete", "metadef_tag.create", "metadef_object.create",
        "task.run",
    )  # fmt: skip
    for _ in range(2):
        assert tuple(event for event in events if not notifier.enabled(event)) == off


def test_every_driver_gets_every_message_in_order() -> None:
    drivers = ListDriver("one"), ListDriver("two")
    notifier, counted = notifier_over(*drivers)
    for number in range(50):
        notifier.emit(f"image.{number}", {})
    notifier.close(10)
    for driver in drivers:
        assert driver.events == [f"image.{number}" for number in range(50)]
        assert driver.threads == {f"notify-{driver.name}"}
        assert driver.closed == 1
    assert sorted(counted) == [("one", "sent")] * 50 + [("two", "sent")] * 50


def test_a_driver_gets_only_what_it_accepts() -> None:
    driver = ListDriver()
    route = Route(Outbox(driver, lambda *_: None), lambda event, priority: (event, priority) == ("image.b", "INFO"))
    notifier = QueuedNotifier([route], publisher_id="p")
    notifier.emit("image.a", {})
    notifier.emit("image.b", {})
    notifier.emit("image.b", {}, error=True)
    notifier.close(10)
    assert driver.events == ["image.b"]


def test_a_payload_that_json_cannot_hold_is_counted_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    driver = ListDriver()
    notifier, counted = notifier_over(driver)
    with caplog.at_level(logging.ERROR):
        notifier.emit("image.create", {"name": object()})
        notifier.emit("image.create", {"name": "\ud800"})
    notifier.emit("image.create", {"name": "right"})
    notifier.close(10)
    assert [message["payload"] for message in driver.messages] == [{"name": "right"}]
    assert sorted(counted) == [("list", "dropped"), ("list", "dropped"), ("list", "sent")]
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


class TestBuilding:
    @pytest.mark.parametrize("drivers", [(), ("noop",), ("noop", "noop")])
    def test_nothing_to_send_is_no_notifier(self, drivers: tuple[str, ...]) -> None:
        assert build_notifier(NotificationOptions(drivers=drivers)) is None

    def test_a_driver_named_twice_is_one(self) -> None:
        notifier = build_notifier(NotificationOptions(drivers=("log", "noop", "log")))
        assert notifier is not None
        assert [route.outbox.name for route in notifier.routes] == ["log"]
        notifier.close(1)

    def test_no_thread_runs_and_no_messaging_is_loaded_before_it_is_needed(self) -> None:
        program = """
import sys, threading
from glimpse.notify import events
from glimpse.notify.all import build_notifier
from glimpse.settings.model import NotificationOptions
notifier = build_notifier(NotificationOptions(drivers=("log",)))
assert threading.active_count() == 1
assert not {"oslo_messaging", "oslo_config", "kombu", "eventlet"} & set(sys.modules)
notifier.emit("image.create", {})
notifier.close(10)
"""
        subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)

    def test_secrets_are_not_shown(self) -> None:
        options = NotificationOptions(library={"DEFAULT": {"transport_url": "rabbit://u:hidden@h/"}})
        assert "hidden" not in repr(options)
