"""The driver ``routing``: which driver gets what."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.notify.all import build_notifier
from glimpse.notify.notifier import read_routes
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import NotificationOptions

ROUTES = """
group_1:
  log:
    accepted_events: ['image.member.*', 'image.create']
  messagingv2:
    accepted_events: ['image.*']
    accepted_priorities: [error]
group_2:
  log:
    accepted_priorities: ['ERR*']
  noop: {}
  quiet:
"""


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(ROUTES)
    return path


def test_rules(routes: Path) -> None:
    found = read_routes(str(routes))
    assert list(found) == ["log", "messagingv2", "noop", "quiet"]
    log = found["log"].accepts
    assert log("image.create", "INFO")
    assert log("image.member.create", "INFO")
    assert log("task.run", "ERROR")
    assert not log("image.update", "INFO")
    bus = found["messagingv2"].accepts
    assert bus("image.update", "ERROR")
    assert not bus("image.update", "INFO")
    assert not bus("task.run", "ERROR")
    assert found["quiet"].accepts("any", "INFO")


def test_drivers_of_the_file_get_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("g:\n  log:\n    accepted_events: [image.create]\n  noop: {}\n")
    routed = build_notifier(NotificationOptions(drivers=("routing",), routing_config=str(path)))
    assert routed is not None
    (route,) = routed.routes
    assert route.outbox.name == "log"
    assert route.accepts is not None
    assert route.accepts("image.create", "INFO")
    assert not route.accepts("image.update", "INFO")

    both = build_notifier(NotificationOptions(drivers=("routing", "log"), routing_config=str(path)))
    assert both is not None
    assert [route.accepts for route in both.routes] == [None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a valid routing file"),
        ("a: [b]", "not a valid routing file"),
        ("a: {log: {accepted_events: 5}}", "not a valid routing file"),
    ],
)
def test_what_is_no_file_of_routes(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason):
        read_routes(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_routes(str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="must be set"):
        build_notifier(NotificationOptions(drivers=("routing",)))


def test_an_empty_file_sends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("")
    assert build_notifier(NotificationOptions(drivers=("routing",), routing_config=str(path))) is None
