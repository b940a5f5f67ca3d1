"""Locations by PATCH (images-api 3.5.4; imports-and-stores 5.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.settings.model import Limits
from tests.support.located import DATA, Located, located
from tests.support.wire import ADMIN, OTHER, PATCH_20, READER, Wire

SHA512 = hashlib.sha512(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()
VALID = {"os_hash_algo": "sha512", "os_hash_value": SHA512, "checksum": MD5}


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Located]:
    with located(tmp_path) as made:
        yield made


def location(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "metadata": {}, **more}


def test_not_without_show_multiple_locations(wire: Wire) -> None:
    image_id = wire.create()["id"]
    for operation in (
        {"op": "add", "path": "/locations/-", "value": location("https://example.org/")},
        {"op": "replace", "path": "/locations", "value": []},
    ):
        assert wire.patch(image_id, operation).status == 403
    assert wire.as_(ADMIN).patch(image_id, {"op": "remove", "path": "/locations/0"}).status == 403
    assert "locations" not in wire("GET", f"/v2/images/{image_id}").json


class TestAdding:
    def test_to_a_queued_image_makes_it_active(self, at: Located) -> None:
        image_id = at.wire.create(name="n")["id"]
        answer = at.add(image_id, at.url, metadata={"a": {"b": ["c"]}})
        assert answer.status == 200, answer
        shown = at.show(image_id)
        assert answer.json == shown
        assert (shown["status"], shown["size"], shown["name"]) == ("active", len(DATA), "n")
        # imports-and-stores 5.2: no hashes
        assert (shown["checksum"], shown["os_hash_algo"], shown["os_hash_value"]) == (None, None, None)
        assert shown["locations"] == [{"url": at.url, "metadata": {"a": {"b": ["c"]}, "store": "web"}}]
        assert (shown["direct_url"], shown["stores"]) == (at.url, "web")

    def test_formats_may_come_with_it_but_must_be_there(self, at: Located) -> None:
        image_id = at.wire.create(disk_format=None, container_format=None)["id"]
        assert at.add(image_id, at.url).status == 400
        add = {"op": "add", "path": "/locations/-", "value": location(at.url)}
        raw = {"op": "replace", "path": "/disk_format", "value": "raw"}
        assert at.wire.patch(image_id, raw, add).status == 400
        assert at.show(image_id)["disk_format"] is None
        bare = {"op": "replace", "path": "/container_format", "value": "bare"}
        assert at.wire.patch(image_id, raw, add, bare).status == 200
        assert at.show(image_id)["status"] == "active"

    def test_by_the_older_media_type(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        answer = at.wire.patch(image_id, {"add": "/locations/-", "value": location(at.url)}, media_type=PATCH_20)
        assert answer.status == 200, answer

    def test_to_an_active_image(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        spare, ram = at.in_memory(store_id="spare"), at.in_memory(data=b"other data")
        at.wire.patch(image_id, {"op": "add", "path": "/locations/0", "value": location(spare)})
        assert at.add(image_id, ram).status == 200
        shown = at.show(image_id)
        # by the weights of the stores, whatever the position was
        assert [one["url"] for one in shown["locations"]] == [at.url, ram, spare]
        assert shown["stores"] == "web,ram,spare"
        assert shown["size"] == len(DATA)

    def test_the_service_says_which_store_it_is(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        ram = at.in_memory()
        assert at.add(image_id, ram, metadata={"store": "web", "backend": "web"}).status == 200
        assert at.show(image_id)["locations"][1]["metadata"] == {"store": "ram"}

    def test_status_and_id_of_a_client_have_no_effect(self, at: Located) -> None:
        """Glance takes ``id`` for the number of a row."""
        image_id = at.with_locations(at.url)
        assert at.add(image_id, at.in_memory(), status="deleted", id=1).status == 200
        assert len(at.show(image_id)["locations"]) == 2

    @pytest.mark.parametrize("position", ["x", "1x", "-1", "+1", "1.0", "²", "--", "99999999999"])
    def test_bad_positions(self, at: Located, position: str) -> None:
        image_id = at.wire.create()["id"]
        operation = {"op": "add", "path": f"/locations/{position}", "value": location(at.url)}
        assert at.wire.patch(image_id, operation).status == 400

    def test_the_same_location_again(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        assert at.add(image_id, at.url).status == 400
        assert at.add(image_id, at.url, metadata={"store": "web"}).status == 400
        assert at.add(image_id, at.url, metadata={"other": "metadata"}).status == 200
        twice = [{"op": "add", "path": "/locations/-", "value": location(at.another())}] * 2
        assert at.wire.patch(image_id, *twice).status == 400

    @pytest.mark.parametrize(
        "url",
        [
            "file:///etc/passwd", "filesystem:///etc/passwd", "FILE:///etc/passwd", "swift+config://ref/container/object",
            "unknown://host/a", "nothing", "://host", "", "rbd://fsid/pool/image/snap", "pending://parallel-import/1/2",
            "http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://2130706433/",
            "ftp://localhost/a", "http:///a", "http://", "memory://ram/nothing", "memory://other/a", "http://example.org/a\U0001f600",
            "http://localhost:1/" + "x" * 250,
        ],
    )  # fmt: skip
    def test_what_cannot_be_a_location(self, at: Located, url: str) -> None:
        image_id = at.wire.create()["id"]
        assert at.add(image_id, url).status == 400
        shown = at.show(image_id)
        assert (shown["status"], shown["locations"]) == ("queued", [])

    def test_a_server_without_the_data(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        for url in (at.web.url("files", "nothing"), at.web.url("status", "403"), at.web.url("chunked", "a")):
            assert at.add(image_id, url).status == 400
        at.web.files["empty"] = b""
        assert at.add(image_id, at.web.url("files", "empty")).status == 400
        assert at.add(image_id, at.web.url("status", "503")).status == 503
        assert at.show(image_id)["status"] == "queued"

    @pytest.mark.parametrize("metadata", [{"a": 1}, {"a": None}, {"a": [True]}, {"a": {"b": [{"c": 1.5}]}}])
    def test_metadata_are_texts(self, at: Located, metadata: dict[str, Any]) -> None:
        """Glance fails with 500 on a number."""
        image_id = at.wire.create()["id"]
        assert at.add(image_id, at.url, metadata=metadata).status == 400

    @pytest.mark.parametrize("value", [{}, {"url": "x"}, {"metadata": {}}, "x", None, {"url": 1, "metadata": {}}, []])
    def test_a_location_is_an_object_with_url_and_metadata(self, at: Located, value: object) -> None:
        image_id = at.wire.create()["id"]
        assert at.wire.patch(image_id, {"op": "add", "path": "/locations/-", "value": value}).status == 400

    def test_other_pointers(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        for operation in (
            {"op": "remove", "path": "/locations"},
            {"op": "add", "path": "/locations", "value": [location(at.url)]},
            {"op": "replace", "path": "/locations/0", "value": location(at.url)},
        ):
            assert at.wire.as_(ADMIN).patch(image_id, operation).status == 400

    def test_quota(self, tmp_path: Path) -> None:
        with located(tmp_path, limits=Limits(image_location_quota=2)) as at:
            image_id = at.with_locations(at.url, at.in_memory())
            assert at.add(image_id, at.in_memory()).status == 413
            queued = at.wire.create()["id"]
            three = [location(at.another()) for _ in range(3)]
            assert at.wire.patch(queued, {"op": "replace", "path": "/locations", "value": three}).status == 413
            assert at.show(queued)["status"] == "queued"

    def test_size_cap(self, tmp_path: Path) -> None:
        with located(tmp_path, limits=Limits(image_size_cap=len(DATA) - 1)) as at:
            image_id = at.wire.create()["id"]
            assert at.add(image_id, at.url).status == 413

    def test_who_may(self, at: Located) -> None:
        image_id = at.wire.create(visibility="private")["id"]
        assert at.as_(OTHER).add(image_id, at.url).status == 404
        assert at.as_(READER).add(image_id, at.url).status == 403
        public = at.as_(ADMIN).wire.create(visibility="public")["id"]
        assert at.add(public, at.url).status == 403
        assert at.show(public)["status"] == "queued"

    def test_statuses(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        assert at.wire("POST", f"/v2/images/{image_id}/actions/deactivate").status == 204
        assert at.as_(ADMIN).add(image_id, at.in_memory()).status == 409
        same = {"op": "replace", "path": "/locations", "value": [location(at.url)]}
        assert at.wire.as_(ADMIN).patch(image_id, same).status == 409
        assert at.wire.as_(ADMIN).patch(image_id, {"op": "remove", "path": "/locations/0"}).status == 409

    def test_all_or_nothing(self, at: Located) -> None:
        image_id = at.wire.create(name="before")["id"]
        add = {"op": "add", "path": "/locations/-", "value": location(at.url)}
        rename = {"op": "replace", "path": "/name", "value": "after"}
        broken = {"op": "remove", "path": "/nothing"}
        assert at.wire.patch(image_id, rename, add, broken).status == 409
        shown = at.show(image_id)
        assert (shown["name"], shown["status"], shown["locations"]) == ("before", "queued", [])
        assert at.wire.patch(image_id, rename, add).status == 200
        assert (at.show(image_id)["name"], at.show(image_id)["status"]) == ("after", "active")

    def test_without_named_stores(self, tmp_path: Path) -> None:
        with located(tmp_path, named=False) as at:
            image_id = at.with_locations(at.url)
            assert at.show(image_id)["locations"] == [{"url": at.url, "metadata": {}}]
            # metadata of a client must not choose the store that reads and deletes
            assert at.add(image_id, at.in_memory(), metadata={"store": "web", "backend": "web"}).status == 200
            assert at.show(image_id)["locations"][1]["metadata"] == {}
            assert at.wire("DELETE", f"/v2/images/{image_id}").status == 204


class TestValidationData:
    def test_is_stored_unverified_on_a_queued_image(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        claim = {**VALID, "os_hash_value": "AB" * 64}
        assert at.add(image_id, at.url, validation_data=claim).status == 200
        shown = at.show(image_id)
        assert (shown["os_hash_algo"], shown["os_hash_value"], shown["checksum"]) == ("sha512", "ab" * 64, MD5)
        assert "validation_data" not in shown["locations"][0]

    def test_of_a_second_location(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        assert at.add(image_id, at.url, validation_data=VALID).status == 200
        assert at.add(image_id, at.another(), validation_data=VALID).status == 200
        assert at.add(image_id, at.another()).status == 200
        other = {**VALID, "os_hash_value": "0" * 128}
        assert at.add(image_id, at.another(), validation_data=other).status == 409
        assert at.add(image_id, at.another(), validation_data={**VALID, "checksum": "0" * 32}).status == 409

    def test_of_two_locations_at_once(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        values = [location(at.url, validation_data=VALID), location(at.another(), validation_data=VALID)]
        values[1]["validation_data"] = {**VALID, "os_hash_value": "0" * 128}
        assert at.wire.patch(image_id, {"op": "replace", "path": "/locations", "value": values}).status == 409
        values[1]["validation_data"] = VALID
        assert at.wire.patch(image_id, {"op": "replace", "path": "/locations", "value": values}).status == 200

    def test_new_values_come_too_late_for_an_active_image(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        assert at.add(image_id, at.another(), validation_data=VALID).status == 409
        replaced = [location(at.url, validation_data=VALID)]
        assert at.wire.patch(image_id, {"op": "replace", "path": "/locations", "value": replaced}).status == 409

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            ({}, 400), ({"os_hash_algo": "sha512"}, 400), ({"os_hash_value": SHA512}, 400), ({"checksum": MD5}, 400),
            ({**VALID, "checksum": "abc"}, 400), ({**VALID, "os_hash_value": "a" * 129}, 400),
            ({**VALID, "more": "x"}, 400),
            ({**VALID, "os_hash_algo": "sha256"}, 409), ({**VALID, "os_hash_value": "abc"}, 409),
            ({**VALID, "os_hash_value": "x" * 128}, 409), ({**VALID, "checksum": "x" * 32}, 409),
        ],
    )  # fmt: skip
    def test_forms(self, at: Located, data: dict[str, str], status: int) -> None:
        image_id = at.wire.create()["id"]
        assert at.add(image_id, at.url, validation_data=data).status == status
        assert at.show(image_id)["status"] == "queued"


class TestReplacing:
    def replace(self, at: Located, image_id: str, *values: object) -> Any:
        return at.wire.patch(image_id, {"op": "replace", "path": "/locations", "value": list(values)})

    def test_of_a_queued_image_adds_all(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        ram = at.in_memory()
        answer = self.replace(at, image_id, location(ram), location(at.url))
        assert answer.status == 200, answer
        assert [one["url"] for one in at.show(image_id)["locations"]] == [at.url, ram]

    def test_otherwise_changes_metadata_only(self, at: Located) -> None:
        ram = at.in_memory()
        image_id = at.with_locations(at.url, ram)
        answer = self.replace(
            at, image_id, location(ram, metadata={"a": "b"}), location(at.url, metadata={"store": "ram"})
        )
        assert answer.status == 200, answer
        shown = at.show(image_id)
        assert shown["locations"] == [
            {"url": at.url, "metadata": {"store": "web"}},
            {"url": ram, "metadata": {"a": "b", "store": "ram"}},
        ]
        assert shown["size"] == len(DATA)

    def test_never_empties(self, at: Located) -> None:
        for image_id in (at.wire.create()["id"], at.with_locations(at.url)):
            assert self.replace(at, image_id).status == 403

    def test_never_changes_the_urls(self, at: Located) -> None:
        """CVE-2016-0757, CVE-2022-4134: the data of an active image must not be exchanged by its owner."""
        ram, other = at.in_memory(), at.another(b"malicious")
        image_id = at.with_locations(at.url, ram)
        at.run_jobs()
        for urls in ((other,), (at.url,), (at.url, other), (at.url, ram, other), (at.url, at.url), (ram, ram)):
            assert self.replace(at, image_id, *(location(url) for url in urls)).status == 400, urls
        assert [one["url"] for one in at.show(image_id)["locations"]] == [at.url, ram]
        assert at.wire("GET", f"/v2/images/{image_id}/file").body == DATA


class TestRemoving:
    def remove(self, at: Located, image_id: str, position: str = "0") -> Any:
        return at.wire.as_(ADMIN).patch(image_id, {"op": "remove", "path": f"/locations/{position}"})

    def test_takes_the_data_too(self, at: Located) -> None:
        first, second = at.in_memory(), at.in_memory(store_id="spare")
        image_id = at.with_locations(first, second)
        at.run_jobs()
        answer = self.remove(at, image_id)
        assert answer.status == 200, answer
        assert [one["url"] for one in answer.json["locations"]] == [second]
        assert at.show(image_id)["locations"] == answer.json["locations"]
        assert not at.holds(first)
        assert at.holds(second, "spare")
        assert at.wire.service.deps.database.count_jobs() == {}
        assert at.wire("GET", f"/v2/images/{image_id}/file").body == DATA

    def test_counts_in_the_order_of_the_wire(self, at: Located) -> None:
        spare, ram = at.in_memory(store_id="spare"), at.in_memory()
        image_id = at.with_locations(spare, ram, at.url)
        assert self.remove(at, image_id, "-").status == 200
        assert [one["url"] for one in at.show(image_id)["locations"]] == [at.url, ram]
        assert not at.holds(spare, "spare")
        assert self.remove(at, image_id, "1").status == 200
        assert [one["url"] for one in at.show(image_id)["locations"]] == [at.url]
        assert not at.holds(ram)

    def test_leaves_what_is_on_a_web_server(self, at: Located) -> None:
        image_id = at.with_locations(at.url, at.in_memory())
        assert self.remove(at, image_id).status == 200
        assert "a" in at.web.files
        assert at.show(image_id)["stores"] == "ram"

    def test_leaves_data_that_another_location_names(self, at: Located) -> None:
        ram = at.in_memory()
        image_id = at.with_locations(ram)
        assert at.add(image_id, ram, metadata={"second": "entry"}).status == 200
        assert self.remove(at, image_id).status == 200
        assert at.holds(ram)

    def test_data_that_are_gone_are_no_obstacle(self, at: Located) -> None:
        ram = at.in_memory()
        image_id = at.with_locations(at.url, ram)
        at.wire.service.deps.stores.by_id("ram").delete(ram)
        assert self.remove(at, image_id, "1").status == 200

    @pytest.mark.parametrize("position", ["2", "x", "-1", "99"])
    def test_bad_positions(self, at: Located, position: str) -> None:
        image_id = at.with_locations(at.url, at.in_memory())
        assert self.remove(at, image_id, position).status == 400

    def test_never_the_last_one(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        assert self.remove(at, image_id).status == 403
        two = at.with_locations(at.in_memory(), at.in_memory())
        both = [{"op": "remove", "path": "/locations/0"}] * 2
        assert at.wire.as_(ADMIN).patch(two, *both).status == 403
        assert len(at.show(two)["locations"]) == 2

    def test_only_of_active_images_and_only_by_administrators(self, at: Located) -> None:
        assert self.remove(at, at.wire.create()["id"]).status == 409
        image_id = at.with_locations(at.url, at.in_memory())
        assert at.wire.patch(image_id, {"op": "remove", "path": "/locations/0"}).status == 403

    def test_adding_and_removing_in_one_request(self, at: Located) -> None:
        old, new = at.in_memory(), at.in_memory()
        image_id = at.with_locations(old)
        add = {"op": "add", "path": "/locations/-", "value": location(new)}
        remove = {"op": "remove", "path": "/locations/0"}
        answer = at.wire.as_(ADMIN).patch(image_id, add, remove)
        assert answer.status == 200, answer
        assert [one["url"] for one in at.show(image_id)["locations"]] == [new]
        assert not at.holds(old)


class TestDataOfOthers:
    """Objects are named after their images, and the service reads any of them: whoever names one must own it."""

    def test_a_member_cannot_have_the_data_of_another_project(self, at: Located) -> None:
        other = at.as_(OTHER)
        victim = other.wire.create(visibility="private")["id"]
        assert other.wire.upload(victim, DATA).status == 204
        [stolen] = [one["url"] for one in other.show(victim)["locations"]]
        image_id = at.wire.create()["id"]
        for url in (
            stolen,
            stolen.replace(victim, f"%{ord(victim[0]):x}{victim[1:]}"),
            stolen.replace("memory", "MEMORY"),
        ):
            assert at.add(image_id, url).status == 403, url
        assert at.show(image_id)["status"] == "queued"
        # and cannot delete them with an image of its own
        assert at.wire("DELETE", f"/v2/images/{image_id}").status == 204
        assert other.wire("GET", f"/v2/images/{victim}/file").body == DATA

    def test_but_the_owner_and_an_administrator_may(self, at: Located) -> None:
        source = at.wire.create()["id"]
        assert at.wire.upload(source, DATA).status == 204
        [url] = [one["url"] for one in at.show(source)["locations"]]
        assert at.add(at.wire.create()["id"], url).status == 200
        assert at.as_(ADMIN).add(at.wire.create()["id"], url).status == 200

    def test_an_address_on_a_web_server_names_nothing_of_ours(self, at: Located) -> None:
        victim = at.as_(OTHER).wire.create(visibility="private")["id"]
        at.web.files[victim] = DATA
        assert at.add(at.wire.create()["id"], at.web.url("files", victim)).status == 200
