"""Several stores through the API (imports-and-stores 1 and 4; images-api 4.4)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from glimpse.db.records import Viewer
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.errors import DataInUse, StoreUnavailable
from glimpse.settings.model import Api, Limits, PolicySettings, Quotas, Stores, StoreSettings
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.http import HttpOptions
from glimpse.stores.memory import MemoryOptions
from tests.contract.db.examples import LIFETIME, OVER, removal_job
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.wire import ADMIN, MEMBER, OTHER, READER, Answer, Caller, Wire, settings_in, wired

DATA = b"0123456789"
_EVERYBODY = Viewer(None, is_admin=True)
SERVICE = Caller(project="service", roles="service", user="nova")


def stores_in(directory: Path) -> Stores:
    """Two of files, one in memory, one that is only read; ``cheap`` is the default, ``fast`` is preferred."""

    def files(store_id: str, **fields: Any) -> StoreSettings:
        options = FilesystemOptions(filesystem_store_datadir=str(directory / store_id))
        return StoreSettings(id=store_id, kind="file", options=options, **fields)

    return Stores(
        default="cheap",
        named=True,
        stores=(
            files("cheap", weight=5),
            files("fast", weight=10, description="NVMe"),
            StoreSettings(id="ram", kind="memory", options=MemoryOptions()),
            StoreSettings(id="web", kind="http", options=HttpOptions()),
        ),
    )


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Wire]:
    api = Api(show_multiple_locations=True, show_image_direct_url=True)
    with wired(settings_in(tmp_path, stores=stores_in(tmp_path), api=api)) as made:
        yield made


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Wire]:
    with wired(settings_in(tmp_path)) as made:
        yield made


def add_copy(wire: Wire, image_id: str, store_id: str, data: bytes = DATA, **metadata: object) -> Location:
    """Store data for the image and record them as a further location, as an import does."""
    deps = wire.service.deps
    writer = deps.stores.by_id(store_id).writer(image_id, len(data), "copy")
    writer.write(data)
    placed = writer.commit()
    location = Location(url=placed.url, metadata=metadata or {"store": store_id})
    deps.database.update_image(image_id, ImageChange(add_locations=(location,)))
    return location


def uploaded(wire: Wire, store_id: str = "cheap", data: bytes = DATA) -> str:
    image_id: str = wire.create()["id"]
    assert wire.upload(image_id, data, {"X-Image-Meta-Store": store_id}).status == 204
    return image_id


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def download(wire: Wire, image_id: str, query: str = "") -> Answer:
    return wire("GET", f"/v2/images/{image_id}/file{query}")


def files_of(wire: Wire, store_id: str) -> list[str]:
    return sorted(path.name for path in (wire.settings.data_dir / store_id).iterdir())


def record_of(wire: Wire, image_id: str) -> Image:
    return wire.service.deps.database.get_image(image_id, _EVERYBODY)


def relocate(wire: Wire, image_id: str, *locations: Location) -> None:
    """Replace what the database says of the image's locations, past every rule."""
    old = tuple(location.id for location in record_of(wire, image_id).locations if location.id is not None)
    change = ImageChange(drop_locations=old, add_locations=locations)
    wire.service.deps.database.update_image(image_id, change)


