"""Long JSON bodies do not block the event loop, and are parsed only for callers who may use them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping

import pytest

from glimpse.api.request import LOOP_BYTES
from glimpse.domain.document import ImageDocumentChecker
from tests.support.wire import ADMIN, OTHER, PATCH, READER, Wire

LONG = [{"op": "add", "path": f"/p{number}", "value": "x" * 2000} for number in range(100)]


class WatchedChecker:
    """The checker of the service, which remembers the threads that asked it."""

    def __init__(self, checker: ImageDocumentChecker) -> None:
        self._checker = checker
        self.threads: set[threading.Thread] = set()

    @property
    def required(self) -> frozenset[str]:
        return self._checker.required

    def check_document(self, document: Mapping[str, object]) -> None:
        self.threads.add(threading.current_thread())
        self._checker.check_document(document)

    def check_value(self, name: str, value: object) -> None:
        self.threads.add(threading.current_thread())
        self._checker.check_value(name, value)


@pytest.fixture
def checker(wire: Wire) -> WatchedChecker:
    """Watches the checks of the service."""
    watched = WatchedChecker(wire.service.deps.checker)
    object.__setattr__(wire.service.deps, "checker", watched)
    return watched


def patched(wire: Wire, image_id: str, body: bytes) -> int:
    return wire("PATCH", f"/v2/images/{image_id}", body, headers={"Content-Type": PATCH}).status


def test_a_long_patch_is_checked_off_the_loop(wire: Wire, checker: WatchedChecker) -> None:
    image_id = wire.create()["id"]
    checker.threads.clear()
    assert len(json.dumps(LONG)) > LOOP_BYTES
    assert wire.patch(image_id, *LONG).status == 200
    assert checker.threads
    assert threading.current_thread() not in checker.threads


def test_a_short_patch_takes_no_hop_of_its_own(wire: Wire, checker: WatchedChecker) -> None:
    image_id = wire.create()["id"]
    checker.threads.clear()
    assert wire.patch(image_id, *LONG[:1]).status == 200
    assert checker.threads == {threading.current_thread()}


def test_a_long_malformed_patch_is_read_only_for_who_may_change_the_image(wire: Wire) -> None:
    image_id = wire.create()["id"]
    long, short = b"[" + b" " * LOOP_BYTES + b"x", b"[x"
    assert patched(wire, image_id, long) == 400
    assert patched(wire.as_(ADMIN), image_id, long) == 400
    for caller, status in ((OTHER, 404), (READER, 403)):
        assert patched(wire.as_(caller), image_id, long) == status
        assert patched(wire.as_(caller), image_id, short) == 400
    assert patched(wire, "nothing", long) == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/images"),
        ("POST", "/v2/images/ID/members"),
        ("PUT", "/v2/images/ID/members/p2"),
        ("POST", "/v2/images/ID/locations"),
        ("POST", "/v2/metadefs/namespaces"),
        ("PUT", "/v2/metadefs/namespaces/x"),
        ("POST", "/v2/metadefs/namespaces/x/objects"),
        ("POST", "/v2/metadefs/namespaces/x/properties"),
        ("POST", "/v2/metadefs/namespaces/x/tags"),
        ("POST", "/v2/metadefs/namespaces/x/resource_types"),
    ],
)
def test_long_bodies_of_other_calls_are_refused_as_short_ones(wire: Wire, method: str, path: str) -> None:
    image_id = wire.create()["id"]
    target = path.replace("ID", image_id)
    for filling in (b"", b" " * LOOP_BYTES):
        answer = wire.as_(ADMIN)(method, target, b"[" + filling + b"x", headers={"Accept": "application/json"})
        assert (answer.status, "well-formed" in answer.json["message"]) == (400, True), filling[:1]


def test_a_long_creation_and_a_long_namespace_are_stored(wire: Wire) -> None:
    properties = {f"p{number}": "x" * 2000 for number in range(100)}
    assert wire.create(**properties)["p99"] == "x" * 2000
    objects = [{"name": f"o{number}", "description": "x" * 2000} for number in range(50)]
    body = {"namespace": "Long", "objects": objects}
    assert wire.as_(ADMIN)("POST", "/v2/metadefs/namespaces", json_body=body).status == 201
    shown = wire.as_(ADMIN)("GET", "/v2/metadefs/namespaces/Long").json
    assert len(shown["objects"]) == 50
