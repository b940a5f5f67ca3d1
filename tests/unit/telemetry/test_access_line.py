"""The access line of a request, as the log has it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from glimpse.api.app import access_record
from glimpse.context import CALLER, Context
from glimpse.telemetry.formatters import ClassicFormatter, JsonFormatter


@pytest.fixture
def caller() -> Iterator[None]:
    token = CALLER.set(Context(request_id="req-1", user_id="u1", project_id="p1"))
    yield
    CALLER.reset(token)


def record(*, status: int | None = 200, **changes: Any) -> logging.LogRecord:
    scope = {"method": "GET", "path": "/v2/images", "query_string": b"limit=2", "client": ("10.0.0.9", 5), **changes}
    return access_record(scope, status, 0, 512, 0.01234)


def test_classic(caller: None) -> None:
    assert (
        ClassicFormatter()
        .format(record())
        .endswith(
            'INFO glimpse.access [None req-1 u1 p1 - - - -] 10.0.0.9 "GET /v2/images?limit=2" 200 in 0 out 512 12.3 ms'
        )
    )


def test_json_of_a_connection_that_ended_early() -> None:
    entry = json.loads(JsonFormatter().format(record(status=None, client=None)))
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/v2/images?limit=2", None)
    assert (entry["bytes_in"], entry["bytes_out"], entry["milliseconds"]) == (0, 512, 12.34)
    assert (entry["request_id"], entry["peer"]) == (None, "-")


def test_hostile_paths() -> None:
    line = ClassicFormatter().format(record(path="/v2/images/\n\x00" + "%" * 100_000))
    assert r"/v2/images/\n\x00%" in line
    assert len(line) < 3000


def test_secrets_of_the_query_are_masked_in_both_forms() -> None:
    query = b"name=x&token=s3cr3t-one&X-Amz-Signature=s3cr3t-two&%70assword=s3cr3t-three&limit=2"
    line = ClassicFormatter().format(record(query_string=query))
    assert "GET /v2/images?name=x&token=***&X-Amz-Signature=***&%70assword=***&limit=2" in line
    text = JsonFormatter().format(record(query_string=query))
    assert "s3cr3t" not in text
    assert json.loads(text)["path"] == "/v2/images?name=x&token=***&X-Amz-Signature=***&%70assword=***&limit=2"


def test_other_parameters_are_shown() -> None:
    query = b"os_distro=ubuntu&sort_key=name&hw_key_manager=x&signature_count=3&marker=abc&tag=keys"
    assert f"?{query.decode()}" in ClassicFormatter().format(record(query_string=query))