class TestDiscovery:
    def test_import_methods_are_those_that_work(self, one: Wire) -> None:
        """imports-and-stores 1.2: copies need several stores."""
        document = one("GET", "/v2/info/import").json["import-methods"]
        assert document.keys() == {"description", "type", "value"}
        assert "glance-direct" in document["value"]
        assert "copy-image" not in document["value"]
        created = one("POST", "/v2/images", json_body={})
        assert created.headers["openstack-image-import-methods"] == ",".join(document["value"])

    def test_stores(self, several: Wire) -> None:
        """imports-and-stores 1.3: texts and not booleans, in the order of the configuration."""
        assert several("GET", "/v2/info/stores").json == {
            "stores": [
                {"id": "cheap", "default": "true"},
                {"id": "fast", "description": "NVMe"},
                {"id": "ram"},
                {"id": "web", "read-only": "true"},
            ]
        }

    def test_details(self, several: Wire, tmp_path: Path) -> None:
        """imports-and-stores 1.4."""
        expected = [
            {
                "id": "cheap",
                "default": "true",
                "type": "file",
                "weight": 5,
                "properties": _properties(tmp_path / "cheap"),
            },
            {
                "id": "fast",
                "description": "NVMe",
                "type": "file",
                "weight": 10,
                "properties": _properties(tmp_path / "fast"),
            },
            {"id": "ram", "type": "memory", "weight": 0, "properties": {}},
            {"id": "web", "read-only": "true", "type": "http", "weight": 0, "properties": {}},
        ]
        for caller in (ADMIN, SERVICE):
            assert several.as_(caller)("GET", "/v2/info/stores/detail").json == {"stores": expected}
        for caller in (MEMBER, READER):
            assert several.as_(caller)("GET", "/v2/info/stores/detail").status == 403

    def test_details_of_a_store_with_several_directories(self, tmp_path: Path) -> None:
        """imports-and-stores 1.4: the first directory, not an error."""
        lines = (f"{tmp_path}/a:10", f"{tmp_path}/b:20")
        options = FilesystemOptions(filesystem_store_datadir="", filesystem_store_datadirs=lines)
        settings = Stores(default="a", named=True, stores=(StoreSettings(id="a", kind="file", options=options),))
        with wired(settings_in(tmp_path, stores=settings)) as wire:
            (found,) = wire.as_(ADMIN)("GET", "/v2/info/stores/detail").json["stores"]
        assert found["properties"]["data_dir"] == f"{tmp_path}/b"

    def test_without_named_stores_there_is_nothing_to_discover(self, one: Wire) -> None:
        """imports-and-stores 1.1: 404 before the policy."""
        for caller in (ADMIN, READER):
            assert one.as_(caller)("GET", "/v2/info/stores").status == 404
            assert one.as_(caller)("GET", "/v2/info/stores/detail").status == 404

    def test_usage_without_limits(self, one: Wire) -> None:
        assert one("GET", "/v2/info/usage").json == {"usage": {}}

    @pytest.mark.parametrize("path", ["import", "stores", "stores/detail", "usage"])
    def test_discovery_takes_no_body_and_no_other_method(self, several: Wire, path: str) -> None:
        """imports-and-stores 1.1: usage too answers 400 and 405."""
        assert several.as_(ADMIN)("GET", f"/v2/info/{path}", b"{}").status == 400
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = several.as_(ADMIN)(method, f"/v2/info/{path}")
            assert (answer.status, answer.headers["allow"]) == (405, "GET")
        assert several("GET", f"/v2/info/{path}", identity=False).status == 401

    def test_creation_names_the_stores(self, several: Wire, tmp_path: Path) -> None:
        """imports-and-stores 1.6: those of enabled_backends and no reserved ones."""
        created = several("POST", "/v2/images", json_body={})
        assert created.headers["openstack-image-store-ids"] == "cheap,fast,ram,web"

    def test_creation_without_named_stores_names_none(self, one: Wire) -> None:
        assert "openstack-image-store-ids" not in one("POST", "/v2/images", json_body={}).headers


def _properties(directory: Path) -> dict[str, object]:
    return {"data_dir": str(directory), "chunk_size": 65536, "thin_provisioning": False}


class TestUpload:
    def test_the_default_store(self, several: Wire) -> None:
        image_id = several.create()["id"]
        assert several.upload(image_id, DATA).status == 204
        assert files_of(several, "cheap") == [image_id]
        assert show(several, image_id)["stores"] == "cheap"

    @pytest.mark.parametrize("store_id", ["cheap", "fast", "ram"])
    def test_a_store_by_header(self, several: Wire, store_id: str) -> None:
        image_id = uploaded(several, store_id)
        shown = show(several, image_id)
        assert (shown["stores"], shown["locations"][0]["metadata"]) == (store_id, {"store": store_id})
        assert download(several, image_id).body == DATA

    @pytest.mark.parametrize("header", ["", "tape", "os_glance_staging_store", "os_glance_tasks_store"])
    def test_unknown_stores(self, several: Wire, header: str) -> None:
        """images-api 4.2, row 4; imports-and-stores 2.5: reserved stores are unknown."""
        image_id = several.create()["id"]
        assert several.upload(image_id, DATA, {"X-Image-Meta-Store": header}).status == 400
        assert several.upload("no-image", DATA, {"X-Image-Meta-Store": header}).status == 400
        assert show(several, image_id)["status"] == "queued"

    @pytest.mark.parametrize("header", ["", "tape"])
    def test_the_header_means_nothing_without_named_stores(self, one: Wire, header: str) -> None:
        image_id = one.create()["id"]
        assert one.upload(image_id, DATA, {"X-Image-Meta-Store": header}).status == 204
        assert "stores" not in show(one, image_id)

    def test_a_store_that_is_only_read(self, several: Wire) -> None:
        """images-api 4.2, row 13."""
        image_id = several.create()["id"]
        assert several.upload(image_id, DATA, {"X-Image-Meta-Store": "web"}).status == 410
        assert show(several, image_id)["status"] == "queued"
        assert several.service.deps.database.count_jobs() == {}
        assert several.upload(image_id, DATA).status == 204


