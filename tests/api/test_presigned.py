"""Presigned URLs: the client reads from the store itself, and only if everybody agreed."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from glimpse.errors import StoreUnavailable
from glimpse.settings.model import Api, PolicySettings, Secret, Stores, StoreSettings
from glimpse.stores import all as drivers
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.memory import MemoryOptions, MemoryStore
from tests.support.needs import unavailable
from tests.support.wire import ADMIN, MEMBER, OTHER, Answer, Wire, settings_in, wired

DATA = b"0123456789" * 1000
ASKS = "?presigned=true"


class SigningStore(MemoryStore):
    """A store in memory whose objects somebody else serves."""

    failure: Exception | None = None

    def presigned_url(self, url: str, seconds: int) -> str | None:
        if self.failure is not None:
            raise self.failure
        return f"https://objects.example.net/{url.rpartition('/')[2]}?valid={seconds}&signature=fake"


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Wire]]:
    monkeypatch.setattr(SigningStore, "failure", None)
    driver = drivers.Driver(
        kind="memory", schemes=("memory",), options=MemoryOptions, build=SigningStore,
        url_prefixes=lambda store_id, _: (f"memory://{store_id}/",),
    )  # fmt: skip
    monkeypatch.setitem(drivers.DRIVERS, "memory", driver)
    files = FilesystemOptions(filesystem_store_datadir=str(tmp_path / "files"))
    stores = Stores(
        default="ram",
        named=True,
        stores=(
            StoreSettings(id="ram", kind="memory", options=MemoryOptions()),
            StoreSettings(id="files", kind="file", options=files),
        ),
    )
    opened: list[Any] = []

    def start(**api: Any) -> Wire:
        policy = PolicySettings(policy_file=str(tmp_path / "policy.yaml"))
        made = wired(settings_in(tmp_path, stores=stores, policy=policy, api=Api(**{"presigned_urls": True, **api})))
        opened.append(made)
        return made.__enter__()

    yield start
    for made in opened:
        made.__exit__(None, None, None)


def uploaded(wire: Wire, store_id: str = "ram") -> str:
    image_id: str = wire.create()["id"]
    assert wire.upload(image_id, DATA, {"X-Image-Meta-Store": store_id}).status == 204
    return image_id


def ask(wire: Wire, image_id: str, query: str = ASKS, method: str = "GET") -> Answer:
    return wire(method, f"/v2/images/{image_id}/file{query}")


def is_data(answer: Answer) -> bool:
    return (answer.status, answer.headers["content-type"], answer.body) == (200, "application/octet-stream", DATA)


def test_the_url_comes_with_what_is_needed_to_check_the_data(started: Callable[..., Wire]) -> None:
    wire = started(presigned_url_time=60)
    image_id = uploaded(wire)
    answer = ask(wire, image_id)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    shown = wire("GET", f"/v2/images/{image_id}").json
    document = answer.json
    expires = datetime.fromisoformat(document.pop("expires_at"))
    assert timedelta(seconds=40) < expires - datetime.now(UTC) <= timedelta(seconds=60)
    assert document == {
        "url": f"https://objects.example.net/{image_id}?valid=60&signature=fake",
        **{name: shown[name] for name in ("size", "checksum", "os_hash_algo", "os_hash_value")},
    }


def test_who_does_not_ask_gets_the_data(started: Callable[..., Wire]) -> None:
    wire = started()
    image_id = uploaded(wire)
    for query in ("", "?presigned=false", "?presigned", "?presigned=true&presigned=no"):
        assert is_data(ask(wire, image_id, query))
    head = ask(wire, image_id, method="HEAD")
    assert head.headers["content-type"] == "application/octet-stream"


def test_the_option_is_off_by_default(started: Callable[..., Wire]) -> None:
    assert not Api().presigned_urls
    wire = started(presigned_urls=False)
    assert is_data(ask(wire, uploaded(wire)))


def test_a_store_without_such_urls_sends_the_data(started: Callable[..., Wire]) -> None:
    wire = started()
    assert is_data(ask(wire, uploaded(wire, "files")))


def test_a_store_that_does_not_sign_now(started: Callable[..., Wire], monkeypatch: pytest.MonkeyPatch) -> None:
    wire = started()
    image_id = uploaded(wire)
    monkeypatch.setattr(SigningStore, "failure", StoreUnavailable("The object store does not answer."))
    assert is_data(ask(wire, image_id))


def test_a_policy_of_its_own(started: Callable[..., Wire], tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text('"get_image_presigned_url": "rule:context_is_admin"\n')
    wire = started()
    image_id = uploaded(wire)
    assert is_data(ask(wire, image_id))
    assert ask(wire.as_(ADMIN), image_id).headers["content-type"] == "application/json"


def test_the_rules_of_downloads_hold(started: Callable[..., Wire]) -> None:
    wire = started()
    image_id = uploaded(wire)
    assert ask(wire.as_(OTHER), image_id).status == 404
    assert ask(wire, wire.create()["id"]).status == 204
    assert wire("POST", f"/v2/images/{image_id}/actions/deactivate").status == 204
    assert ask(wire.as_(MEMBER), image_id).status == 403


@pytest.mark.interop
def test_on_a_real_object_store(tmp_path: Path) -> None:
    """radosgw serves the data to a client without any credentials."""
    url = os.environ.get("GLIMPSE_TEST_S3_URL", "")
    if not url:
        unavailable("GLIMPSE_TEST_S3_URL names no object store")
    options = drivers.DRIVERS["s3"].options(
        s3_store_host=url, s3_store_access_key=Secret("rigaccess"), s3_store_secret_key=Secret("rigsecretkey"),
        s3_store_bucket="presigned", s3_store_create_bucket_on_put=True, s3_store_bucket_url_format="path",
    )  # fmt: skip
    stores = Stores(default="s3", named=True, stores=(StoreSettings(id="s3", kind="s3", options=options),))
    with wired(settings_in(tmp_path, stores=stores, api=Api(presigned_urls=True))) as wire:
        image_id: str = wire.create()["id"]
        assert wire.upload(image_id, DATA).status == 204
        document = json.loads(ask(wire, image_id).body)
        with urllib.request.urlopen(document["url"], timeout=30) as answer:
            assert answer.read() == DATA
        assert wire("DELETE", f"/v2/images/{image_id}").status == 204
