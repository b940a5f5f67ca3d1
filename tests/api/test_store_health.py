"""The health check while one of several stores is down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glimpse.settings.model import Api, StoreCalls, Stores
from tests.support.copies import file_store
from tests.support.footprint import eventually
from tests.support.relayed_s3 import relayed_s3
from tests.support.wire import Wire, settings_in, wired

JSON = {"Accept": "application/json"}
REASON = "A data directory of store fast does not exist; is it mounted?"


@contextmanager
def watched(directory: Path, **options: Any) -> Iterator[Wire]:
    """A service with the stores ``cheap`` and ``fast``, whose health is watched."""
    entries = (file_store(directory, "cheap"), file_store(directory, "fast"))
    stores = Stores(default="cheap", stores=entries, named=True, calls=StoreCalls(probe_interval=0.05))
    api = Api(healthcheck_disable_file=directory / "disabled", **options)
    with wired(settings_in(directory, stores=stores, api=api)) as wire:
        wire.service.deps.stores.health.start()
        yield wire


def unmount(wire: Wire, directory: Path) -> None:
    (directory / "fast").rename(directory / "away")
    assert eventually(lambda: wire.service.deps.stores.health.down() != (), 10)


def test_a_store_that_is_down_is_named_and_the_node_stays_in_service(tmp_path: Path) -> None:
    with watched(tmp_path) as wire:
        assert wire("GET", "/healthcheck", identity=False).body == b"OK"
        unmount(wire, tmp_path)
        text = wire("GET", "/healthcheck", identity=False)
        assert (text.status, text.body) == (200, b"OK\nStore fast is down")
        as_json = wire("GET", "/healthcheck", identity=False, headers=JSON)
        assert as_json.json == {"detailed": False, "reasons": ["OK", "Store fast is down"]}
        page = wire("GET", "/healthcheck", identity=False, headers={"Accept": "text/html"})
        assert b"<h1>OK</h1><p>Store fast is down</p>" in page.body
        assert wire("HEAD", "/healthcheck", identity=False).status == 204
        (tmp_path / "away").rename(tmp_path / "fast")
        assert eventually(lambda: wire("GET", "/healthcheck", identity=False).body == b"OK", 10)


def test_details(tmp_path: Path) -> None:
    with watched(tmp_path, healthcheck_detailed=True) as wire:
        unmount(wire, tmp_path)
        answer = wire("GET", "/healthcheck", identity=False, headers=JSON).json
        assert answer["reasons"] == ["OK", f"Store fast is down: {REASON}"]
        cheap, fast = answer["stores"]
        assert cheap == {"id": "cheap", "up": True}
        assert fast.pop("since").endswith("+00:00")
        assert fast == {"id": "fast", "up": False, "reason": REASON}


@pytest.mark.parametrize(("required", "status", "head"), [("fast", 503, 503), ("cheap", 200, 204)])
def test_a_store_without_which_the_node_is_of_no_use(tmp_path: Path, required: str, status: int, head: int) -> None:
    with watched(tmp_path, healthcheck_required_stores=(required,)) as wire:
        unmount(wire, tmp_path)
        answer = wire("GET", "/healthcheck", identity=False)
        assert answer.status == status
        assert answer.body.startswith(b"STORE DOWN\n" if status == 503 else b"OK\n")
        assert wire("HEAD", "/healthcheck", identity=False).status == head


def test_a_disabled_node_says_both(tmp_path: Path) -> None:
    with watched(tmp_path) as wire:
        unmount(wire, tmp_path)
        (tmp_path / "disabled").touch()
        answer = wire("GET", "/healthcheck", identity=False)
        assert (answer.status, answer.body) == (503, b"DISABLED BY FILE\nStore fast is down")


@pytest.mark.parametrize(("networks", "status"), [(("10.0.0.0/8",), 404), (("10.0.0.0/8", "127.0.0.1"), 200)])
def test_only_some_networks_are_answered(tmp_path: Path, networks: tuple[str, ...], status: int) -> None:
    with watched(tmp_path, healthcheck_ranges=networks) as wire:
        assert wire("GET", "/healthcheck").status == status


@pytest.mark.interop
def test_a_real_object_store_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """The connections to radosgw break, and no new one is accepted; the other store is served meanwhile."""
    data = b"0123456789" * 1000
    with relayed_s3("far") as (relay, far):
        stores = Stores(
            default="near", stores=(file_store(tmp_path, "near"), far), named=True, calls=StoreCalls(probe_interval=0.2)
        )
        relay.down()  # at start
        with wired(settings_in(tmp_path, stores=stores)) as wire:
            health = wire.service.deps.stores.health
            health.start()
            for _ in range(2):
                assert eventually(lambda: [state.id for state in health.down()] == ["far"], 30)
                assert wire("GET", "/healthcheck", identity=False).body == b"OK\nStore far is down"
                local = wire.create()["id"]
                assert wire.upload(local, data).status == 204
                assert wire("GET", f"/v2/images/{local}/file").body == data
                assert wire.upload(wire.create()["id"], data, {"X-Image-Meta-Store": "far"}).status == 503
                relay.up()
                assert eventually(lambda: health.down() == (), 30)
                distant = wire.create()["id"]
                assert wire.upload(distant, data, {"X-Image-Meta-Store": "far"}).status == 204
                assert wire("GET", f"/v2/images/{distant}/file").body == data
                assert wire("DELETE", f"/v2/images/{distant}").status == 204
                relay.down()
