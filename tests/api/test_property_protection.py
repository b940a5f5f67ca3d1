"""Property protections through the API (images-api 8.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.db.records import Viewer
from glimpse.policy.property_protection import PropertyProtection
from glimpse.settings.model import Limits, PolicySettings
from tests.support.wire import ADMIN, MEMBER, PATCH_20, Answer, Caller, Wire, settings_in, wired

BILLING = Caller(roles="member,reader,billing", user="u7")

FILE = """
[^billing_]
create = admin,billing
read = admin,billing
update = billing
delete = billing

[^note$]
create = @
read = !
update = @
delete = @

[^fixed$]
create = @
read = @
update = !
delete = !

[^closed$]
create = !
read = @
update = @
delete = @

[.*]
create = @
read = @
update = @
delete = @
"""


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    (tmp_path / "protections.conf").write_text(FILE)
    policy = PolicySettings(config_dirs=(tmp_path,), property_protection_file="protections.conf")
    with wired(settings_in(tmp_path, policy=policy, limits=Limits(image_property_quota=8))) as connection:
        yield connection


def stored(wire: Wire, image: dict[str, Any]) -> dict[str, str | None]:
    """What the database has, whoever may read it."""
    return wire.service.deps.database.get_image(image["id"], Viewer(None, is_admin=True)).properties


def shown(wire: Wire, image: dict[str, Any]) -> dict[str, Any]:
    answer = wire("GET", f"/v2/images/{image['id']}")
    assert answer.status == 200, answer
    document: dict[str, Any] = answer.json
    return document


def names(wire: Wire, query: str = "") -> list[str]:
    answer = wire("GET", f"/v2/images{query}")
    assert answer.status == 200, answer
    assert "next" not in answer.json or "limit" in query
    return [image["name"] for image in answer.json["images"]]


def create(wire: Wire, **attributes: object) -> Answer:
    return wire("POST", "/v2/images", json_body=attributes)


@pytest.fixture
def billed(wire: Wire) -> dict[str, Any]:
    """An image of p1 with a property that its members may not read."""
    return wire.as_(BILLING).create(name="billed", billing_code="secret", os_distro="debian")


class TestReading:
    def test_absent_from_every_response(self, wire: Wire, billed: dict[str, Any]) -> None:
        assert billed["billing_code"] == "secret"
        assert "billing_code" not in shown(wire, billed)
        [listed] = wire("GET", "/v2/images").json["images"]
        assert "billing_code" not in listed
        assert listed["os_distro"] == "debian"
        patched = wire.patch(billed["id"], {"op": "add", "path": "/x", "value": "y"})
        assert (patched.status, patched.json["x"]) == (200, "y")
        assert "billing_code" not in patched.json
        nothing = wire.patch(billed["id"])
        assert nothing.status == 200
        assert "billing_code" not in nothing.json
        assert b"secret" not in nothing.body + patched.body

    def test_who_may_read_does(self, wire: Wire, billed: dict[str, Any]) -> None:
        for caller in (BILLING, ADMIN):
            assert shown(wire.as_(caller), billed)["billing_code"] == "secret"
            assert wire.as_(caller)("GET", "/v2/images").json["images"][0]["billing_code"] == "secret"

    def test_service_roles_count(self, wire: Wire, billed: dict[str, Any]) -> None:
        answer = wire("GET", f"/v2/images/{billed['id']}", headers={"X-Service-Roles": "billing"})
        assert answer.json["billing_code"] == "secret"

    def test_filters_do_not_disclose(self, wire: Wire, billed: dict[str, Any]) -> None:
        """images-api 3.4.3."""
        for query in (
            "billing_code=secret",
            "billing_code=wrong",
            "billing_code=secret&limit=1",
            "Billing_Code=secret",
        ):
            assert names(wire, f"?{query}") == []
            assert "next" not in wire("GET", f"/v2/images?{query}").json
        assert names(wire, "?os_distro=debian&billing_code=secret") == []
        assert names(wire, "?os_distro=debian") == ["billed"]
        assert names(wire.as_(BILLING), "?billing_code=secret") == ["billed"]
        assert names(wire.as_(BILLING), "?billing_code=wrong") == []


class TestWriting:
    """What the caller cannot see is never touched."""

    def test_writes_of_others_leave_it_alone(self, wire: Wire, billed: dict[str, Any]) -> None:
        image_id = billed["id"]
        changes = (
            {"op": "replace", "path": "/name", "value": "other"},
            {"op": "replace", "path": "/tags", "value": ["a"]},
            {"op": "add", "path": "/mine", "value": "1"},
            {"op": "remove", "path": "/os_distro"},
        )
        assert wire.patch(image_id, *changes).status == 200
        assert wire("PUT", f"/v2/images/{image_id}/tags/b").status == 204
        assert wire("DELETE", f"/v2/images/{image_id}/tags/a").status == 204
        assert wire.upload(image_id, b"data").status == 204
        for action in ("deactivate", "reactivate"):
            assert wire("POST", f"/v2/images/{image_id}/actions/{action}").status == 204
        assert stored(wire, billed) == {"billing_code": "secret", "mine": "1"}
        assert shown(wire.as_(BILLING), billed)["billing_code"] == "secret"

    @pytest.mark.parametrize(
        "operation",
        [{"op": "replace", "path": "/billing_code", "value": "x"}, {"op": "remove", "path": "/billing_code"}],
    )
    def test_unreadable_is_like_missing(self, wire: Wire, billed: dict[str, Any], operation: dict[str, str]) -> None:
        assert wire.patch(billed["id"], operation).status == 409
        assert stored(wire, billed)["billing_code"] == "secret"

    def test_adding_over_it_is_refused(self, wire: Wire, billed: dict[str, Any]) -> None:
        """Not told from adding one that is not there, which is refused as well."""
        other = wire.create()
        refusals = {
            wire.patch(image["id"], {"op": "add", "path": "/billing_code", "value": "x"}).status
            for image in (billed, other)
        }
        assert refusals == {403}
        assert stored(wire, billed)["billing_code"] == "secret"

    def test_nothing_is_saved_when_one_operation_is_refused(self, wire: Wire, billed: dict[str, Any]) -> None:
        answer = wire.patch(
            billed["id"],
            {"op": "replace", "path": "/name", "value": "other"},
            {"op": "add", "path": "/billing_x", "value": "1"},
        )
        assert answer.status == 403
        assert shown(wire, billed)["name"] == "billed"


class TestRules:
    """What a refusal of each action means (images-api 8.4)."""

    def test_create(self, wire: Wire) -> None:
        assert create(wire, billing_code="x").status == 403
        assert create(wire, closed="x").status == 403
        assert names(wire) == []
        image = wire.create()
        assert wire.patch(image["id"], {"op": "add", "path": "/closed", "value": "x"}).status == 403
        assert wire.as_(BILLING).patch(image["id"], {"op": "add", "path": "/billing_code", "value": "x"}).status == 200

    def test_create_comes_before_the_quotas(self, wire: Wire) -> None:
        """images-api 3.2: row 9 of the table before rows 10 to 14."""
        many = {f"p{number}": "x" for number in range(9)}
        assert create(wire, **many).status == 413
        assert create(wire, **many, closed="x").status == 403
        assert create(wire, closed="x", status="active").status == 403
        assert create(wire, closed=7).status == 400

    def test_update(self, wire: Wire) -> None:
        image = wire.create(fixed="1")
        for op in ("replace", "add"):
            assert wire.patch(image["id"], {"op": op, "path": "/fixed", "value": "2"}).status == 403
        assert wire.as_(ADMIN).patch(image["id"], {"op": "replace", "path": "/fixed", "value": "2"}).status == 403
        assert shown(wire, image)["fixed"] == "1"

    def test_an_update_in_one_request_with_the_creation(self, wire: Wire) -> None:
        image = wire.create()
        change = ({"op": "add", "path": "/fixed", "value": "1"}, {"op": "replace", "path": "/fixed", "value": "2"})
        assert wire.patch(image["id"], *change).status == 403
        assert "fixed" not in stored(wire, image)

    def test_delete(self, wire: Wire) -> None:
        image = wire.create(fixed="1")
        assert wire.patch(image["id"], {"op": "remove", "path": "/fixed"}).status == 403
        assert shown(wire, image)["fixed"] == "1"
        # the image as a whole may go
        assert wire("DELETE", f"/v2/images/{image['id']}").status == 204

    def test_adding_what_must_be_new(self, wire: Wire) -> None:
        """The 2.0 media type (images-api 3.5.3)."""
        image = wire.create(fixed="1")
        headers = {"Content-Type": PATCH_20}
        existing = wire("PATCH", f"/v2/images/{image['id']}", b'[{"add": "/fixed", "value": "2"}]', headers)
        new = wire("PATCH", f"/v2/images/{image['id']}", b'[{"add": "/closed", "value": "2"}]', headers)
        assert (existing.status, new.status) == (409, 403)

    def test_what_may_be_created_and_not_read_is_stored(self, wire: Wire) -> None:
        """Glance drops it at creation and fails on PATCH."""
        made = create(wire, name="noted", note="hello")
        assert made.status == 201
        assert "note" not in made.json
        assert stored(wire, made.json) == {"note": "hello"}
        image = wire.create()
        added = wire.patch(image["id"], {"op": "add", "path": "/note", "value": "hello"})
        assert added.status == 200
        assert "note" not in added.json
        assert stored(wire, image) == {"note": "hello"}
        # adding it again changes it: the right to update decides
        assert wire.patch(image["id"], {"op": "add", "path": "/note", "value": "bye"}).status == 200
        assert stored(wire, image) == {"note": "bye"}
        assert wire.patch(image["id"], {"op": "remove", "path": "/note"}).status == 409

    def test_policy_decides_first(self, wire: Wire, billed: dict[str, Any]) -> None:
        stranger = Caller(project="p9", roles="member,reader,billing")
        change = {"op": "replace", "path": "/billing_code", "value": "x"}
        assert wire.as_(stranger).patch(billed["id"], change).status == 404
        assert stored(wire, billed)["billing_code"] == "secret"

    def test_hidden_properties_count_against_the_quota(self, wire: Wire) -> None:
        image = wire.as_(BILLING).create(**{f"billing_{number}": "x" for number in range(8)})
        assert wire.patch(image["id"], {"op": "add", "path": "/mine", "value": "x"}).status == 413

    def test_base_attributes_are_not_protected(self, tmp_path: Path) -> None:
        (tmp_path / "none.conf").write_text("[.*]\ncreate = !\nread = !\nupdate = !\ndelete = !\n")
        policy = PolicySettings(config_dirs=(tmp_path,), property_protection_file="none.conf")
        with wired(settings_in(tmp_path, policy=policy)) as wire:
            image = wire.create(name="a", tags=["t"], min_disk=1)
            assert shown(wire, image)["tags"] == ["t"]
            assert wire.patch(image["id"], {"op": "replace", "path": "/name", "value": "b"}).status == 200
            assert names(wire, "?name=b&tag=t") == ["b"]


class TestPolicies:
    @pytest.fixture
    def wire(self, tmp_path: Path) -> Iterator[Wire]:
        (tmp_path / "policy.yaml").write_text("may_bill: 'role:billing'\nmine: 'project_id:p1'\n")
        (tmp_path / "protections.conf").write_text(
            "[^billing_]\ncreate = may_bill\nread = mine\nupdate = may_bill\ndelete = !\n"
            "[.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n"
        )
        policy = PolicySettings(
            config_dirs=(tmp_path,), property_protection_file="protections.conf",
            property_protection_rule_format="policies",
        )  # fmt: skip
        with wired(settings_in(tmp_path, policy=policy)) as connection:
            yield connection

    def test_rules_decide(self, wire: Wire) -> None:
        assert create(wire, billing_code="x").status == 403
        billing = wire.as_(BILLING)
        image = billing.create(billing_code="1", visibility="community")
        assert shown(wire, image)["billing_code"] == "1"
        assert "billing_code" not in shown(wire.as_(Caller(project="p2")), image)
        assert names(wire.as_(Caller(project="p2")), "?visibility=community&billing_code=1") == []
        change = {"op": "replace", "path": "/billing_code", "value": "2"}
        assert wire.patch(image["id"], change).status == 403
        assert billing.patch(image["id"], change).status == 200
        assert billing.patch(image["id"], {"op": "remove", "path": "/billing_code"}).status == 403


def test_nothing_of_it_runs_where_no_file_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise AssertionError("property protections are not configured")

    for name in ("__init__", "allows", "require", "unreadable", "readable", "may_filter"):
        monkeypatch.setattr(PropertyProtection, name, fail)
    with wired(settings_in(tmp_path)) as wire:
        image = wire.create(a="1")
        assert names(wire.as_(MEMBER), "?a=1") == [None]
        assert wire.patch(image["id"], {"op": "replace", "path": "/a", "value": "2"}).status == 200
        assert shown(wire, image)["a"] == "2"
