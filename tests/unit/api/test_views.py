"""Image documents (images-api 3.1 and 3.4)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from types import FrameType

import msgspec
import pytest

from glimpse.api.v2.views import ImageView, image_body, image_document, image_list_body
from glimpse.domain.image import Image, Location
from glimpse.domain.status import Status, Visibility

ID = "4bb2b1f2-1b5c-4d0c-9b7a-0c8f1a0f6f6e"
CREATED = datetime(2026, 11, 22, 10, 6, 31, 999999)  # noqa: DTZ001  times of the domain are naive UTC
UPDATED = datetime(2026, 11, 22, 10, 6, 40)  # noqa: DTZ001
SLOW = Location(url="file:///slow", metadata={"store": "slow"})
FAST = Location(url="file:///fast", metadata={"store": "fast", "rack": "r1"})
SLOW_ITEM = {"url": "file:///slow", "metadata": {"store": "slow"}}
FAST_ITEM = {"url": "file:///fast", "metadata": {"store": "fast", "rack": "r1"}}
BARE = Location(url="http://host/x")
ALL = ImageView(locations=True, direct_url=True, stores=True, weights={"slow": 1, "fast": 5})

IMAGE = Image(
    id=ID, name="déb-13", disk_format="raw", container_format="bare", visibility=Visibility.SHARED, size=1048576,
    virtual_size=1048577, status=Status.ACTIVE, checksum="b6d8", protected=False, min_ram=0, min_disk=1,
    owner="6f1c", os_hidden=False, os_hash_algo="sha512", os_hash_value="30e1", created_at=CREATED,
    updated_at=UPDATED, tags=("ready",), properties={"os_distro": "debian"},
)  # fmt: skip

BODY = (
    '{"os_distro":"debian","name":"déb-13","disk_format":"raw","container_format":"bare","visibility":"shared",'
    '"size":1048576,"virtual_size":1048577,"status":"active","checksum":"b6d8","protected":false,"min_ram":0,'
    '"min_disk":1,"owner":"6f1c","os_hidden":false,"os_hash_algo":"sha512","os_hash_value":"30e1",'
    f'"id":"{ID}","created_at":"2026-11-22T10:06:31Z","updated_at":"2026-11-22T10:06:40Z","tags":["ready"],'
    f'"self":"/v2/images/{ID}","file":"/v2/images/{ID}/file","schema":"/v2/schemas/image"}}'
)


def variant(**fields: object) -> Image:
    return msgspec.structs.replace(IMAGE, **fields)


def test_the_body_is_exact() -> None:
    assert image_body(IMAGE, ImageView()).decode() == BODY


def test_a_new_image() -> None:
    document = json.loads(image_body(Image(id=ID, created_at=CREATED, updated_at=CREATED), ImageView()))
    nulls = {name for name, value in document.items() if value is None}
    assert nulls == {
        "name", "disk_format", "container_format", "size", "virtual_size", "checksum", "owner", "os_hash_algo",
        "os_hash_value",
    }  # fmt: skip
    assert (document["status"], document["visibility"], document["tags"]) == ("queued", "shared", [])


def test_locations_are_shown_where_the_operator_wants_them() -> None:
    stored = variant(locations=(SLOW, FAST, BARE))
    plain = image_document(stored, ImageView())
    assert plain.keys() & {"locations", "direct_url", "stores"} == set()
    full = image_document(stored, ALL)
    assert list(full)[-8:] == ["updated_at", "locations", "direct_url", "tags", "self", "file", "schema", "stores"]
    assert full["locations"] == [
        FAST_ITEM,
        SLOW_ITEM,
        {"url": "http://host/x", "metadata": {}},
    ]
    assert (full["direct_url"], full["stores"]) == ("file:///fast", "fast,slow")


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (ImageView(locations=True), {"locations": [SLOW_ITEM, FAST_ITEM]}),
        (ImageView(direct_url=True), {"direct_url": "file:///slow"}),
        (ImageView(stores=True), {"stores": "slow,fast"}),
        (ImageView(stores=True, weights={"fast": 1}), {"stores": "fast,slow"}),
        (ImageView(stores=True, weights={"slow": -1}), {"stores": "fast,slow"}),
    ],
)  # fmt: skip
def test_each_switch(view: ImageView, expected: dict[str, object]) -> None:
    document = image_document(variant(locations=(SLOW, FAST)), view)
    assert {name: document[name] for name in document.keys() & {"locations", "direct_url", "stores"}} == expected


def test_an_image_without_locations() -> None:
    document = image_document(IMAGE, ALL)
    assert document["locations"] == []
    assert document.keys() & {"direct_url", "stores"} == set()


def test_stores_keep_duplicates_and_need_an_id() -> None:
    assert image_document(variant(locations=(SLOW, BARE, SLOW)), ALL)["stores"] == "slow,slow"
    assert "stores" not in image_document(variant(locations=(BARE,)), ALL)


def test_metadata_of_a_client_need_not_name_a_store_as_text() -> None:
    odd = Location(url="file:///odd", metadata={"store": ["fast"]})
    document = image_document(variant(locations=(odd, SLOW)), ALL)
    assert (document["direct_url"], document["stores"]) == ("file:///slow", "slow")


def test_locations_that_are_not_active_are_not_shown() -> None:
    gone = msgspec.structs.replace(FAST, status="pending_delete")
    document = image_document(variant(locations=(gone, SLOW)), ALL)
    assert (document["direct_url"], document["stores"]) == ("file:///slow", "slow")


def test_deactivated_images_hide_their_locations_from_all_but_admins() -> None:
    deactivated = variant(status=Status.DEACTIVATED, locations=(SLOW,))
    document = image_document(deactivated, ALL)
    assert document["locations"] == []
    assert document.keys() & {"direct_url", "stores"} == set()
    assert image_document(deactivated, ALL, is_admin=True)["stores"] == "slow"


def test_internal_properties() -> None:
    image = variant(
        properties={
            "os_glance_stage_host": "http://worker", "os_glance_hash_op_host": "w", "os_glance_failed_import": "",
            "os_glance_importing_to_stores": "fast", "p": "v",
        }
    )  # fmt: skip
    shown = list(image_document(image, ImageView()))
    assert shown[:4] == ["os_glance_failed_import", "os_glance_importing_to_stores", "p", "name"]
    assert "os_glance_hash_op_host" not in shown
    assert "os_glance_stage_host" in image.properties


def test_unreadable_properties() -> None:
    document = image_document(variant(properties={"a": "1", "b": "2"}), ImageView(), unreadable=["b", "missing"])
    assert list(document)[:2] == ["a", "name"]


def test_null_and_typed_values() -> None:
    image = variant(
        properties={"kernel_id": None, "other": None, "cores": "4", "on": "true", "old": "no json", "text": "5"}
    )
    view = ImageView(
        schema_names=frozenset({"kernel_id", "cores", "on", "old", "text"}),
        typed_names=frozenset({"cores", "on", "old"}),
    )
    document = image_document(image, view)
    assert {name: document[name] for name in image.properties} == {
        "kernel_id": None, "other": "", "cores": 4, "on": True, "old": "no json", "text": "5",
    }  # fmt: skip
    assert image.properties["other"] is None


def test_a_property_with_the_name_of_a_field_gives_way() -> None:
    image = variant(properties={"stores": "mine", "size": "big"}, locations=(SLOW,))
    assert image_document(image, ImageView())["stores"] == "mine"
    assert image_document(image, ALL)["stores"] == "slow"
    assert image_document(image, ALL)["size"] == 1048576


def test_lists() -> None:
    documents = [image_document(IMAGE, ImageView())]
    body = image_list_body(documents, first="/v2/images?limit=1", next_link="/v2/images?limit=1&marker=x")
    assert body.decode() == (
        f'{{"images":[{BODY}],"first":"/v2/images?limit=1","schema":"/v2/schemas/images",'
        '"next":"/v2/images?limit=1&marker=x"}'
    )
    assert image_list_body([], first="/v2/images") == (
        b'{"images":[],"first":"/v2/images","schema":"/v2/schemas/images"}'
    )


def python_calls(work: Callable[[], object]) -> int:
    """Number of Python functions that ``work`` enters, itself left out."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(previous)
    return calls - 1


@pytest.mark.parametrize("view", [ImageView(), ALL])
def test_a_view_is_cheap(view: ImageView) -> None:
    image = variant(properties={f"p{n}": "v" for n in range(30)}, locations=(SLOW, FAST))
    assert python_calls(lambda: image_body(image, view)) <= 10
