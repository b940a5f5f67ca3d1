"""Rules that call a remote service, or a plug-in of oslo.policy."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest
from oslo_policy import _checks

from glimpse.domain.status import Visibility
from glimpse.errors import Unavailable
from tests.unit.policy.callers import caller, image


class Decider(HTTPServer):
    """Allows images whose property ``colour`` is blue, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[dict[str, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/decide"


class _Answer(BaseHTTPRequestHandler):
    server: Decider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers["Content-Type"] == "application/json":
            question = json.loads(body)
        else:
            question = {key: json.loads(values[0]) for key, values in parse_qs(body).items()}
        self.server.asked.append(question)
        answer = b"True" if question["target"].get("colour") == "blue" else b"False"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is written."""


@pytest.fixture
def decider() -> Iterator[Decider]:
    with Decider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


BLUE = image(Visibility.PUBLIC, properties={"colour": "blue"}, name="sky")
RED = image(Visibility.PUBLIC, properties={"colour": "red"})


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_remote_service_decides(make_policy, decider: Decider, content_type: str) -> None:
    policy = make_policy(
        {"policy.yaml": f'"get_image": "role:reader and {decider.url}"'},
        remote_options={"remote_content_type": content_type},
    )
    assert policy.visible(caller("reader"), [BLUE, RED, BLUE]) == [BLUE, BLUE]
    assert len(decider.asked) == 3
    asked = decider.asked[0]
    assert asked["rule"] == "get_image"
    assert asked["target"]["name"] == "sky"
    assert asked["target"]["visibility"] == "public"
    assert "locations" not in asked["target"]
    assert asked["credentials"]["roles"] == ["reader"]
    assert not policy.allows_image(caller("member"), "get_image", BLUE)
    assert len(decider.asked) == 3


def test_the_service_is_told_the_rule_that_was_asked_for(make_policy, decider: Decider) -> None:
    rules = f'"remote": "{decider.url}"\n"modify_image": "rule:remote"\n"delete_image": "rule:remote"\n'
    policy = make_policy({"policy.yaml": rules})
    assert policy.allows_image(caller(), "modify_image", BLUE)
    assert policy.allows_image(caller(), "delete_image", BLUE)
    assert [asked["rule"] for asked in decider.asked] == ["modify_image", "delete_image"]


def test_a_service_that_does_not_answer(make_policy) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        policy = make_policy({"policy.yaml": f'"get_image": "http://127.0.0.1:{port}/"'})
        with pytest.raises(Unavailable):
            policy.allows_image(caller("reader"), "get_image", BLUE)


class Longer(_checks.RoleCheck):
    """Means something else than the class that it is derived from."""

    def __call__(self, target, creds, enforcer, current_rule=None):
        return len(str(target.get("name"))) > int(self.match) and "get_image" in enforcer.rules


def test_plug_ins_are_called_and_not_guessed_at(make_policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_checks.registered_checks, "longer", Longer)
    policy = make_policy({"policy.yaml": '"get_image": "longer:2"'})
    assert policy.visible(caller(), [BLUE, image(name="x")]) == [BLUE]
