"""Log lines: their two formats, their caller, and what they never contain (configuration 12)."""

from __future__ import annotations

import contextvars
import json
import logging
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from glimpse.context import CALLER, Context
from glimpse.settings.model import Logging
from glimpse.telemetry import log
from glimpse.telemetry.formatters import ClassicFormatter, JsonFormatter, one_line, redacted

WHO = Context(request_id="req-1", user_id="u1", project_id="p1")

Lines = Callable[[], list[str]]


@pytest.fixture
def classic(tmp_path: Path, restored_logging: None) -> Lines:
    log.configure(Logging(file=tmp_path / "logs" / "glimpse.log"))
    return lambda: (tmp_path / "logs" / "glimpse.log").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def entries(tmp_path: Path, restored_logging: None) -> Callable[[], list[dict[str, Any]]]:
    log.configure(Logging(file=tmp_path / "glimpse.log", format="json"))
    return lambda: [json.loads(line) for line in (tmp_path / "glimpse.log").read_text().splitlines()]


def test_classic_line_of_a_request(classic: Lines) -> None:
    token = CALLER.set(WHO)
    logging.getLogger("glimpse.api").info("stored %d bytes", 5)
    CALLER.reset(token)
    (line,) = classic()
    moment, rest = line[:23], line[23:]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", moment)
    assert rest == f" {os.getpid()} INFO glimpse.api [None req-1 u1 p1 - - - -] stored 5 bytes"


def test_classic_line_outside_of_requests(classic: Lines) -> None:
    logging.getLogger("glimpse.jobs").warning("nothing to do")
    (line,) = classic()
    assert line.endswith(" WARNING glimpse.jobs [-] nothing to do")


def test_milliseconds_are_those_of_the_record() -> None:
    record = logging.makeLogRecord({"created": 1700000000.0, "msecs": 7.0, "msg": "x", "levelname": "INFO"})
    other = logging.makeLogRecord({"created": 1700000061.0, "msecs": 650.0, "msg": "x", "levelname": "INFO"})
    formatter = ClassicFormatter()
    first, second = formatter.format(record), formatter.format(other)
    assert first[17:23] == "20.007"
    assert second[17:23] == "21.650"


def test_context_goes_with_copied_work(classic: Lines) -> None:
    token = CALLER.set(WHO)
    work = contextvars.copy_context()
    CALLER.reset(token)
    work.run(logging.getLogger("x").info, "in a thread")
    assert "req-1 u1 p1" in classic()[0]


def test_json_entry(entries: Callable[[], list[dict[str, Any]]]) -> None:
    token = CALLER.set(WHO)
    logging.getLogger("glimpse.api").info("stored", extra={"image": "i1", "size": 5})
    CALLER.reset(token)
    (entry,) = entries()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", entry.pop("time"))
    assert entry == {
        "level": "INFO", "logger": "glimpse.api", "pid": os.getpid(), "request_id": "req-1", "user": "u1",
        "project": "p1", "message": "stored", "image": "i1", "size": 5,
    }  # fmt: skip


def fail(message: str) -> None:
    raise ValueError(message)