class TestStoresField:
    def test_it_follows_the_weights(self, several: Wire) -> None:
        """imports-and-stores 4.4; it decides the order of locations and direct_url as well."""
        image_id = uploaded(several, "ram")
        for store_id in ("cheap", "fast"):
            add_copy(several, image_id, store_id)
        shown = show(several, image_id)
        assert shown["stores"] == "fast,cheap,ram"
        assert shown["direct_url"] == shown["locations"][0]["url"]
        assert shown["direct_url"].endswith(f"/fast/{image_id}")
        (listed,) = several("GET", "/v2/images").json["images"]
        assert listed["stores"] == "fast,cheap,ram"

    def test_it_has_no_value_without_locations(self, several: Wire) -> None:
        assert "stores" not in several.create()

    def test_clients_do_not_set_it(self, several: Wire) -> None:
        """imports-and-stores 4.3: 403 for PATCH too."""
        assert several("POST", "/v2/images", json_body={"stores": "fast"}).status == 403
        image_id = uploaded(several)
        for op in ("add", "replace"):
            assert several.patch(image_id, {"op": op, "path": "/stores", "value": "fast"}).status == 403
        assert several.patch(image_id, {"op": "remove", "path": "/stores"}).status == 403
        assert show(several, image_id)["stores"] == "cheap"


