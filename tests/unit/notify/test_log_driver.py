"""The driver ``log`` (configuration 11.1)."""

from __future__ import annotations

import json
import logging

import pytest

from glimpse.notify.all import build_notifier
from glimpse.settings.model import NotificationOptions


def test_a_line_of_json_at_the_level_of_the_priority(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    notifier = build_notifier(NotificationOptions(drivers=("log",), publisher_id="image.here"))
    assert notifier is not None
    notifier.emit("image.create", {"name": "100 %s", "properties": {"admin_password": "hidden"}})
    notifier.emit("image.upload", "it failed", error=True)
    notifier.close(10)

    info, error = caplog.records
    assert (info.name, info.levelno) == ("oslo.messaging.notification.image.create", logging.INFO)
    assert (error.name, error.levelno) == ("oslo.messaging.notification.image.upload", logging.ERROR)
    told = json.loads(info.getMessage())
    assert (told["publisher_id"], told["priority"], told["payload"]["name"]) == ("image.here", "INFO", "100 %s")
    assert json.loads(error.getMessage())["payload"] == "it failed"
    assert "hidden" not in caplog.text


def test_a_level_that_is_off_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="oslo.messaging")
    notifier = build_notifier(NotificationOptions(drivers=("log",)))
    assert notifier is not None
    notifier.emit("image.create", {})
    notifier.close(10)
    assert caplog.records == []
