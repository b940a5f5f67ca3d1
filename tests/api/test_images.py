"""Image records through the API (images-api 3.2 to 3.8)."""

from __future__ import annotations

import re

import pytest

from tests.support.wire import ADMIN, OTHER, PATCH_20, READER, Wire

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_create_shows_the_image_and_where_it_is(wire: Wire) -> None:
    answer = wire("POST", "/v2/images", json_body={"name": "Grüße", "os_distro": "debian", "tags": ["a", "a", "b"]})
    assert answer.status == 201
    image = answer.json
    assert UUID.fullmatch(image["id"])
    assert answer.headers["location"] == f"http://img.example.net/v2/images/{image['id']}"
    assert next(iter(image)) == "os_distro"
    assert image["name"] == "Grüße"
    assert "Grüße".encode() in answer.body
    assert (image["status"], image["visibility"], image["owner"]) == ("queued", "shared", "p1")
    assert image["tags"] == ["a", "b"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", image["created_at"])
    assert wire("GET", f"/v2/images/{image['id']}").json == image


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"self": "x"}, 403),
        ({"stores": "x"}, 403),
        ({"min_disk": "1"}, 400),
        ({"min_disk": -1}, 400),
        ({"min_disk": 2**31}, 400),
        ({"visibility": "all"}, 400),
        ({"tags": None}, 400),
        ({"custom": 5}, 400),
        ({"x" * 256: "v"}, 400),
        ({"os_glance_x": "v"}, 403),
        ({"deleted": "v"}, 403),
        ({"owner": "p2"}, 403),
        ({"visibility": "public"}, 403),
        ({"status": "active"}, 403),
        ({"size": 5}, 403),
        ({"locations": []}, 403),
        ({"name": "\U0001f600"}, 400),
        ({"tags": ["\U0001f600"]}, 400),
        ({"tags": [str(number) for number in range(129)]}, 413),
        ({f"p{number}": "v" for number in range(129)}, 413),
        ({"p": "x" * 70_000}, 400),
        ({"id": "no-uuid"}, 400),
    ],
)
def test_refused_creations_leave_nothing(wire: Wire, document: dict[str, object], status: int) -> None:
    assert wire("POST", "/v2/images", json_body=document).status == status
    assert wire.as_(ADMIN)("GET", "/v2/images").json["images"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"min_disk": NaN}', b"[" * 100_000])
def test_bodies_that_are_no_object(wire: Wire, body: bytes) -> None:
    assert wire("POST", "/v2/images", body).status == 400


def test_a_body_over_the_limit_is_refused(wire: Wire) -> None:
    body = b'{"p": "' + b"x" * 5_000_000 + b'"}'
    assert wire("POST", "/v2/images", body).status == 413
    assert wire("POST", "/v2/images", iter([body[:1_000_000]] * 6)).status == 413


def test_chunked_json_is_read(wire: Wire) -> None:
    assert wire("POST", "/v2/images", iter([b'{"name"', b': "x"}'])).json["name"] == "x"


def test_an_id_is_taken_for_ever(wire: Wire) -> None:
    image = wire.create()
    assert wire("POST", "/v2/images", json_body={"id": image["id"]}).status == 409
    assert wire("DELETE", f"/v2/images/{image['id']}").status == 204
    assert wire("POST", "/v2/images", json_body={"id": image["id"]}).status == 409


def test_readers_see_and_cannot_create(wire: Wire) -> None:
    image = wire.create()
    reader = wire.as_(READER)
    assert reader("GET", f"/v2/images/{image['id']}").status == 200
    assert reader("POST", "/v2/images", json_body={}).status == 403
    assert reader.patch(image["id"], {"op": "replace", "path": "/name", "value": "x"}).status == 403
    assert reader("DELETE", f"/v2/images/{image['id']}").status == 403


