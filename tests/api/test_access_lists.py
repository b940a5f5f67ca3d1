"""Stores that check readers themselves get them after each change (store-formats 7.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from glimpse.context import CALLER
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import JobStatus
from glimpse.errors import StoreUnavailable
from glimpse.settings.model import Stores, StoreSettings
from glimpse.stores import all as drivers
from glimpse.stores.memory import MemoryOptions, MemoryStore
from tests.support.imports import imported, staged
from tests.support.wire import ADMIN, MEMBER, Wire, settings_in, wired

DATA = b"0123456789"


class ListingReaders(MemoryStore):
    """A store in memory that keeps the readers of its objects, and for whom it was asked to."""

    given: list[tuple[str, Sequence[str] | None, str | None]]
    failure: Exception | None = None
    writes_for_jobs = True

    def set_readers(self, url: str, projects: Sequence[str] | None) -> None:
        if self.failure is not None:
            raise self.failure
        caller = CALLER.get()
        self.given.append((url, projects, None if caller is None else caller.project_id))


@pytest.fixture
def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(ListingReaders, "given", [], raising=False)
    monkeypatch.setattr(ListingReaders, "failure", None)
    driver = drivers.Driver(
        kind="memory", schemes=("memory",), options=MemoryOptions, build=ListingReaders,
        url_prefixes=lambda store_id, _: (f"memory://{store_id}/",),
    )  # fmt: skip
    monkeypatch.setitem(drivers.DRIVERS, "memory", driver)
    stores = Stores(default="ram", stores=(StoreSettings(id="ram", kind="memory", options=MemoryOptions()),))
    with wired(settings_in(tmp_path, stores=stores)) as made:
        yield made


def readers() -> Sequence[str] | None:
    """Those of the last call."""
    return ListingReaders.given[-1][1]


def test_readers_follow_the_image(wire: Wire) -> None:
    image_id: str = wire.create(visibility="shared")["id"]
    assert wire("POST", f"/v2/images/{image_id}/members", json_body={"member": "early"}).status == 200
    assert ListingReaders.given == [], "an image without data has no objects"
    assert wire.upload(image_id, DATA).status == 204
    assert [call[1:] for call in ListingReaders.given] == [(["early"], MEMBER.project)]
    assert wire("POST", f"/v2/images/{image_id}/members", json_body={"member": "late"}).status == 200
    assert sorted(readers() or ()) == ["early", "late"]
    assert wire("DELETE", f"/v2/images/{image_id}/members/early").status == 204
    assert readers() == ["late"]
    assert wire.patch(image_id, {"op": "replace", "path": "/visibility", "value": "private"}).status == 200
    assert readers() == []
    public = {"op": "replace", "path": "/visibility", "value": "public"}
    assert wire.as_(ADMIN).patch(image_id, public).status == 200
    assert ListingReaders.given[-1][1:] == (None, ADMIN.project)


def test_a_failure_is_logged_and_fails_nothing(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    image_id: str = wire.create(visibility="shared")["id"]
    assert wire.upload(image_id, DATA).status == 204
    monkeypatch.setattr(ListingReaders, "failure", StoreUnavailable("The object store does not answer."))
    assert wire("POST", f"/v2/images/{image_id}/members", json_body={"member": "late"}).status == 200
    reason = "The object store does not answer."
    assert f"The access list of image {image_id} in store ram could not be updated: {reason}" in caplog.text


def test_an_object_of_others_keeps_its_readers(wire: Wire) -> None:
    """Else whoever adds the location of an object could open it to everybody."""
    image_id: str = wire.create(visibility="shared")["id"]
    assert wire.upload(image_id, DATA).status == 204
    other: str = wire.create()["id"]
    copy = ImageChange(add_locations=(Location(url=f"memory://ram/{other}", metadata={"store": "ram"}),))
    wire.service.deps.database.update_image(image_id, copy)
    ListingReaders.given.clear()
    assert wire("POST", f"/v2/images/{image_id}/members", json_body={"member": "late"}).status == 200
    assert [call[0] for call in ListingReaders.given] == [f"memory://ram/{image_id}"]


def test_an_import_tells_the_readers_too(wire: Wire) -> None:
    image_id = staged(wire, DATA, visibility="shared")
    assert wire("POST", f"/v2/images/{image_id}/members", json_body={"member": "early"}).status == 200
    assert imported(wire, image_id, stores=("ram",)).status is JobStatus.SUCCEEDED
    assert ListingReaders.given[-1] == (f"memory://ram/{image_id}", ["early"], MEMBER.project)


def test_a_failure_to_tell_them_does_not_fail_an_import(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ListingReaders, "failure", StoreUnavailable("The object store does not answer."))
    image_id = staged(wire, DATA)
    assert imported(wire, image_id, stores=("ram",)).status is JobStatus.SUCCEEDED
    assert wire("GET", f"/v2/images/{image_id}").json["status"] == "active"
    assert f"The access list of image {image_id} in store ram could not be updated" in caplog.text


def test_an_import_into_a_store_that_needs_a_token_is_refused(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListingReaders, "writes_for_jobs", False)
    image_id = staged(wire, DATA)
    answer = wire("POST", f"/v2/images/{image_id}/import", json_body={"method": {"name": "glance-direct"}})
    assert answer.status == 400
    assert b"writes only with the token of a user" in answer.body
    assert wire("GET", f"/v2/images/{image_id}").json["status"] == "uploading"
