"""Sharing through the API (images-api 3.9 and 3.11)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from glimpse.settings.model import Limits, PolicySettings
from tests.support.wire import ADMIN, MEMBER, OTHER, READER, Answer, Caller, Wire, settings_in, wired

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
STRANGER = Caller(project="p3", user="u4")
OTHER_READER = Caller(project="p2", roles="reader", user="u5")
NO_PROJECT = Caller(project=None, user="u6")
DATA = b"raw data of an image"


def members(wire: Wire, image: dict[str, Any]) -> str:
    return f"/v2/images/{image['id']}/members"


def share(wire: Wire, image: dict[str, Any], project: str = "p2", status: str | None = None) -> dict[str, Any]:
    """Share as the owner, and answer as the project where there is a ``status``."""
    answer = wire.as_(MEMBER)("POST", members(wire, image), json_body={"member": project})
    assert answer.status == 200, answer
    if status is not None:
        answer = set_status(wire.as_(Caller(project=project)), image, project, status)
        assert answer.status == 200, answer
    member: dict[str, Any] = answer.json
    return member


def set_status(wire: Wire, image: dict[str, Any], project: str, status: str) -> Answer:
    return wire("PUT", f"{members(wire, image)}/{project}", json_body={"status": status})


def listed(wire: Wire, query: str = "") -> list[str]:
    answer = wire("GET", f"/v2/images{query}")
    assert answer.status == 200, answer
    return [image["name"] for image in answer.json["images"]]


def test_the_life_of_a_membership(wire: Wire) -> None:
    image = wire.create(name="base")
    answer = wire("POST", members(wire, image), b'{"member": "p2", "status": "accepted", "more": 1}')
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    member = answer.json
    assert list(member) == ["member_id", "image_id", "status", "created_at", "updated_at", "schema"]
    assert member["member_id"] == "p2"
    assert member["image_id"] == image["id"]
    assert (member["status"], member["schema"]) == ("pending", "/v2/schemas/member")
    assert TIME.fullmatch(member["created_at"])
    assert TIME.fullmatch(member["updated_at"])

    assert wire("GET", members(wire, image)).json == {"members": [member], "schema": "/v2/schemas/members"}
    assert wire("GET", f"{members(wire, image)}/p2").json == member
    other = wire.as_(OTHER)
    accepted = set_status(other, image, "p2", "accepted")
    assert (accepted.status, accepted.json["status"]) == (200, "accepted")
    assert list(accepted.json) == list(member)
    for status in ("rejected", "accepted", "pending", "pending"):
        assert set_status(other, image, "p2", status).json["status"] == status

    answer = wire("DELETE", f"{members(wire, image)}/p2")
    assert (answer.status, answer.body) == (204, b"")
    assert wire("GET", members(wire, image)).json["members"] == []
    assert wire("DELETE", f"{members(wire, image)}/p2").status == 404


def test_a_member_added_again_is_pending_with_its_first_time(wire: Wire) -> None:
    image = wire.create()
    first = share(wire, image, status="accepted")
    assert wire("DELETE", f"{members(wire, image)}/p2").status == 204
    again = share(wire, image)
    assert (again["status"], again["created_at"]) == ("pending", first["created_at"])


def test_documents_fit_their_schemas(wire: Wire) -> None:
    image = wire.create()
    member = share(wire, image)
    for name, document in (("member", member), ("members", wire("GET", members(wire, image)).json)):
        schema = wire("GET", f"/v2/schemas/{name}").json
        assert set(document) == set(schema["properties"])
        assert jsonschema_rs.validator_for(schema).is_valid(document)


#: caller → list, show own or p2, add, set status of p2, remove (images-api 3.9, "Who")
WHO = [
    (MEMBER, (["p2", "p3"], 200, 200, 403, 204)),
    (READER, (["p2", "p3"], 200, 403, 403, 403)),
    (OTHER, (["p2"], 200, 403, 200, 403)),
    (OTHER_READER, (["p2"], 200, 403, 403, 403)),
    (ADMIN, (["p2", "p3"], 200, 200, 200, 204)),
    (Caller(project="p9"), (404, 404, 404, 404, 404)),
    (NO_PROJECT, (404, 404, 404, 404, 404)),
]


@pytest.mark.parametrize(("caller", "expected"), WHO)
def test_who_may_what(wire: Wire, caller: Caller, expected: tuple[Any, ...]) -> None:
    image = wire.create()
    share(wire, image, "p2")
    share(wire, image, "p3")
    path = members(wire, image)
    asked = wire.as_(caller)
    answer = asked("GET", path)
    seen = sorted(member["member_id"] for member in answer.json["members"]) if answer.status == 200 else answer.status
    found = (
        seen,
        asked("GET", f"{path}/p2").status,
        asked("POST", path, json_body={"member": "p4"}).status,
        set_status(asked, image, "p2", "accepted").status,
        asked("DELETE", f"{path}/p2").status,
    )
    assert found == expected


def test_a_member_neither_sees_nor_answers_for_another(wire: Wire) -> None:
    image = wire.create()
    share(wire, image, "p2")
    share(wire, image, "p3")
    other = wire.as_(OTHER)
    assert other("GET", f"{members(wire, image)}/p3").status == 404
    assert set_status(other, image, "p3", "accepted").status == 404
    assert wire("GET", f"{members(wire, image)}/p3").json["status"] == "pending"


def test_the_owner_may_be_a_member_and_still_not_accept(wire: Wire) -> None:
    image = wire.create()
    share(wire, image, "p1")
    assert set_status(wire, image, "p1", "accepted").status == 403


@pytest.mark.parametrize("visibility", ["private", "community", "public"])
def test_only_shared_images_have_members(wire: Wire, visibility: str) -> None:
    admin = wire.as_(ADMIN)
    image = admin.create(visibility=visibility, owner="p1")
    for caller in (wire, admin):
        assert caller("GET", members(wire, image)).status == 403
        assert caller("POST", members(wire, image), json_body={"member": "p2"}).status == 403
        assert caller("GET", f"{members(wire, image)}/p2").status == 404
        assert set_status(caller, image, "p2", "accepted").status == 403
        assert caller("DELETE", f"{members(wire, image)}/p2").status == 403
    foreign = 404 if visibility == "private" else 403
    assert wire.as_(STRANGER)("GET", members(wire, image)).status == foreign
    assert wire.as_(STRANGER)("GET", f"{members(wire, image)}/p3").status == 404


BAD_MEMBERS = [
    b"", b"null", b"[]", b'["p2"]', b'"p2"', b"7", b"{}", b'{"member": null}', b'{"member": ""}', b'{"member": 7}',
    b'{"member": ["p2"]}', b'{"member": {}}', b'{"member": true}', b'{"member_id": "p2"}', b"{",
    b'{"member": "' + b"m" * 256 + b'"}', b'{"member": "\xf0\x9f\x98\x80"}', b'{"member": "a\\u0000b"}',
    b'{"member": "\xff"}',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_MEMBERS)
def test_bad_members(wire: Wire, body: bytes) -> None:
    """images-api 3.9 and 0.5: a string of 1 to 255 characters, none of them outside the BMP."""
    image = wire.create()
    assert wire("POST", members(wire, image), body).status == 400
    assert wire("GET", members(wire, image)).json["members"] == []
    # decoding comes before the image is looked up (images-api 0.1)
    assert wire("POST", "/v2/images/unknown/members", body).status == 400


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{}", b'{"status": null}', b'{"status": "Accepted"}', b'{"status": "all"}',
     b'{"status": ["accepted"]}', b'{"status": 1}', b'{"status": ""}', b'{"member": "p2"}'],
)  # fmt: skip
def test_bad_statuses(wire: Wire, body: bytes) -> None:
    image = wire.create()
    share(wire, image)
    assert wire.as_(OTHER)("PUT", f"{members(wire, image)}/p2", body).status == 400
    assert wire("PUT", "/v2/images/unknown/members/p2", body).status == 400
    assert wire("GET", f"{members(wire, image)}/p2").json["status"] == "pending"


@pytest.mark.parametrize("project", ["m" * 255, "project with blanks", "prøject", "p%2F2", "p1"])
def test_any_name_of_a_project_will_do(wire: Wire, project: str) -> None:
    image = wire.create()
    assert share(wire, image, project)["member_id"] == project
    assert [member["member_id"] for member in wire("GET", members(wire, image)).json["members"]] == [project]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "nonsense", ""])
def test_the_media_type_is_ignored(wire: Wire, content_type: str) -> None:
    """images-api 0.2."""
    image = wire.create()
    headers = {"Content-Type": content_type} if content_type else {}
    assert wire("POST", members(wire, image), b'{"member": "p2"}', headers).status == 200
    put = wire.as_(OTHER)("PUT", f"{members(wire, image)}/p2", b'{"status": "accepted"}', headers)
    assert put.status == 200


def test_what_does_not_exist(wire: Wire) -> None:
    image = wire.create()
    for member in ("p2", "\U0001f600", "m" * 300):
        assert wire("GET", f"{members(wire, image)}/{member}").status == 404
        assert wire("DELETE", f"{members(wire, image)}/{member}").status == 404
        assert set_status(wire.as_(ADMIN), image, member, "accepted").status == 404
    unknown = "/v2/images/unknown/members"
    assert wire("GET", unknown).status == 404
    assert wire("POST", unknown, json_body={"member": "p2"}).status == 404
    assert wire("DELETE", f"/v2/images/{image['id']}").status == 204
    assert wire.as_(ADMIN)("GET", members(wire, image)).status == 404
    assert wire.as_(ADMIN)("POST", members(wire, image), json_body={"member": "p2"}).status == 404


def test_methods(wire: Wire) -> None:
    image = wire.create()
    answer = wire("PUT", members(wire, image))
    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
    answer = wire("PATCH", f"{members(wire, image)}/p2")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, PUT")


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Wire]:
    with wired(settings_in(tmp_path, limits=Limits(image_member_quota=2))) as connection:
        yield connection


def test_the_quota_counts_before_the_duplicate(narrow: Wire) -> None:
    image = narrow.create()
    share(narrow, image, "p2")
    assert narrow("POST", members(narrow, image), json_body={"member": "p2"}).status == 409
    share(narrow, image, "p3")
    for project in ("p2", "p4"):
        answer = narrow(
            "POST", members(narrow, image), headers={"Accept": "application/json"}, json_body={"member": project}
        )
        assert answer.status == 413
        assert "members" in answer.json["message"]
        assert "3" in answer.json["message"]
        assert "2" in answer.json["message"]
    assert narrow("DELETE", f"{members(narrow, image)}/p3").status == 204
    share(narrow, image, "p4")


def test_no_quota(tmp_path: Path) -> None:
    with wired(settings_in(tmp_path, limits=Limits(image_member_quota=-1))) as wire:
        image = wire.create()
        for number in range(130):
            share(wire, image, f"project-{number}")
        assert len(wire("GET", members(wire, image)).json["members"]) == 130


class TestWhatMembersSee:
    """images-api 3.11."""

    @pytest.mark.parametrize("status", ["pending", "accepted", "rejected"])
    def test_lists(self, wire: Wire, status: str) -> None:
        image = wire.create(name="offered")
        share(wire, image, status=status)
        other = wire.as_(OTHER)
        for asked in ("pending", "accepted", "rejected"):
            expected = ["offered"] if asked == status else []
            assert listed(other, f"?member_status={asked}") == expected
            assert listed(other, f"?visibility=shared&member_status={asked}") == expected
            assert listed(other, f"?visibility=all&member_status={asked}") == expected
        expected = ["offered"] if status == "accepted" else []
        assert listed(other) == listed(other, "?visibility=shared") == listed(other, "?visibility=all") == expected
        assert listed(other, "?member_status=all") == ["offered"]
        assert listed(other, "?visibility=private&member_status=all") == []
        assert listed(wire.as_(STRANGER), "?member_status=all") == []
        # no effect for admins
        assert listed(wire.as_(ADMIN), f"?member_status={'rejected' if status == 'pending' else 'pending'}") == [
            "offered"
        ]

    @pytest.mark.parametrize("status", ["pending", "accepted", "rejected"])
    def test_by_id_whatever_they_answered(self, wire: Wire, status: str) -> None:
        """images-api 10, quirk 10: who rejected may still show and download."""
        image = wire.create(name="offered")
        assert wire.upload(image["id"], DATA).status == 204
        share(wire, image, status=status)
        other = wire.as_(OTHER)
        assert other("GET", f"/v2/images/{image['id']}").json["name"] == "offered"
        assert other("GET", f"/v2/images/{image['id']}/file").body == DATA
        reader = wire.as_(OTHER_READER)
        assert reader("GET", f"/v2/images/{image['id']}").status == 200
        assert reader("GET", f"/v2/images/{image['id']}/file").status == 403
        for method, path in (("DELETE", ""), ("PUT", "/tags/x"), ("POST", "/actions/deactivate")):
            assert other(method, f"/v2/images/{image['id']}{path}").status == 403
        assert other.patch(image["id"], {"op": "replace", "path": "/name", "value": "x"}).status == 403
        assert other.upload(image["id"], DATA).status == 403

    def test_hidden_images(self, wire: Wire) -> None:
        image = wire.create(name="old", os_hidden=True)
        share(wire, image, status="accepted")
        other = wire.as_(OTHER)
        assert listed(other) == []
        assert listed(other, "?os_hidden=true") == ["old"]
        assert listed(other, "?os_hidden=true&member_status=pending") == []
        assert other("GET", f"/v2/images/{image['id']}").status == 200

    def test_removal_counts_at_once(self, wire: Wire) -> None:
        image = wire.create(name="offered")
        assert wire.upload(image["id"], DATA).status == 204
        share(wire, image, status="accepted")
        other = wire.as_(OTHER)
        assert other("GET", f"/v2/images/{image['id']}/file").status == 200
        assert wire("DELETE", f"{members(wire, image)}/p2").status == 204
        assert listed(other, "?member_status=all") == []
        for path in ("", "/file", "/members", "/members/p2"):
            assert other("GET", f"/v2/images/{image['id']}{path}").status == 404
        assert other("GET", f"/v2/images?marker={image['id']}").status == 403

    @pytest.mark.parametrize("visibility", ["private", "community"])
    def test_memberships_sleep_while_an_image_is_not_shared(self, wire: Wire, visibility: str) -> None:
        image = wire.create(name="offered")
        share(wire, image, status="accepted")
        other = wire.as_(OTHER)

        def make(visibility: str) -> None:
            change = {"op": "replace", "path": "/visibility", "value": visibility}
            assert wire.patch(image["id"], change).status == 200

        make(visibility)
        assert listed(other, "?member_status=all") == []
        assert other("GET", f"/v2/images/{image['id']}").status == (404 if visibility == "private" else 200)
        assert other("GET", members(wire, image)).status == (404 if visibility == "private" else 403)
        make("shared")
        assert listed(other) == ["offered"]
        assert wire("GET", members(wire, image)).json["members"][0]["status"] == "accepted"

    def test_a_deleted_image_is_gone_for_its_members(self, wire: Wire) -> None:
        image = wire.create(name="offered")
        share(wire, image, status="accepted")
        assert wire("DELETE", f"/v2/images/{image['id']}").status == 204
        other = wire.as_(OTHER)
        assert listed(other) == []
        assert other("GET", f"/v2/images/{image['id']}").status == 404
        assert other("GET", members(wire, image)).status == 404

    def test_markers_follow_memberships(self, wire: Wire) -> None:
        """images-api 3.4.1: a foreign marker is 403, an unknown one 400."""
        image = wire.create(name="offered")
        other = wire.as_(OTHER)
        assert other("GET", f"/v2/images?marker={image['id']}").status == 403
        share(wire, image, status="rejected")
        assert other("GET", f"/v2/images?marker={image['id']}").status == 200
        assert wire("DELETE", f"/v2/images/{image['id']}").status == 204
        assert other("GET", f"/v2/images?marker={image['id']}").status == 400

    def test_community_images_are_listed_when_asked_for(self, wire: Wire) -> None:
        """images-api 10, quirk 10, also for admins."""
        wire.create(name="community", visibility="community")
        for caller in (OTHER, ADMIN):
            asked = wire.as_(caller)
            assert listed(asked) == []
            assert listed(asked, "?visibility=community") == listed(asked, "?visibility=all") == ["community"]
            assert listed(asked, "?owner=p1") == []
        assert listed(wire) == ["community"]

    def test_without_a_project(self, wire: Wire) -> None:
        image = wire.create(name="offered")
        wire.as_(ADMIN).create(name="public", visibility="public")
        share(wire, image, "None", status=None)
        asked = wire.as_(NO_PROJECT)
        assert listed(asked, "?member_status=all") == ["public"]
        assert asked("GET", f"/v2/images/{image['id']}").status == 404


class TestImagesWithoutOwner:
    """images-api 3.11: a private one is the admins', a shared one everybody's to read, and nobody's to share."""

    def test_shared(self, wire: Wire) -> None:
        image = wire.as_(ADMIN).create(name="nobody's", owner=None)
        assert wire("GET", f"/v2/images/{image['id']}").status == 200
        assert listed(wire) == []
        assert wire("POST", members(wire, image), json_body={"member": "p2"}).status == 403
        assert wire.as_(ADMIN)("POST", members(wire, image), json_body={"member": "p2"}).status == 200
        assert [m["member_id"] for m in wire.as_(OTHER)("GET", members(wire, image)).json["members"]] == ["p2"]
        assert wire.as_(STRANGER)("GET", members(wire, image)).json["members"] == []
        assert set_status(wire.as_(STRANGER), image, "p2", "accepted").status == 404

    def test_private(self, wire: Wire) -> None:
        image = wire.as_(ADMIN).create(name="nobody's", owner=None, visibility="private")
        assert wire("GET", f"/v2/images/{image['id']}").status == 404
        assert wire.as_(NO_PROJECT)("GET", f"/v2/images/{image['id']}").status == 404


