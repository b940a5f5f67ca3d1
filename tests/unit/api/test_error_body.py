"""Error bodies (images-api 7.1)."""

from __future__ import annotations

import json
import re

import pytest

from glimpse.api.error_response import error_body, reason

HTML, JSON, PLAIN = "text/html; charset=UTF-8", "application/json", "text/plain; charset=UTF-8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", HTML),
        ("text/html", HTML),
        ("TEXT/HTML", HTML),
        ("text/*", HTML),
        ("text/html, application/json", HTML),
        ("application/json, text/html", HTML),
        ("application/json, */*", HTML),
        ("application/json;q=0.5, text/html;q=0.5", HTML),
        ("application/json;q=0, */*", HTML),
        ("text/html;level=1", HTML),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("application/json", JSON),
        ("application/json;charset=utf-8", JSON),
        ("application/*", JSON),
        ("text/html;q=0.5, application/json", JSON),
        ("text/html;q=0.5 , application/json ; q=0.501", JSON),
        ("*/*;q=0.1, application/json", JSON),
        ("text/html;q=0, */*", JSON),
        ("text/*;q=0, */*;q=0.2", JSON),
        ("image/png, application/json", JSON),
        (None, PLAIN),
        ("", HTML),
        (" ", HTML),
        ("image/png", PLAIN),
        ("text/plain", PLAIN),
        ("application/octet-stream", PLAIN),
        ("text/html;q=0", PLAIN),
        ("*/*;q=0", PLAIN),
        ("nonsense", PLAIN),
        ("*", PLAIN),
        (",;/,", PLAIN),
        ("text/html;q=high", PLAIN),
    ],
)
def test_negotiation(accept: str | None, content_type: str) -> None:
    assert error_body(404, "m", accept=accept).content_type == content_type


def test_json_is_exact() -> None:
    answer = error_body(404, "No image found with ID 4bb2", accept="application/json")
    assert list(json.loads(answer.body).items()) == [
        ("message", "No image found with ID 4bb2"),
        ("code", "404 Not Found"),
        ("title", "Not Found"),
    ]


def test_json_is_plain_text_with_its_detail() -> None:
    answer = error_body(409, "Conflict <é>", "the & detail", accept="application/json")
    assert json.loads(answer.body)["message"] == "Conflict <é> the & detail"
    assert "é".encode() in answer.body


def test_html() -> None:
    text = error_body(413, "Too <big>", 'a & "b"', accept="*/*").body.decode()
    assert re.findall(r"<(title|h1)>(.*)</", text) == [
        ("title", "413 Request Entity Too Large"),
        ("h1", "413 Request Entity Too Large"),
    ]
    assert '\nToo &lt;big&gt;<br /><br />\na &amp; "b"\n' in text
    lines = [line for line in re.sub(r"<[^>]*>", "", text).splitlines() if line]
    assert lines == ["413 Request Entity Too Large"] * 2 + ["Too &lt;big&gt;", 'a &amp; "b"']


def test_plain() -> None:
    assert error_body(403, "Not\nyours <x>", "de\ntail").body == b"403 Forbidden\n\nNot yours <x>\n\n de tail  "
    assert error_body(403, "é").body == "403 Forbidden\n\né\n\n   ".encode()


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (300, "Multiple Choices"), (400, "Bad Request"), (401, "Unauthorized"), (403, "Forbidden"),
        (404, "Not Found"), (405, "Method Not Allowed"), (409, "Conflict"), (410, "Gone"),
        (413, "Request Entity Too Large"), (415, "Unsupported Media Type"), (416, "Request Range Not Satisfiable"),
        (431, "Request Header Fields Too Large"), (500, "Internal Server Error"), (501, "Not Implemented"),
        (503, "Service Unavailable"), (599, "Unknown"),
    ],
)  # fmt: skip
def test_reasons(status: int, phrase: str) -> None:
    assert reason(status) == phrase