def test_other_projects_see_nothing(wire: Wire) -> None:
    image = wire.create(visibility="private")
    other = wire.as_(OTHER)
    for method, target in [
        ("GET", ""), ("DELETE", ""), ("GET", "/file"), ("PUT", "/tags/x"), ("POST", "/actions/deactivate"),
    ]:  # fmt: skip
        assert other(method, f"/v2/images/{image['id']}{target}").status == 404
    assert other.patch(image["id"], {"op": "replace", "path": "/name", "value": "x"}).status == 404
    assert other.upload(image["id"], b"x").status == 404
    assert other("GET", "/v2/images").json["images"] == []


def test_patch_changes_what_it_names(wire: Wire) -> None:
    image = wire.create(name="a", os_distro="debian", tags=["x"])
    answer = wire.patch(
        image["id"],
        {"op": "replace", "path": "/name", "value": "b"},
        {"op": "add", "path": "/os_version", "value": "13"},
        {"op": "remove", "path": "/os_distro"},
        {"op": "add", "path": "/a~1b~0", "value": "c"},
    )
    assert answer.status == 200
    shown = wire("GET", f"/v2/images/{image['id']}").json
    assert shown == answer.json
    assert (shown["name"], shown["os_version"], shown["a/b~"], shown["tags"]) == ("b", "13", "c", ["x"])
    assert "os_distro" not in shown


def test_patch_of_the_2_0_media_type(wire: Wire) -> None:
    image = wire.create()
    assert wire.patch(image["id"], {"replace": "/name", "value": "b"}, media_type=PATCH_20).json["name"] == "b"
    assert wire.patch(image["id"], {"add": "/name", "value": "c"}, media_type=PATCH_20).status == 409


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": "replace", "path": "/id", "value": "x"}, 403),
        ({"op": "replace", "path": "/stores", "value": "x"}, 403),
        ({"op": "replace", "path": "/os_glance_x", "value": "x"}, 403),
        ({"op": "replace", "path": "/missing", "value": "x"}, 409),
        ({"op": "remove", "path": "/missing"}, 409),
        ({"op": "remove", "path": "/name"}, 403),
        ({"op": "add", "path": "/owner", "value": "p2"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
        ({"op": "replace", "path": "/min_ram", "value": -1}, 400),
        ({"op": "move", "path": "/name", "value": "x"}, 400),
        ({"op": "add", "path": 5, "value": "x"}, 400),
        ({"op": "add", "path": "/tags/-", "value": "x"}, 400),
        ({"op": "add", "path": "/" + "x" * 256, "value": "x"}, 400),
        ({"op": "add", "path": "/locations/-", "value": {"url": "http://x/", "metadata": {}}}, 403),
        ("text", 400),
    ],
)
def test_refused_patches_change_nothing(wire: Wire, operation: object, status: int) -> None:
    image = wire.create()
    first = {"op": "replace", "path": "/name", "value": "changed"}
    assert wire.patch(image["id"], first, operation).status == status
    assert wire("GET", f"/v2/images/{image['id']}").json == image


def test_patch_media_types(wire: Wire) -> None:
    image = wire.create()
    answer = wire.patch(image["id"], media_type="application/json-patch+json")
    assert answer.status == 415
    assert answer.headers["accept-patch"].count("json-patch") == 2
    assert wire.as_(READER).patch(image["id"]).status == 200
    assert wire.patch("nothing", {"op": "frob"}).status == 400


def test_tags(wire: Wire) -> None:
    image = wire.create(tags=["a"])
    path = f"/v2/images/{image['id']}/tags"
    assert wire("PUT", f"{path}/é").status == 204
    assert wire("PUT", f"{path}/é").status == 204
    assert sorted(wire("GET", f"/v2/images/{image['id']}").json["tags"]) == ["a", "é"]
    assert wire("PUT", f"{path}/b", b"{}").status == 400
    assert wire("PUT", f"{path}/{'x' * 256}").status == 400
    assert wire("DELETE", f"{path}/é").status == 204
    assert wire("DELETE", f"{path}/é").status == 404
    assert wire("GET", path).status == 404


def test_a_tag_written_as_latin_1_can_be_removed(wire: Wire) -> None:
    image = wire.create(tags=["é".encode().decode("latin-1")])
    assert wire("DELETE", f"/v2/images/{image['id']}/tags/é").status == 204