class TestLegacyMode:
    """images-api 8.3: with ``enforce_new_defaults`` off, ownership decides and roles do not."""

    @pytest.fixture
    def legacy(self, tmp_path: Path) -> Iterator[Wire]:
        settings = settings_in(tmp_path, policy=PolicySettings(enforce_new_defaults=False))
        with wired(settings) as connection:
            yield connection

    def test_who_may_what(self, legacy: Wire) -> None:
        image = legacy.create()
        path = members(legacy, image)
        owner_reader, other_reader = legacy.as_(READER), legacy.as_(OTHER_READER)
        assert owner_reader("POST", path, json_body={"member": "p2"}).status == 200
        assert other_reader("POST", path, json_body={"member": "p4"}).status == 403
        assert set_status(owner_reader, image, "p2", "accepted").status == 403
        assert set_status(other_reader, image, "p2", "accepted").status == 200
        assert other_reader("DELETE", f"{path}/p2").status == 403
        assert owner_reader("DELETE", f"{path}/p2").status == 204
        assert legacy.as_(ADMIN)("POST", path, json_body={"member": "p2"}).status == 200
        assert set_status(legacy.as_(ADMIN), image, "p2", "rejected").status == 200
        assert legacy.as_(ADMIN)("DELETE", f"{path}/p2").status == 204

    def test_an_image_without_owner(self, legacy: Wire) -> None:
        image = legacy.as_(ADMIN).create(owner=None)
        path = members(legacy, image)
        assert legacy("POST", path, json_body={"member": "p2"}).status == 403
        assert legacy.as_(NO_PROJECT)("POST", path, json_body={"member": "p2"}).status == 403
        assert legacy.as_(ADMIN)("POST", path, json_body={"member": "p2"}).status == 200
        assert legacy.as_(OTHER)("DELETE", f"{path}/p2").status == 403


def test_identities_of_another_scope_see_no_image(wire: Wire) -> None:
    """images-api 8.1."""
    image = wire.create()
    share(wire, image)
    for scope in ({"X-Domain-Id": "d1"}, {"OpenStack-System-Scope": "all"}):
        admin = wire.as_(ADMIN)
        assert admin("GET", members(wire, image), headers=scope).status == 404
        assert admin("DELETE", f"{members(wire, image)}/p2", headers=scope).status == 404
    assert wire("GET", f"{members(wire, image)}/p2").status == 200