class TestDownload:
    @pytest.fixture
    def image(self, several: Wire) -> str:
        """Data that tell which store they come from."""
        image_id = uploaded(several, "ram", b"from ram  ")
        add_copy(several, image_id, "cheap", b"from cheap")
        add_copy(several, image_id, "fast", b"from fast ")
        return image_id

    @pytest.mark.parametrize(
        ("query", "first"),
        [
            ("", "fast"),
            ("?prefer=", "fast"),
            ("?prefer=,%20,", "fast"),
            ("?prefer=cheap", "cheap"),
            ("?prefer=ram", "ram"),
            ("?prefer=ram,cheap", "cheap"),
            ("?prefer=,ram,", "ram"),
            ("?prefer=web", "fast"),
            ("?prefer=os_glance_staging_store", "fast"),
            ("?other=1&prefer=ram", "ram"),
        ],
    )
    def test_the_order_of_attempts(self, several: Wire, image: str, query: str, first: str) -> None:
        """images-api 4.4: preferred stores first, in the order of weights and not of names."""
        answer = download(several, image, query)
        assert (answer.status, answer.body.decode().split()[-1]) == (200, first)

    def test_the_next_location_when_data_are_missing(self, several: Wire, image: str, tmp_path: Path) -> None:
        (tmp_path / "fast" / image).unlink()
        assert download(several, image).body == b"from cheap"
        shutil.rmtree(tmp_path / "cheap")
        assert download(several, image, "?prefer=fast,cheap").body == b"from ram  "

    def test_the_next_location_when_its_store_is_not_known_here(self, several: Wire) -> None:
        """imports-and-stores 4.1."""
        image_id = uploaded(several)
        (location,) = record_of(several, image_id).locations
        elsewhere = Location(url="rbd://a/b/c/d", metadata={"store": "elsewhere"})
        relocate(several, image_id, elsewhere, msgspec.structs.replace(location, id=None))
        assert download(several, image_id).body == DATA

    def test_no_location_can_be_read(self, several: Wire, tmp_path: Path) -> None:
        image_id = uploaded(several)
        relocate(several, image_id, Location(url="rbd://a/b/c/d", metadata={"store": "elsewhere"}))
        assert download(several, image_id).status == 503
        relocate(several, image_id, Location(url=f"file://{tmp_path}/cheap/gone", metadata={"store": "cheap"}))
        assert download(several, image_id).status == 503

    @pytest.mark.parametrize("name", ["tape", "CHEAP", "%ff", "cheap,tape"])
    def test_unknown_stores(self, several: Wire, image: str, name: str) -> None:
        assert download(several, image, f"?prefer={name}").status == 400

    def test_without_named_stores(self, one: Wire) -> None:
        image_id = one.create()["id"]
        one.upload(image_id, DATA)
        assert download(one, image_id, "?prefer=default").status == 400
        assert download(one, image_id, "?prefer=,").status == 200

    def test_policy(self, tmp_path: Path) -> None:
        (tmp_path / "policy.yaml").write_text('"download_from_store": "rule:context_is_admin"\n')
        policy = PolicySettings(config_dirs=(tmp_path,))
        with wired(settings_in(tmp_path, stores=stores_in(tmp_path), policy=policy)) as wire:
            image_id = uploaded(wire)
            assert download(wire, image_id, "?prefer=cheap").status == 403
            assert download(wire, image_id, "?prefer=tape").status == 403
            assert download(wire, image_id, "?prefer=").status == 200
            assert download(wire.as_(ADMIN), image_id, "?prefer=cheap").status == 200
            assert download(wire.as_(OTHER), image_id, "?prefer=cheap").status == 404

    def test_no_quota_is_asked(self, tmp_path: Path) -> None:
        """images-api 4.4: neither the quota of bytes nor that of locations."""
        limits, quotas = Limits(image_location_quota=1), Quotas(user_storage_quota=15)
        with wired(settings_in(tmp_path, stores=stores_in(tmp_path), limits=limits, quotas=quotas)) as wire:
            image_id = uploaded(wire)
            add_copy(wire, image_id, "fast")
            assert download(wire, image_id, "?prefer=cheap").status == 200


