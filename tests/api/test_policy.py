"""Every rule about images and members guards its operations on the wire (images-api 8.2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glimpse.settings.model import PolicySettings
from tests.support.wire import ADMIN, MEMBER, OTHER, READER, Caller, Wire, settings_in, wired

#: Of the owning project, with a role that no default rule knows.
NO_ROLE = Caller(roles="guest", user="u8")

Rules = dict[str, str]
Call = Callable[[Wire, str], int]


def patched(name: str, value: object) -> Call:
    return lambda wire, image_id: wire.patch(image_id, {"op": "replace", "path": f"/{name}", "value": value}).status


def request(method: str, below: str, body: object = None) -> Call:
    return lambda wire, image_id: wire(method, f"/v2/images/{image_id}{below}", json_body=body).status


def created(**attributes: object) -> Call:
    return lambda wire, _: wire("POST", "/v2/images", json_body=attributes).status


#: rule, the call that it guards, other rules that the call asks, status when allowed
GUARDED: list[tuple[str, Call, tuple[str, ...], int]] = [
    ("add_image", created(name="new"), (), 201),
    ("get_image", request("GET", ""), (), 200),
    ("get_images", lambda wire, _: wire("GET", "/v2/images").status, (), 200),
    ("modify_image", patched("name", "new"), (), 200),
    ("modify_image", patched("visibility", "private"), (), 200),
    ("modify_image", request("PUT", "/tags/new"), (), 204),
    ("modify_image", request("DELETE", "/tags/old"), (), 204),
    ("delete_image", request("DELETE", ""), (), 204),
    ("publicize_image", created(visibility="public"), ("add_image",), 201),
    ("publicize_image", patched("visibility", "public"), ("modify_image",), 200),
    ("communitize_image", created(visibility="community"), ("add_image",), 201),
    ("communitize_image", patched("visibility", "community"), ("modify_image",), 200),
    ("upload_image", lambda wire, image_id: wire.upload(image_id, b"data").status, (), 204),
    ("download_image", request("GET", "/file"), (), 200),
    ("deactivate", request("POST", "/actions/deactivate"), (), 204),
    ("reactivate", request("POST", "/actions/reactivate"), (), 204),
    ("add_member", request("POST", "/members", {"member": "p9"}), (), 200),
    ("get_members", request("GET", "/members"), (), 200),
    ("get_member", request("GET", "/members/p2"), (), 200),
    ("get_member", request("PUT", "/members/p2", {"status": "accepted"}), ("modify_member",), 200),
    ("get_member", request("DELETE", "/members/p2"), ("delete_member",), 204),
    ("modify_member", request("PUT", "/members/p2", {"status": "accepted"}), ("get_member",), 200),
    ("delete_member", request("DELETE", "/members/p2"), ("get_member",), 204),
]


@contextmanager
def ruled(directory: Path, rules: Rules, **options: Any) -> Iterator[Wire]:
    """A service with these rules."""
    directory.mkdir(exist_ok=True)
    (directory / "policy.yaml").write_text(json.dumps(rules))
    with wired(settings_in(directory, policy=PolicySettings(config_dirs=(directory,), **options))) as wire:
        yield wire


def prepared(directory: Path, *, queued: bool) -> str:
    """An image of p1 with data unless ``queued``, a tag, and the member p2, made under the default rules."""
    with ruled(directory, {}) as wire:
        image = wire.create(tags=["old"])
        if not queued:
            assert wire.upload(image["id"], b"data").status == 204
        assert wire("POST", f"/v2/images/{image['id']}/members", json_body={"member": "p2"}).status == 200
        image_id: str = image["id"]
        return image_id


@pytest.mark.parametrize(("rule", "call", "others", "success"), GUARDED)
class TestEveryRule:
    def test_refuses(self, tmp_path: Path, rule: str, call: Call, others: tuple[str, ...], success: int) -> None:
        """Whoever sees the image is told 403, whoever does not 404; even an admin, and nothing is changed."""
        image_id = prepared(tmp_path, queued=rule == "upload_image")
        with ruled(tmp_path, {rule: "!"}) as wire:
            before = wire.as_(ADMIN)("GET", f"/v2/images/{image_id}").body
            assert call(wire.as_(ADMIN), image_id) == (404 if rule == "get_image" else 403)
            assert wire.as_(ADMIN)("GET", f"/v2/images/{image_id}").body[:200] == before[:200]
        with ruled(tmp_path, {rule: "!", "get_image": "!"}) as wire:
            on_no_image = rule == "get_images" or success == 201
            assert call(wire.as_(ADMIN), image_id) == (403 if on_no_image else 404)

    def test_allows(self, tmp_path: Path, rule: str, call: Call, others: tuple[str, ...], success: int) -> None:
        """This rule is what keeps a caller without any known role out, and opening it lets the caller in."""
        image_id = prepared(tmp_path, queued=rule == "upload_image")
        open_rules = dict.fromkeys(("get_image", *others), "@")
        closed = {name: check for name, check in open_rules.items() if name != rule}
        with ruled(tmp_path, closed) as wire:
            assert call(wire.as_(NO_ROLE), image_id) == (404 if rule == "get_image" else 403)
        with ruled(tmp_path, {**open_rules, rule: "@"}) as wire:
            assert call(wire.as_(NO_ROLE), image_id) == success


def test_every_rule_of_images_and_members_is_here() -> None:
    """Rules of features with tests of their own are left out: stores, locations, import, tasks, cache."""
    assert {rule for rule, *_ in GUARDED} == {
        "add_image", "get_image", "get_images", "modify_image", "delete_image", "publicize_image", "communitize_image",
        "upload_image", "download_image", "deactivate", "reactivate", "add_member", "get_member", "get_members",
        "modify_member", "delete_member",
    }  # fmt: skip


class TestByPasses:
    """Ways around a rule that must not exist."""

    def test_an_empty_patch_shows_nothing_to_whoever_may_not_see(self, tmp_path: Path) -> None:
        image_id = prepared(tmp_path, queued=True)
        with ruled(tmp_path, {"get_image": "!"}) as wire:
            assert wire.patch(image_id).status == 404
        with ruled(tmp_path, {"modify_image": "!"}) as wire:
            assert wire.patch(image_id).status == 200

    def test_lists_leave_out_what_get_image_refuses(self, tmp_path: Path) -> None:
        with ruled(tmp_path, {"get_image": "'debian':%(os_distro)s"}) as wire:
            for distribution in ("debian", "fedora", "debian"):
                assert wire("POST", "/v2/images", json_body={"os_distro": distribution}).status == 201
            listed = wire("GET", "/v2/images").json["images"]
            assert [image["os_distro"] for image in listed] == ["debian", "debian"]

    def test_a_refused_entry_is_left_out_of_the_members(self, tmp_path: Path) -> None:
        image_id = prepared(tmp_path, queued=True)
        with ruled(tmp_path, {"get_member": "!"}) as wire:
            assert wire("GET", f"/v2/images/{image_id}/members").json["members"] == []

    def test_members_rules_ask_for_the_image_first(self, tmp_path: Path) -> None:
        """images-api 8.2: member rules first require ``get_image``."""
        image_id = prepared(tmp_path, queued=True)
        path = f"/v2/images/{image_id}/members"
        rules = dict.fromkeys(("add_member", "get_member", "get_members", "modify_member", "delete_member"), "@")
        with ruled(tmp_path, {**rules, "get_image": "!"}) as wire:
            assert wire("GET", path).status == 404
            assert wire("POST", path, json_body={"member": "p3"}).status == 404
            assert wire("GET", f"{path}/p2").status == 404
            assert wire("PUT", f"{path}/p2", json_body={"status": "accepted"}).status == 404
            assert wire("DELETE", f"{path}/p2").status == 404

    def test_open_rules_do_not_open_other_projects_images(self, tmp_path: Path) -> None:
        """Ownership decides before any rule is asked (images-api 3.11)."""
        with ruled(tmp_path, {}) as wire:
            image_id = wire.create(visibility="private")["id"]
        with ruled(tmp_path, {rule: "@" for rule, *_ in GUARDED}) as wire:
            other = wire.as_(OTHER)
            for rule, call, _, success in GUARDED:
                if success != 201:
                    assert call(other, image_id) == (200 if rule == "get_images" else 404)
            assert other("GET", "/v2/images").json["images"] == []
            assert other("GET", f"/v2/images/{image_id}").status == 404
            assert wire("GET", f"/v2/images/{image_id}").status == 200

    def test_a_creation_without_visibility_counts_as_private(self, tmp_path: Path) -> None:
        """images-api 8.1, what the rules look at."""
        with ruled(tmp_path, {"add_image": "'private':%(visibility)s"}) as wire:
            made = wire("POST", "/v2/images", json_body={})
            assert (made.status, made.json["visibility"]) == (201, "shared")
            assert wire("POST", "/v2/images", json_body={"visibility": "shared"}).status == 403

    def test_attributes_of_a_new_image_can_decide(self, tmp_path: Path) -> None:
        rules = {"add_image": "'raw':%(disk_format)s and 'x':%(mark)s and 'queued':%(status)s and 'None':%(member_id)s"}
        with ruled(tmp_path, rules) as wire:
            assert wire("POST", "/v2/images", json_body={"disk_format": "raw", "mark": "x"}).status == 201
            assert wire("POST", "/v2/images", json_body={"disk_format": "raw"}).status == 403
            assert wire("POST", "/v2/images", json_body={"disk_format": "iso", "mark": "x"}).status == 403


class TestLegacyMode:
    """``enforce_new_defaults = false``: the former defaults let everybody, and ownership decides (images-api 8.3)."""

    OWNED = ("modify_image", "upload_image", "delete_image", "deactivate", "reactivate")

    @pytest.mark.parametrize("rule", OWNED)
    def test_the_owner_whatever_the_role_and_nobody_else(self, tmp_path: Path, rule: str) -> None:
        [call, success] = next((call, success) for name, call, _, success in GUARDED if name == rule)
        with ruled(tmp_path, {}) as wire:
            admin = wire.as_(ADMIN)
            image = admin.create(owner="p1", visibility="public")
            if rule != "upload_image":
                assert admin.upload(image["id"], b"data").status == 204
        with ruled(tmp_path, {}, enforce_new_defaults=False) as wire:
            assert call(wire.as_(OTHER), image["id"]) == 403
            assert call(wire.as_(NO_ROLE), image["id"]) == success

    def test_an_image_without_owner_is_the_admins(self, tmp_path: Path) -> None:
        with ruled(tmp_path, {}, enforce_new_defaults=False) as wire:
            image = wire.as_(ADMIN).create(owner=None, visibility="public")
            for caller in (MEMBER, Caller(project=None)):
                assert patched("name", "x")(wire.as_(caller), image["id"]) == 403
                assert request("DELETE", "")(wire.as_(caller), image["id"]) == 403
            assert patched("name", "x")(wire.as_(ADMIN), image["id"]) == 200

    def test_a_new_image_is_the_callers(self, tmp_path: Path) -> None:
        with ruled(tmp_path, {}, enforce_new_defaults=False) as wire:
            assert created()(wire.as_(READER), "") == 201
            assert created(owner="p2")(wire.as_(READER), "") == 403
            assert created(owner=None)(wire.as_(READER), "") == 403
            assert created(owner="p2")(wire.as_(ADMIN), "") == 201

    def test_reading_needs_no_role(self, tmp_path: Path) -> None:
        image_id = prepared(tmp_path, queued=False)
        with ruled(tmp_path, {}, enforce_new_defaults=False) as wire:
            for call in (request("GET", ""), request("GET", "/file"), request("GET", "/members")):
                assert call(wire.as_(NO_ROLE), image_id) == 200
            assert wire.as_(NO_ROLE)("GET", "/v2/images").status == 200
            assert patched("visibility", "public")(wire.as_(NO_ROLE), image_id) == 403
            assert patched("visibility", "community")(wire.as_(NO_ROLE), image_id) == 200

    def test_an_override_counts_alone(self, tmp_path: Path) -> None:
        image_id = prepared(tmp_path, queued=False)
        with ruled(tmp_path, {"delete_image": "role:remover"}, enforce_new_defaults=False) as wire:
            assert request("DELETE", "")(wire.as_(MEMBER), image_id) == 403
            assert request("DELETE", "")(wire.as_(Caller(project="p2", roles="remover")), image_id) == 403
            assert request("DELETE", "")(wire.as_(Caller(roles="remover")), image_id) == 204


def test_deactivating_takes_the_owner_or_an_administrator_whatever_the_rule_says(tmp_path: Path) -> None:
    with ruled(tmp_path, {"deactivate": "@", "reactivate": "@", "get_image": "@"}) as wire:
        image_id = wire.create(visibility="community")["id"]
        assert wire.upload(image_id, b"data").status == 204
        for action in ("deactivate", "reactivate"):
            path = f"/v2/images/{image_id}/actions/{action}"
            refused = wire.as_(OTHER)("POST", path, headers={"Accept": "application/json"})
            assert refused.status == 403
            assert "Only the project that owns this image or an administrator may" in refused.json["message"]
            assert wire("POST", path).status == 204
            assert wire.as_(ADMIN)("POST", path).status == 204
