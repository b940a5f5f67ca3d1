"""A request never waits for a driver, and undelivered messages are counted."""

from __future__ import annotations

import logging
import time

import pytest

from glimpse.notify import queue
from glimpse.notify.base import BrokerAway, Message, SendFailed
from glimpse.notify.queue import Outbox, Pace
from tests.unit.notify.conftest import ListDriver

Counted = list[tuple[str, str]]


@pytest.fixture
def counted() -> Counted:
    return []


def outbox(driver: ListDriver, counted: Counted, **limits: int) -> Outbox:
    return Outbox(driver, lambda name, outcome: counted.append((name, outcome)), **limits)


def message(number: int, size: int = 0) -> bytes:
    return b'{"event_type":"%d","priority":"INFO","payload":"%s"}' % (number, b"x" * size)


def close(box: Outbox, seconds: float = 10) -> None:
    box.close(time.monotonic() + seconds)


def test_messages_beyond_the_number_are_dropped(counted: Counted, caplog: pytest.LogCaptureFixture) -> None:
    driver = ListDriver()
    driver.gate.clear()
    box = outbox(driver, counted, max_messages=3)
    box.put(message(0))
    assert driver.arrived.wait(10)
    # one is with the driver; none of these waits, although the driver does
    for number in range(1, 10):
        box.put(message(number))
    assert (box.sent, box.dropped) == (0, 6)
    assert len([record for record in caplog.records if "are dropped, 1 so far" in record.getMessage()]) == 1

    driver.gate.set()
    close(box)
    assert driver.events == ["0", "1", "2", "3"]
    assert (box.sent, box.dropped, box.failed) == (4, 6, 0)
    assert sorted(counted) == [("list", "dropped")] * 6 + [("list", "sent")] * 4


def test_messages_beyond_the_bytes_are_dropped(counted: Counted) -> None:
    driver = ListDriver()
    driver.gate.clear()
    box = outbox(driver, counted, max_bytes=10_000)
    box.put(message(0))
    assert driver.arrived.wait(10)
    box.put(message(1, 6_000))
    box.put(message(2, 6_000))
    box.put(message(3, 10))
    assert box.dropped == 1
    driver.gate.set()
    close(box)
    assert driver.events == ["0", "1", "3"]


def test_room_comes_back_with_delivery(counted: Counted, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    driver = ListDriver()
    driver.gate.clear()
    box = outbox(driver, counted, max_messages=1)
    for number in range(1, 4):
        box.put(message(number))
        assert driver.arrived.wait(10)
    assert box.dropped == 1
    driver.gate.set()
    while box.sent < 2:
        time.sleep(0.001)
    box.put(message(4))
    close(box)
    assert driver.events == ["1", "2", "4"]
    assert any("sends notifications again" in record.getMessage() for record in caplog.records)


def test_a_message_that_the_driver_gives_up_is_counted(counted: Counted, caplog: pytest.LogCaptureFixture) -> None:
    def refuses(found: Message) -> Exception | None:
        return SendFailed("no broker") if found["event_type"] == "1" else None

    driver = ListDriver(refuses=refuses)
    box = outbox(driver, counted)
    for number in range(3):
        box.put(message(number))
    close(box)
    assert driver.events == ["0", "2"]
    assert (box.sent, box.failed, box.dropped) == (2, 1, 0)
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "no broker" in line.getMessage()
    assert not line.exc_info


def test_a_message_for_a_broker_that_is_away_is_tried_again_before_the_next(
    counted: Counted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queue, "FIRST_PAUSE", 0.001)
    attempts: list[str] = []

    def refuses(found: Message) -> Exception | None:
        attempts.append(found["event_type"])
        return BrokerAway("not yet") if len(attempts) < 4 else None

    driver = ListDriver(refuses=refuses)
    box = outbox(driver, counted)
    box.put(message(0))
    box.put(message(1))
    while box.sent < 2:
        time.sleep(0.001)
    close(box)
    assert attempts == ["0", "0", "0", "0", "1"]
    assert (driver.events, box.failed, box.dropped) == (["0", "1"], 0, 0)
    assert [record.levelno for record in caplog.records if "not yet" in record.getMessage()] == [logging.WARNING]


def test_closing_ends_the_waiting_for_a_broker(counted: Counted) -> None:
    driver = ListDriver(refuses=lambda _: BrokerAway("not yet"))
    box = outbox(driver, counted)
    for number in range(3):
        box.put(message(number))
    assert driver.arrived.wait(10)
    close(box, 60)
    assert (box.sent, box.failed, box.dropped, driver.closed) == (0, 3, 0, 1)


def test_a_defect_of_a_driver_does_not_end_the_thread(counted: Counted, caplog: pytest.LogCaptureFixture) -> None:
    def refuses(found: Message) -> Exception | None:
        return KeyError("defect") if found["event_type"] in {"0", "1"} else None

    driver = ListDriver(refuses=refuses)
    box = outbox(driver, counted)
    for number in range(3):
        box.put(message(number))
    close(box)
    assert driver.events == ["2"]
    assert box.failed == 2
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.exc_info


def test_closing_gives_up_what_a_dead_broker_holds(counted: Counted, caplog: pytest.LogCaptureFixture) -> None:
    driver = ListDriver()
    driver.gate.clear()
    box = outbox(driver, counted)
    for number in range(5):
        box.put(message(number))
    assert driver.arrived.wait(10)
    close(box, 0.05)
    assert box.dropped == 4
    assert driver.closed == 0
    assert any(
        "4 were dropped, and one may or may not have been sent" in record.getMessage() for record in caplog.records
    )
    driver.gate.set()


def test_closed_outboxes_take_nothing(counted: Counted) -> None:
    driver = ListDriver()
    box = outbox(driver, counted)
    close(box)
    close(box)
    box.put(message(0))
    assert (driver.messages, driver.closed, box.dropped) == ([], 1, 1)


def test_without_a_thread_messages_are_dropped(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    driver = ListDriver()
    box = outbox(driver, counted)
    with monkeypatch.context() as patched:
        patched.setattr(queue.threading.Thread, "start", refuses)
        box.put(message(0))
    box.put(message(1))
    close(box)
    assert (driver.events, box.dropped) == (["1"], 1)


def test_lines_of_the_log_keep_a_pace() -> None:
    pace = Pace(3600)
    assert [pace.due() for _ in range(3)] == [True, False, False]
    assert all(Pace(0).due() for _ in range(3))
