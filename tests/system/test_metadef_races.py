"""Concurrent creation of the same metadata definitions: one request succeeds, the others get an error."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.db.backends import SERVERS, Server
from tests.support.needs import unavailable
from tests.support.raw_http import Api
from tests.support.service import Service

NAMESPACES = "/v2/metadefs/namespaces"
AT_ONCE = 8
ROUNDS = 3


@pytest.fixture(
    scope="module", params=["sqlite", *(pytest.param(kind, marks=pytest.mark.heavy) for kind in sorted(SERVERS))]
)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Api]:
    """Requests to a service of two processes."""
    kind: str = request.param
    options: dict[str, dict[str, object]] = {}
    with ExitStack() as stack:
        if kind != "sqlite":
            if not os.environ.get(SERVERS[kind]):
                unavailable(f"{SERVERS[kind]} names no server")
            database = Server(kind, os.environ[SERVERS[kind]], f"metadef_races_{worker_id}")
            stack.callback(database.close)
            database.sync()
            options["database"] = {"connection": database.url}
        place: Path = tmp_path_factory.mktemp(kind)
        service = stack.enter_context(Service(place, options=options, workers=2))
        yield Api(service.port)


Request = tuple[str, str, object]


def at_once(api: Api, requests: Sequence[Request]) -> list[int]:
    """Statuses of requests that are sent at the same moment, each on a connection of its own."""
    barrier = threading.Barrier(len(requests))

    def send(request: Request) -> int:
        method, path, document = request
        body = None if document is None else json.dumps(document).encode()
        barrier.wait()
        answer = api.call(method, NAMESPACES + path, body, {"Content-Type": "application/json"} if body else {})
        assert answer.status < 500, answer.text
        return answer.status

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


def namespace(api: Api, name: str) -> str:
    """Make a namespace; returns its path."""
    assert at_once(api, [("POST", "", {"namespace": name})]) == [201]
    return f"/{name}"


ONE_WINS = Counter({201: 1, 409: AT_ONCE - 1})


@pytest.mark.parametrize("number", range(ROUNDS))
def test_one_namespace(api: Api, number: int) -> None:
    document = {
        "namespace": f"Race::{number}",
        "tags": [{"name": "t"}],
        "properties": {"p": {"title": "T", "type": "string"}},
        "resource_type_associations": [{"name": f"Acme::Race{number}"}],
    }
    assert Counter(at_once(api, [("POST", "", document)] * AT_ONCE)) == ONE_WINS
    shown = api.call("GET", f"{NAMESPACES}/Race::{number}").json
    assert (len(shown["tags"]), len(shown["properties"]), len(shown["resource_type_associations"])) == (1, 1, 1)


@pytest.mark.parametrize(
    ("collection", "key", "document"),
    [
        ("objects", "name", {"name": "same"}),
        ("properties", "same", {"name": "same", "title": "T", "type": "string"}),
        ("resource_types", "name", {"name": "Acme::Same"}),
    ],
)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_one_part_of_a_namespace(api: Api, collection: str, key: str, document: dict[str, object], number: int) -> None:
    path = namespace(api, f"Race::{collection}::{number}")
    assert Counter(at_once(api, [("POST", f"{path}/{collection}", document)] * AT_ONCE)) == ONE_WINS
    listed = api.call("GET", f"{NAMESPACES}{path}/{collection}").json
    parts = listed.get(collection) or listed["resource_type_associations"]
    assert len(parts) == 1
    assert key in (parts if collection == "properties" else parts[0])


@pytest.mark.parametrize("number", range(ROUNDS))
def test_one_tag(api: Api, number: int) -> None:
    path = namespace(api, f"Race::tags::{number}")
    assert Counter(at_once(api, [("POST", f"{path}/tags/same", None)] * AT_ONCE)) == ONE_WINS
    assert [tag["name"] for tag in api.call("GET", f"{NAMESPACES}{path}/tags").json["tags"]] == ["same"]


def test_one_new_resource_type_for_many_namespaces(api: Api) -> None:
    """The type is made once, and all of them are associated with it."""
    paths = [namespace(api, f"Race::of-type::{number}") for number in range(AT_ONCE)]
    added = [("POST", f"{path}/resource_types", {"name": "Acme::Shared"}) for path in paths]
    assert at_once(api, added) == [201] * AT_ONCE
    known = [one["name"] for one in api.call("GET", "/v2/metadefs/resource_types").json["resource_types"]]
    assert known.count("Acme::Shared") == 1


@pytest.mark.parametrize("collection", ["objects", "properties", "tags"])
def test_one_name_that_many_are_changed_to(api: Api, collection: str) -> None:
    path = namespace(api, f"Race::renamed::{collection}")

    def document(name: str) -> dict[str, object]:
        return {"name": name, **({"title": "T", "type": "string"} if collection == "properties" else {})}

    for number in range(AT_ONCE):
        made = ("POST", f"{path}/tags/a{number}", None)
        if collection != "tags":
            made = ("POST", f"{path}/{collection}", document(f"a{number}"))
        assert at_once(api, [made]) == [201]
    renamed = [("PUT", f"{path}/{collection}/a{number}", document("same")) for number in range(AT_ONCE)]
    assert Counter(at_once(api, renamed)) == Counter({200: 1, 409: AT_ONCE - 1})


def test_a_namespace_is_removed_while_parts_are_added(api: Api) -> None:
    """Whoever comes too late is told that it is gone; nothing of it is left."""
    for number in range(ROUNDS):
        path = namespace(api, f"Race::removed::{number}")
        added: list[Request] = [("POST", f"{path}/tags/t{part}", None) for part in range(AT_ONCE - 1)]
        statuses = at_once(api, [*added, ("DELETE", path, None)])
        assert statuses[-1] == 204
        assert set(statuses[:-1]) <= {201, 404}
        assert api.call("GET", f"{NAMESPACES}{path}").status == 404
        # with the same name there is nothing in it
        namespace(api, f"Race::removed::{number}")
        assert api.call("GET", f"{NAMESPACES}{path}/tags").json["tags"] == []
