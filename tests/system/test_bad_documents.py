"""Invalid requests for image records: they get the status of images-api and change nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.footprint import rows, stored_files
from tests.support.raw_http import JSON_PATCH, Answer, Api
from tests.support.service import Service

ASTRAL = "disk \N{FLOPPY DISK}"
NO_IMAGE = "ac9e5a10-6a5a-4b2f-b8a3-0a5a3a3a3a3a"
BIG_PROPERTIES = {f"property-{number}": "x" * 60_000 for number in range(85)}

NOT_JSON: dict[str, bytes | None] = {
    "no body": None,
    "empty": b"",
    "blanks": b"  ",
    "half an object": b'{"name": "x"',
    "two objects": b"{}{}",
    "single quotes": b"{'name': 'x'}",
    "not UTF-8": b'{"name": "\xff"}',
    "half a surrogate pair": b'{"name": "\\ud83d"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "array": b"[]",
    "text": b'"x"',
    "number": b"1",
    "null": b"null",
    "NaN": b'{"min_disk": NaN}',
    "deep": b'{"a":' * 100_000,
    "deep arrays": b"[" * 100_000,
    "form": b"name=x&disk_format=raw",
}

WRONG_FIELDS: dict[str, tuple[dict[str, object], int]] = {
    "name is a number": ({"name": 5}, 400),
    "name is a list": ({"name": ["x"]}, 400),
    "name of 256 characters": ({"name": "x" * 256}, 400),
    "name beyond the BMP": ({"name": ASTRAL}, 400),
    "id is no UUID": ({"id": "image-1"}, 400),
    "id is a path": ({"id": "../../../../../../../../tmp/glimpse"}, 400),
    "id is null": ({"id": None}, 400),
    "owner of 256 characters": ({"owner": "x" * 256}, 400),
    "tags are text": ({"tags": "x"}, 400),
    "tags are null": ({"tags": None}, 400),
    "a tag is a number": ({"tags": [1]}, 400),
    "a tag of 256 characters": ({"tags": ["x" * 256]}, 400),
    "a tag beyond the BMP": ({"tags": ["good", ASTRAL]}, 400),
    "129 tags": ({"tags": [str(number) for number in range(129)]}, 413),
    "min_disk is text": ({"min_disk": "1"}, 400),
    "min_disk is null": ({"min_disk": None}, 400),
    "min_disk is negative": ({"min_disk": -1}, 400),
    "min_ram is a fraction": ({"min_ram": 1.5}, 400),
    "min_ram is too large": ({"min_ram": 2147483648}, 400),
    "min_ram is enormous": ({"min_ram": 10**40}, 400),
    "protected is text": ({"protected": "true"}, 400),
    "protected is null": ({"protected": None}, 400),
    "os_hidden is a number": ({"os_hidden": 1}, 400),
    "unknown visibility": ({"visibility": "secret"}, 400),
    "visibility is null": ({"visibility": None}, 400),
    "unknown disk format": ({"disk_format": "exe"}, 400),
    "unknown container format": ({"container_format": "box"}, 400),
    "a property is a number": ({"cpu": 4}, 400),
    "a property is null": ({"cpu": None}, 400),
    "a property is an object": ({"cpu": {"count": 4}}, 400),
    "a property of 256 characters": ({"x" * 256: "y"}, 400),
    "a property name beyond the BMP": ({ASTRAL: "x"}, 400),
    "a property value beyond the BMP": ({"os": ASTRAL}, 400),
    "a property value of 70,000 bytes": ({"os": "x" * 70_000}, 400),
    "129 properties": ({f"p{number}": "x" for number in range(129)}, 413),
    "5 MB of properties": (BIG_PROPERTIES, 413),
    "a property of 5 MB": ({"os": "x" * 5_000_000}, 413),
    "status": ({"status": "active"}, 403),
    "size": ({"size": 1}, 403),
    "checksum": ({"checksum": "d41d8cd98f00b204e9800998ecf8427e"}, 403),
    "created_at": ({"created_at": "2026-11-22T12:00:00Z"}, 403),
    "self": ({"self": "/v2/images/x"}, 403),
    "stores": ({"stores": "x"}, 403),
    "locations": ({"locations": []}, 403),
    "location": ({"location": "file:///etc/passwd"}, 403),
    "deleted": ({"deleted": "true"}, 403),
    "reserved": ({"os_glance_stage_host": "http://host"}, 403),
}

WRONG_PATCHES: dict[str, tuple[object, int]] = {
    "an object": ({"op": "add", "path": "/a", "value": "x"}, 400),
    "null": (None, 400),
    "a list of texts": (["add"], 400),
    "no operation": ([{"path": "/a", "value": "x"}], 400),
    "test": ([{"op": "test", "path": "/name", "value": "x"}], 400),
    "move": ([{"op": "move", "from": "/name", "path": "/a"}], 400),
    "no path": ([{"op": "add", "value": "x"}], 400),
    "path is a number": ([{"op": "add", "path": 1, "value": "x"}], 400),
    "path without a slash": ([{"op": "replace", "path": "name", "value": "x"}], 400),
    "path ends with a slash": ([{"op": "add", "path": "/a/", "value": "x"}], 400),
    "path with two slashes": ([{"op": "add", "path": "/a//b", "value": "x"}], 400),
    "path with a bad escape": ([{"op": "add", "path": "/a~2", "value": "x"}], 400),
    "path too deep": ([{"op": "add", "path": "/tags/-", "value": "x"}], 400),
    "path climbs": ([{"op": "add", "path": "/../../etc/passwd", "value": "x"}], 400),
    "no value": ([{"op": "add", "path": "/a"}], 400),
    "value is a number": ([{"op": "add", "path": "/a", "value": 1}], 400),
    "value beyond the BMP": ([{"op": "add", "path": "/a", "value": ASTRAL}], 400),
    "name beyond the BMP": ([{"op": "add", "path": f"/{ASTRAL}", "value": "x"}], 400),
    "name of 256 characters": ([{"op": "add", "path": "/" + "x" * 256, "value": "x"}], 400),
    "negative min_disk": ([{"op": "replace", "path": "/min_disk", "value": -1}], 400),
    "unknown visibility": ([{"op": "replace", "path": "/visibility", "value": "secret"}], 400),
    "remove a base attribute": ([{"op": "remove", "path": "/name"}], 403),
    "read-only attribute": ([{"op": "replace", "path": "/status", "value": "active"}], 403),
    "reserved attribute": ([{"op": "add", "path": "/os_glance_x", "value": "x"}], 403),
    "stores": ([{"op": "add", "path": "/stores", "value": "x"}], 403),
    "locations": ([{"op": "add", "path": "/locations/-", "value": {"url": "file:///etc/passwd", "metadata": {}}}], 403),
    "replace what is not there": ([{"op": "replace", "path": "/missing", "value": "x"}], 409),
    "remove what is not there": ([{"op": "remove", "path": "/missing"}], 409),
    "129 tags": ([{"op": "replace", "path": "/tags", "value": [str(number) for number in range(129)]}], 413),
    "129 properties": ([{"op": "add", "path": f"/p{number}", "value": "x"} for number in range(129)], 413),
    "5 MB": ([{"op": "add", "path": f"/{name}", "value": value} for name, value in BIG_PROPERTIES.items()], 413),
    "the second of two fails": (
        [{"op": "replace", "path": "/name", "value": "changed"}, {"op": "remove", "path": "/missing"}],
        409,
    ),
}

WRONG_QUERIES = (
    "limit=",
    "limit=a",
    "limit=1.5",
    "limit=-1",
    "marker=unknown",
    f"marker={NO_IMAGE}",
    "sort_key=owner",
    "sort_dir=up",
    "sort=",
    "sort=name&sort_key=name",
    "sort=name:sideways",
    "status=neq:active",
    "name=in:%22x",
    "name=%ff",
    "%ff=x",
    "os_hidden=",
    "os_hidden=maybe",
    "protected=True",
    "visibility=secret",
    "member_status=maybe",
    "size_min=a",
    "min_disk_max=",
    "size=gt:5",
    "created_at=yesterday",
    "created_at=in:2026-11-22",
    "changes-since=2026-11-22",
    "name_min=1",
    "nonsense_max=1",
)

CLIMBING = (
    "/v2/images/../../../../etc/passwd",
    "/v2/images/..%2f..%2f..%2fetc%2fpasswd",
    "/v2/images/..%2f..%2f..%2fetc%2fpasswd/file",
    "/v2/images/%2e%2e/%2e%2e/etc/passwd",
    "/v2/images/../file",
    "/v2/images/%00/file",
    "/v2/images//etc/passwd",
    "/v2/images/.%252e%252fetc/file",
    "/v2/schemas/../../../etc/passwd",
)

TABLES = ("images", "image_properties", "image_tags", "image_locations", "image_members", "glimpse_jobs")


def footprint(service: Service) -> dict[str, Any]:
    """Everything that a refused request could have left."""
    counted = {table: rows(service, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
    return {**counted, "files": stored_files(service)}


def assert_refused(answer: Answer, status: int) -> None:
    assert answer.status == status, (answer.status, answer.text)
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert int(answer.headers["content-length"]) == len(answer.body) > 0
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_a_create_that_is_no_json_object_is_400(service: Service, api: Api, body: bytes | None) -> None:
    before = footprint(service)
    assert_refused(api.call("POST", "/v2/images", body, {"Content-Type": "application/json"}), 400)
    assert footprint(service) == before


@pytest.mark.parametrize(("fields", "status"), WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
def test_a_create_with_a_wrong_field_creates_nothing(
    service: Service, api: Api, fields: dict[str, object], status: int
) -> None:
    before = footprint(service)
    body = json.dumps(fields, ensure_ascii=False).encode()
    assert_refused(api.call("POST", "/v2/images", body), status)
    assert_refused(api.call("POST", "/v2/images", iter([body[:100], body[100:]])), status)
    assert footprint(service) == before


def test_an_id_that_is_taken_is_409(service: Service, api: Api) -> None:
    image = api.create(name="first")
    before = footprint(service)
    assert_refused(api.call("POST", "/v2/images", json.dumps({"id": image["id"], "name": "second"}).encode()), 409)
    assert footprint(service) == before
    assert api.show(image["id"]) == image
    assert api.delete(image["id"]).status == 204
    assert_refused(api.call("POST", "/v2/images", json.dumps({"id": image["id"]}).encode()), 409)


@pytest.mark.parametrize("body", [b"{", b'[{"op"', b"\xff", b"", b"null", b"[" * 100_000])
def test_a_patch_that_is_no_json_array_is_400(api: Api, body: bytes) -> None:
    image = api.create(name="before")
    path = f"/v2/images/{image['id']}"
    assert_refused(api.call("PATCH", path, body, {"Content-Type": JSON_PATCH}), 400)
    assert api.show(image["id"]) == image


@pytest.mark.parametrize(("operations", "status"), WRONG_PATCHES.values(), ids=WRONG_PATCHES.keys())
def test_a_wrong_patch_changes_nothing(service: Service, api: Api, operations: object, status: int) -> None:
    image = api.create(name="before", tags=["tag"], os_distro="debian")
    before = footprint(service)
    assert_refused(api.patch(image["id"], operations), status)
    assert api.show(image["id"]) == image
    assert footprint(service) == before


@pytest.mark.parametrize("media_type", ["application/json", "application/json-patch+json", "", "text/plain"])
def test_a_patch_of_another_media_type_is_415_and_says_which_are_taken(api: Api, media_type: str) -> None:
    image = api.create()
    answer = api.patch(image["id"], [{"op": "replace", "path": "/name", "value": "x"}], media_type)
    assert_refused(answer, 415)
    assert answer.headers["accept-patch"] == (
        "application/openstack-images-v2.0-json-patch, application/openstack-images-v2.1-json-patch"
    )
    assert api.show(image["id"]) == image


def test_a_wrong_patch_of_an_unknown_image_is_refused_for_its_form_first(api: Api) -> None:
    assert_refused(api.patch(NO_IMAGE, {"op": "add"}), 400)
    assert_refused(api.patch(NO_IMAGE, [{"op": "replace", "path": "/id", "value": "x"}]), 403)
    assert_refused(api.patch(NO_IMAGE, [], "text/plain"), 415)
    assert_refused(api.patch(NO_IMAGE, [{"op": "replace", "path": "/name", "value": "x"}]), 404)


@pytest.mark.parametrize("query", WRONG_QUERIES)
def test_a_wrong_list_query_is_400(api: Api, query: str) -> None:
    assert_refused(api.call("GET", f"/v2/images?{query}"), 400)


@pytest.mark.parametrize("kind", ["p{0}=x", "tag=x{0}", "size_min={0}", "id=in:{0}"])
def test_thousands_of_filters_are_no_failure_of_the_service(api: Api, kind: str) -> None:
    query = "&".join(kind.format(number) for number in range(3000))
    answer = api.call("GET", f"/v2/images?{query}")
    assert answer.status in {200, 400}, (answer.status, answer.text)
    assert answer.status == 400 or answer.json["images"] == []


@pytest.mark.parametrize("path", CLIMBING)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_paths_that_climb_lead_nowhere(service: Service, api: Api, method: str, path: str) -> None:
    before = footprint(service)
    answer = api.call(method, path)
    assert answer.status in {404, 405}, (answer.status, answer.text)
    assert b"root:" not in answer.body
    assert footprint(service) == before


def test_names_that_climb_are_only_names(service: Service, api: Api) -> None:
    climbing = "../../../../tmp/glimpse-escaped"
    before = stored_files(service)
    image = api.create(name=climbing, tags=[climbing, "/etc/passwd", "..."], os_distro=climbing, **{climbing: "/"})
    assert api.upload(image["id"], b"data").status == 204
    shown = api.show(image["id"])
    assert (shown["name"], shown["os_distro"], shown[climbing]) == (climbing, climbing, "/")
    assert set(shown["tags"]) == {climbing, "/etc/passwd", "..."}
    assert stored_files(service) == before | {image["id"]}
    assert api.delete(image["id"]).status == 204
    assert stored_files(service) == before


@pytest.mark.parametrize(
    ("tag", "status"),
    [("%F0%9F%92%BE", 400), ("%ff", 400), ("x" * 256, 400), ("a%2Fb", 404), ("%00", 400)],
    ids=["beyond the BMP", "not UTF-8", "256 characters", "a slash", "a NUL"],
)
def test_wrong_tags_in_the_path_change_nothing(service: Service, api: Api, tag: str, status: int) -> None:
    image = api.create()
    before = footprint(service)
    assert_refused(api.call("PUT", f"/v2/images/{image['id']}/tags/{tag}"), status)
    assert api.show(image["id"]) == image
    assert footprint(service) == before


def test_a_body_where_none_is_taken_is_400(api: Api) -> None:
    image_id = api.new()
    for method, path in (
        ("GET", f"/v2/images/{image_id}"),
        ("GET", "/v2/images"),
        ("GET", f"/v2/images/{image_id}/file"),
        ("GET", "/v2/schemas/image"),
        ("DELETE", f"/v2/images/{image_id}"),
        ("PUT", f"/v2/images/{image_id}/tags/x"),
        ("DELETE", f"/v2/images/{image_id}/tags/x"),
        ("POST", f"/v2/images/{image_id}/actions/deactivate"),
        ("POST", f"/v2/images/{NO_IMAGE}/actions/deactivate"),
    ):
        assert_refused(api.call(method, path, b"{}"), 400)
    assert api.show(image_id)["tags"] == []


def test_wrong_methods_are_405_with_what_is_allowed(api: Api) -> None:
    image_id = api.new()
    for method, path, allowed in (
        ("POST", f"/v2/images/{image_id}/file", {"GET", "HEAD", "PUT"}),
        ("PUT", f"/v2/images/{image_id}/tags/x", None),
        ("GET", f"/v2/images/{image_id}/tags/x", {"PUT", "DELETE"}),
        ("GET", f"/v2/images/{image_id}/actions/deactivate", {"POST"}),
        ("PUT", "/v2/schemas/image", {"GET"}),
    ):
        answer = api.call(method, path)
        if allowed is None:
            assert answer.status == 204
        else:
            assert_refused(answer, 405)
            assert {word.strip() for word in answer.headers["allow"].split(",")} == allowed
    assert api.call("DELETE", f"/v2/images/{image_id}/file").status == 405