def test_the_tag_quota(wire: Wire) -> None:
    image = wire.create(tags=[f"t{number}" for number in range(128)])
    path = f"/v2/images/{image['id']}/tags"
    assert wire("PUT", f"{path}/one-more").status == 413
    assert wire("PUT", f"{path}/t5").status == 204


def test_delete(wire: Wire) -> None:
    image = wire.create(protected=True)
    path = f"/v2/images/{image['id']}"
    assert wire("DELETE", path).status == 403
    wire.patch(image["id"], {"op": "replace", "path": "/protected", "value": False})
    assert wire("DELETE", path, b"{}").status == 400
    assert wire("DELETE", path).status == 204
    assert wire("DELETE", path).status == 404
    assert wire.as_(ADMIN)("GET", path).status == 404


def test_deactivate_and_reactivate(wire: Wire) -> None:
    image = wire.create()
    path = f"/v2/images/{image['id']}"
    assert wire("POST", f"{path}/actions/deactivate").status == 403
    wire.upload(image["id"], b"data")
    for _ in range(2):
        assert wire("POST", f"{path}/actions/deactivate").status == 204
    assert wire("GET", path).json["status"] == "deactivated"
    assert wire("GET", f"{path}/file").status == 403
    assert wire.as_(ADMIN)("GET", f"{path}/file").body == b"data"
    assert wire("POST", f"{path}/actions/reactivate", iter([])).status == 400
    for _ in range(2):
        assert wire("POST", f"{path}/actions/reactivate").status == 204
    assert wire("GET", f"{path}/file").body == b"data"
    assert wire("POST", f"{path}/actions/explode").status == 404
    assert wire("GET", f"{path}/actions/deactivate").status == 405


def test_a_deactivated_image_leaves_no_data_when_its_owner_deletes_it(wire: Wire) -> None:
    image = wire.create()
    wire.upload(image["id"], b"data")
    wire("POST", f"/v2/images/{image['id']}/actions/deactivate")
    assert wire("DELETE", f"/v2/images/{image['id']}").status == 204
    assert wire.stored() == []


@pytest.mark.parametrize("owner", ["p2", None, ""])
def test_creating_for_another_owner_is_refused_with_the_reason(wire: Wire, owner: str | None) -> None:
    answer = wire("POST", "/v2/images", json_body={"owner": owner}, headers={"Accept": "application/json"})
    assert answer.status == 403
    assert "for another project: set the owner to project p1" in answer.json["message"]
    assert wire.as_(ADMIN)("POST", "/v2/images", json_body={"owner": "p2"}).status == 201


def test_a_reader_is_not_told_about_owners(wire: Wire) -> None:
    answer = wire.as_(READER)("POST", "/v2/images", json_body={"owner": "p2"}, headers={"Accept": "application/json"})
    assert (answer.status, "another project" in answer.json["message"]) == (403, False)


@pytest.mark.parametrize("tag", [".", ".."])
def test_a_tag_of_dots_is_refused(wire: Wire, tag: str) -> None:
    image_id = wire.create()["id"]
    assert wire("POST", "/v2/images", json_body={"tags": ["a", tag]}).status == 400
    assert wire.patch(image_id, {"op": "replace", "path": "/tags", "value": [tag]}).status == 400
    refused = wire("PUT", f"/v2/images/{image_id}/tags/{tag}", headers={"Accept": "application/json"})
    assert (refused.status, "because URLs cannot contain it" in refused.json["message"]) == (400, True)
    assert wire("PUT", f"/v2/images/{image_id}/tags/a{tag}").status == 204
    assert wire("GET", f"/v2/images/{image_id}").json["tags"] == [f"a{tag}"]


def test_a_wrong_status_of_an_action_is_named_in_plain_words(wire: Wire) -> None:
    image_id = wire.create()["id"]
    for action, allowed in (("deactivate", "an active"), ("reactivate", "a deactivated")):
        answer = wire("POST", f"/v2/images/{image_id}/actions/{action}", headers={"Accept": "application/json"})
        assert answer.status == 403
        assert answer.json["message"] == f"Image {image_id} is queued; only {allowed} image can be {action}d."