class TestDeletion:
    @pytest.fixture
    def image(self, several: Wire) -> str:
        image_id = uploaded(several)
        add_copy(several, image_id, "fast")
        return image_id

    def delete(self, wire: Wire, store_id: str, image_id: str, caller: Caller = ADMIN) -> int:
        return wire.as_(caller)("DELETE", f"/v2/stores/{store_id}/{image_id}").status

    def test_one_copy_goes(self, several: Wire, image: str) -> None:
        assert self.delete(several, "cheap", image) == 204
        shown = show(several, image)
        assert (shown["stores"], shown["status"], shown["size"]) == ("fast", "active", len(DATA))
        assert (files_of(several, "cheap"), files_of(several, "fast")) == ([], [image])
        assert download(several, image).body == DATA
        assert several.service.deps.database.count_jobs() == {}

    def test_the_last_location_stays(self, several: Wire, image: str) -> None:
        """imports-and-stores 4.6, row 8: the last one, healthy or not."""
        assert self.delete(several, "cheap", image) == 204
        assert self.delete(several, "fast", image) == 403
        assert download(several, image).body == DATA

    def test_refusals_in_their_order(self, several: Wire, image: str, tmp_path: Path) -> None:
        body = several.as_(ADMIN)("DELETE", f"/v2/stores/tape/{image}", b"x")
        assert body.status == 400
        assert self.delete(several, "tape", "no-image", MEMBER) == 409
        assert self.delete(several, "cheap", "no-image") == 404
        assert self.delete(several, "cheap", image, OTHER) == 404
        assert self.delete(several, "cheap", image, MEMBER) == 403
        queued = several.create()["id"]
        assert self.delete(several, "cheap", queued, MEMBER) == 403
        assert self.delete(several, "cheap", queued) == 409
        several.as_(ADMIN)("POST", f"/v2/images/{image}/actions/deactivate")
        assert self.delete(several, "cheap", image) == 409
        several.as_(ADMIN)("POST", f"/v2/images/{image}/actions/reactivate")
        assert self.delete(several, "ram", image) == 404
        single = uploaded(several)
        assert self.delete(several, "ram", single) == 403
        for store_id in ("os_glance_staging_store", "os_glance_tasks_store"):
            assert self.delete(several, store_id, image) == 409

    def test_both_policies_are_asked(self, tmp_path: Path) -> None:
        """imports-and-stores 4.6, row 6."""
        for rules in ({"get_image_location": "!"}, {"delete_image_location": "!"}):
            place = tmp_path / next(iter(rules))
            place.mkdir()
            (place / "policy.yaml").write_text(json.dumps(rules))
            policy = PolicySettings(config_dirs=(place,))
            with wired(settings_in(place, stores=stores_in(place), policy=policy)) as wire:
                image_id = uploaded(wire)
                add_copy(wire, image_id, "fast")
                assert self.delete(wire, "cheap", image_id) == 403
                assert files_of(wire, "cheap") == [image_id]

    def test_other_methods(self, several: Wire, image: str) -> None:
        for method in ("GET", "POST", "PUT", "PATCH"):
            answer = several.as_(ADMIN)(method, f"/v2/stores/cheap/{image}")
            assert (answer.status, answer.headers["allow"]) == (405, "DELETE")

    def test_without_named_stores(self, one: Wire) -> None:
        image_id = one.create()["id"]
        one.upload(image_id, DATA)
        assert self.delete(one, "default", image_id) == 404
        assert download(one, image_id).body == DATA

    def test_data_that_are_gone_already(self, several: Wire, image: str, tmp_path: Path) -> None:
        (tmp_path / "cheap" / image).unlink()
        assert self.delete(several, "cheap", image) == 204
        assert show(several, image)["stores"] == "fast"

    def test_only_the_entry_goes_from_a_store_that_is_read(self, several: Wire) -> None:
        image_id = uploaded(several)
        web = Location(url="http://192.0.2.1/image", metadata={"store": "web"})
        several.service.deps.database.update_image(image_id, ImageChange(add_locations=(web,)))
        assert self.delete(several, "web", image_id) == 204
        assert show(several, image_id)["stores"] == "cheap"

    def test_the_first_of_two_locations_in_a_store(self, several: Wire, tmp_path: Path) -> None:
        image_id = uploaded(several)
        second = Location(url=f"file://{tmp_path}/cheap/second", metadata={"store": "cheap"})
        (tmp_path / "cheap" / "second").write_bytes(DATA)
        several.service.deps.database.update_image(image_id, ImageChange(add_locations=(second,)))
        assert self.delete(several, "cheap", image_id) == 204
        assert [location.url for location in record_of(several, image_id).locations] == [second.url]
        assert files_of(several, "cheap") == ["second"]

    def test_an_old_location_without_a_store_is_found_by_its_url(self, several: Wire, image: str) -> None:
        cheap, fast = (msgspec.structs.replace(one, id=None) for one in record_of(several, image).locations)
        relocate(several, image, msgspec.structs.replace(cheap, metadata={}), fast)
        assert self.delete(several, "cheap", image) == 204
        assert (files_of(several, "cheap"), show(several, image)["stores"]) == ([], "fast")

    @pytest.mark.parametrize(("refusal", "status", "stays"), [(DataInUse("A clone depends on the data."), 409, True)])
    def test_a_store_that_refuses_leaves_the_image_as_it_was(
        self, several: Wire, image: str, refusal: Exception, status: int, stays: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """imports-and-stores 4.6, row 10. No store of files refuses: the error is put where another one raises it."""

        def refuse(_url: str) -> None:
            raise refusal

        monkeypatch.setattr(several.service.deps.stores.by_id("cheap"), "delete", refuse)
        assert self.delete(several, "cheap", image) == status
        assert show(several, image)["stores"] == "fast,cheap"
        assert several.service.deps.database.count_jobs() == {}

    def test_a_store_that_does_not_answer_is_asked_again(
        self, several: Wire, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """imports-and-stores 4.6, row 11; the removal waits for the store."""

        def fail(_url: str) -> None:
            raise StoreUnavailable("The store does not answer.")

        cheap = several.service.deps.stores.by_id("cheap")
        with monkeypatch.context() as patch:
            patch.setattr(cheap, "delete", fail)
            assert self.delete(several, "cheap", image) == 204
        assert download(several, image).body == DATA
        assert several.service.deps.database.count_jobs() == {"copy_removal": {"pending": 1}}
        assert run_due(several.service.jobs) == 0
        with several.rows() as connection:
            let_leases_run_out(connection)
        assert run_due(several.service.jobs) == 1
        assert (files_of(several, "cheap"), show(several, image)["stores"]) == ([], "fast")

    def test_a_deletion_whose_process_died_is_carried_out(self, several: Wire, image: str) -> None:
        database = several.service.deps.database
        location = record_of(several, image).locations[0]
        assert location.id is not None
        database.begin_location_removal(
            removal_job(image, location.url, location.id, stores=("cheap",)), OVER, location.id
        )
        assert show(several, image)["stores"] == "fast"
        assert self.delete(several, "fast", image) == 403
        assert files_of(several, "cheap") == [image]
        assert run_due(several.service.jobs) == 1
        assert (files_of(several, "cheap"), files_of(several, "fast")) == ([], [image])
        assert database.count_jobs() == {}

    def test_of_two_deletions_at_once_one_copy_remains(self, several: Wire, image: str) -> None:
        """The other process has taken its location by now; this one finds but one left."""
        database = several.service.deps.database
        cheap, fast = record_of(several, image).locations
        assert cheap.id is not None
        assert fast.id is not None
        job = removal_job(image, cheap.url, cheap.id)
        database.begin_location_removal(job, LIFETIME, cheap.id)
        assert self.delete(several, "fast", image) == 403
        database.finish_location_removal(job, cheap.id, restore=True)
        assert show(several, image)["stores"] == "fast,cheap"


class TestRepair:
    """imports-and-stores 4.5: a missing store is recorded, an unknown one is resolved for the answer alone."""

    @pytest.fixture
    def old(self, several: Wire) -> str:
        """An image from before there were several stores."""
        image_id = uploaded(several, "fast")
        (location,) = record_of(several, image_id).locations
        relocate(several, image_id, Location(url=location.url))
        return image_id

    def test_a_show_records_a_missing_store(self, several: Wire, old: str) -> None:
        before = record_of(several, old)
        assert before.locations[0].metadata == {}
        shown = show(several, old)
        assert (shown["stores"], shown["locations"][0]["metadata"]) == ("fast", {"store": "fast"})
        after = record_of(several, old)
        assert after.locations[0].metadata == {"store": "fast"}
        assert after.updated_at == before.updated_at
        assert after.locations[0].id == before.locations[0].id

    def test_a_list_does_not(self, several: Wire, old: str) -> None:
        (listed,) = several("GET", "/v2/images").json["images"]
        assert "stores" not in listed
        assert record_of(several, old).locations[0].metadata == {}

    def test_an_unknown_store_stays_in_the_database(self, several: Wire, old: str) -> None:
        (location,) = record_of(several, old).locations
        relocate(several, old, Location(url=location.url, metadata={"store": "elsewhere"}))
        assert show(several, old)["stores"] == "fast"
        assert record_of(several, old).locations[0].metadata == {"store": "elsewhere"}
        assert download(several, old).body == DATA

    def test_a_url_that_only_begins_alike_is_not_taken(self, several: Wire, old: str, tmp_path: Path) -> None:
        """store-formats 3: up to a separator."""
        relocate(several, old, Location(url=f"file://{tmp_path}/fast2/{old}"))
        assert "stores" not in show(several, old)
        assert record_of(several, old).locations[0].metadata == {}

    @pytest.mark.parametrize("url", ["nonsense", "rbd://a/b/c/d"])
    def test_what_no_store_serves_is_left_alone(self, several: Wire, old: str, url: str) -> None:
        relocate(several, old, Location(url=url))
        shown = show(several, old)
        assert shown["locations"] == [{"url": url, "metadata": {}}]
        assert record_of(several, old).locations[0].metadata == {}

    def test_a_single_store_records_nothing(self, one: Wire) -> None:
        image_id = one.create()["id"]
        one.upload(image_id, DATA)
        show(one, image_id)
        assert record_of(one, image_id).locations[0].metadata == {}


def test_versions_say_that_there_are_stores(several: Wire) -> None:
    listed = [version["id"] for version in several("GET", "/versions").json["versions"]]
    assert {"v2.8", "v2.13"} <= set(listed)