def test_json_exception(entries: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        fail("postgresql://u:hunter2@db/x is wrong")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (entry,) = entries()
    assert entry["exception"].splitlines()[-1] == "ValueError: postgresql://u:***@db/x is wrong"


def test_each_line_of_a_traceback_is_marked(classic: Lines) -> None:
    try:
        fail("one\n2026-01-01 00:00:00.000 1 INFO glimpse.api [-] forged")
    except ValueError:
        logging.getLogger("x").exception("failed")
    beginning = classic()[0].split(" [-] ")[0]
    assert len(classic()) > 3
    assert all(line.startswith(beginning) for line in classic())


def test_a_line_cannot_be_forged(classic: Lines) -> None:
    logging.getLogger("x").info("name %s", "a\n2026-01-01 00:00:00.000 1 INFO forged\r\x1b[2J\u2028")
    (line,) = classic()
    assert line.endswith(r"name a\n2026-01-01 00:00:00.000 1 INFO forged\r\x1b[2J\u2028")


HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
#: Right-to-left override and isolate, zero-width space and joiner, soft hyphen, byte order mark, Arabic mark, tag.
FORMAT_CHARACTERS = "\u202e\u2066\u200b\u200d\u00ad\ufeff\u061c\U000e0041"


@hypothesis_settings(deadline=None)
@given(st.text(st.characters() | st.sampled_from(FORMAT_CHARACTERS)))
def test_no_control_character_passes(text: str) -> None:
    shown = one_line(text)
    assert not {unicodedata.category(char) for char in shown} & HIDDEN
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", shown)
    assert len(one_line(text).splitlines()) <= 1


@hypothesis_settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_both_forms_take_any_text(message: str, user: str) -> None:
    record = logging.makeLogRecord({"msg": message, "caller": Context(request_id="r", user_id=user or None)})
    assert "\n" not in ClassicFormatter().format(record)
    line = JsonFormatter().format(record)
    assert json.loads(line)["message"] == redacted(message)
    assert not {unicodedata.category(char) for char in line} & HIDDEN


def test_format_characters_are_escaped_in_every_field(
    classic: Lines, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    who = Context(request_id="r\u202e", user_id="u\u200b", project_id="p\U000e0041")

    def write() -> None:
        try:
            fail(f"because of {FORMAT_CHARACTERS}")
        except ValueError:
            extra = {"image": FORMAT_CHARACTERS, "names": [FORMAT_CHARACTERS, {"deep": FORMAT_CHARACTERS}]}
            logging.getLogger("x").exception("name %s", FORMAT_CHARACTERS, extra=extra)

    token = CALLER.set(who)
    write()
    first, *trace = classic()
    assert r"[None r\u202e u\u200b p\U000e0041 " in first
    assert first.endswith(r"name \u202e\u2066\u200b\u200d\xad\ufeff\u061c\U000e0041")
    assert trace[-1].endswith(r"because of \u202e\u2066\u200b\u200d\xad\ufeff\u061c\U000e0041")
    request.getfixturevalue("entries")
    write()
    CALLER.reset(token)
    (line,) = (tmp_path / "glimpse.log").read_text().splitlines()
    assert line.isprintable()
    entry = json.loads(line)
    assert entry["user"] == "u\u200b"
    assert entry["names"] == [FORMAT_CHARACTERS, {"deep": FORMAT_CHARACTERS}]


def test_letters_of_all_languages_stay_readable() -> None:
    text = "Übung 東京　ubuntu العربية עברית हिन्दी é\u00a0x 🐧"
    assert one_line(text) == text


SECRET = "hunter2-Zq7.9_x"


@pytest.mark.parametrize(
    "text",
    [
        "X-Auth-Token: {}",
        "x-auth-token={}",
        "{{'X-Auth-Token': '{}', 'Accept': 'x'}}",
        "[(b'x-service-token', b'{}')]",
        "X-Subject-Token: {}",
        "Authorization: Bearer {}",
        "authorization: Basic {}",
        "('Authorization', 'Basic {}')",
        "password={}",
        "rbd_password = {}",
        "{{'password': '{}'}}",
        '{{"adminPassword": "{} with blanks"}}',
        "passwd: {}",
        "GET /v2/images?token={}&limit=2",
        "GET /v2/images?limit=2&auth_token={}",
        "GET /v2/images?X-Amz-Algorithm=A&X-Amz-Signature={}",
        "GET https://s3.example/x?AWSAccessKeyId={}&Expires=1",
        "GET https://s3.example/x?X-Amz-Credential={}",
        "GET https://swift.example/x?temp_url_sig={}&temp_url_expires=1",
        "GET https://azure.example/x?sv=2020&sig={}",
        "GET /x?api_key={}",
        "GET /x?%74oken={}",
        "GET /x?T%4FKEN={}",
        "GET /x?next=/y?token={}",
        "GET /x?next=%2Fy%3Ftoken%3D{}",
        "GET /x%3Ftoken={}",
        "GET /x;token={}",
        "secret_key={}&x=1",
        "s3_store_secret_key='{}'",
        "auth_token={}",
        "postgresql://glance:{}@db/images",
        "postgresql://glance:@{}@db/images",
        "swift+https://project:user:{}@keystone/container/object",
        "failed: rabbit://openstack:{}@c1:5672,openstack:{}@c2:5672/",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    masked = redacted(text.format(SECRET, SECRET))
    assert SECRET not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "text",
    [
        "GET /v2/images?name=password HTTP/1.1",
        "http://127.0.0.1:9292/v2/images listens",
        "user a@b.example changed the password",
        "postgresql://db/images",
        "secretary: anna",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert redacted(text) == text


class TestConfigure:
    def test_levels(self, tmp_path: Path, restored_logging: None) -> None:
        file = tmp_path / "log"
        log.configure(Logging(file=file, levels=(("quiet.library", "ERROR"),)))
        logging.getLogger("quiet.library").warning("hidden")
        logging.getLogger("other").debug("hidden")
        logging.getLogger("other").info("shown")
        assert [line.split(" [-] ")[1] for line in file.read_text().splitlines()] == ["shown"]

    def test_debug(self, tmp_path: Path, restored_logging: None) -> None:
        log.configure(Logging(file=tmp_path / "log", debug=True))
        logging.getLogger("other").debug("shown")
        assert "DEBUG other [-] shown" in (tmp_path / "log").read_text()

    def test_standard_error(self, capsys: pytest.CaptureFixture[str], restored_logging: None) -> None:
        log.configure(Logging())
        logging.getLogger("x").info("to the terminal")
        captured = capsys.readouterr()
        assert "to the terminal" in captured.err
        assert captured.out == ""

    def test_a_second_time_replaces_the_first(self, tmp_path: Path, restored_logging: None) -> None:
        log.configure(Logging(file=tmp_path / "one"))
        log.configure(Logging(file=tmp_path / "two"))
        logging.getLogger("x").info("once")
        assert (tmp_path / "one").read_text() == ""
        assert len((tmp_path / "two").read_text().splitlines()) == 1

    def test_the_file_may_be_moved_away(self, tmp_path: Path, restored_logging: None) -> None:
        file = tmp_path / "glimpse.log"
        log.configure(Logging(file=file))
        logging.getLogger("x").info("before")
        file.rename(tmp_path / "glimpse.log.1")
        logging.getLogger("x").info("after")
        assert "before" in (tmp_path / "glimpse.log.1").read_text()
        assert "after" in file.read_text()

    def test_python_warnings_are_logged(self, classic: Lines) -> None:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old way", UserWarning, stacklevel=1)
        assert any("py.warnings" in line and "old way" in line for line in classic())

    def test_an_unwritable_file_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="file"):
            log.configure(Logging(file=tmp_path / "file" / "glimpse.log"))
