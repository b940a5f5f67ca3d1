"""Access with the default policy, and with an operator's rules (metadefs 4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.settings.model import PolicySettings
from tests.api.metadefs.examples import NAMESPACES, RACK, Metadefs, prop
from tests.support.wire import ADMIN, MEMBER, OTHER, READER, Caller, settings_in, wired

NO_READER = Caller(roles="member")
SHOUTING = Caller(project="other", roles="ADMIN")

READS = [
    "", "/objects", "/objects/Power", "/properties", "/properties/zone", "/tags", "/tags/dc", "/resource_types",
]  # fmt: skip
WRITES = [
    ("PUT", "", {"namespace": "n"}), ("DELETE", "", None), ("POST", "/objects", {"name": "x"}),
    ("PUT", "/objects/Power", {"name": "x"}), ("DELETE", "/objects/Power", None), ("DELETE", "/objects", None),
    ("POST", "/properties", prop(name="x")), ("PUT", "/properties/zone", prop(name="x")),
    ("DELETE", "/properties/zone", None), ("DELETE", "/properties", None), ("POST", "/tags/x", None),
    ("POST", "/tags", {"tags": []}), ("PUT", "/tags/dc", {"name": "x"}), ("DELETE", "/tags/dc", None),
    ("DELETE", "/tags", None), ("POST", "/resource_types", {"name": "x"}),
    ("DELETE", "/resource_types/OS::Nova::Flavor", None),
    # policy comes before the lookup of what is not there
    ("PUT", "/objects/none", {"name": "x"}), ("DELETE", "/tags/none", None), ("DELETE", "/resource_types/none", None),
]  # fmt: skip


@pytest.fixture
def three(metadefs: Metadefs) -> Metadefs:
    """``own`` and ``foreign`` are private to p1 and p2, ``public`` is everybody's."""
    for name, owner, visibility in (("own", "p1", "private"), ("foreign", "p2", "private"), ("public", "p2", "public")):
        metadefs.made("POST", "", {**RACK, "namespace": name, "owner": owner, "visibility": visibility})
    return metadefs


@pytest.mark.parametrize(
    ("caller", "statuses"),
    [
        (MEMBER, {"own": (200, 403), "foreign": (404, 404), "public": (200, 403), "unknown": (404, 404)}),
        (READER, {"own": (200, 403), "foreign": (404, 404), "public": (200, 403), "unknown": (404, 404)}),
        (OTHER, {"own": (404, 404), "foreign": (200, 403), "public": (200, 403), "unknown": (404, 404)}),
        (NO_READER, {"own": (404, 404), "foreign": (404, 404), "public": (404, 404), "unknown": (404, 404)}),
        (Caller(project=None), {"own": (404, 404), "public": (200, 403)}),
    ],
)
def test_who_gets_what(three: Metadefs, caller: Caller, statuses: dict[str, tuple[int, int]]) -> None:
    """metadefs 4.3; writing is for administrators, whoever owns the namespace."""
    asked = three.as_(caller)
    for name, (reading, writing) in statuses.items():
        for path in READS:
            assert asked.status("GET", f"/{name}{path}") == reading, (name, path)
        for method, path, document in WRITES:
            assert asked.status(method, f"/{name}{path}", document) == writing, (name, method, path)


def test_collections(three: Metadefs) -> None:
    for caller, found in (
        (MEMBER, ["own", "public"]),
        (OTHER, ["foreign", "public"]),
        (ADMIN, ["foreign", "own", "public"]),
    ):
        page = three.as_(caller).made("GET", "?sort_key=namespace&sort_dir=asc")
        assert [one["namespace"] for one in page["namespaces"]] == found
    types = "/v2/metadefs/resource_types"
    for caller, reading, writing in (
        (MEMBER, 200, 403),
        (ADMIN, 200, 409),
        (NO_READER, 404, 404),
        (SHOUTING, 200, 409),
    ):
        asked = three.as_(caller)
        assert asked.status("GET") == reading
        assert asked.wire("GET", types).status == reading
        assert asked.status("POST", "", {"namespace": "foreign"}) == writing


def test_the_marker_of_an_invisible_namespace(three: Metadefs) -> None:
    """metadefs 14, quirk 17."""
    assert three.as_(MEMBER).status("GET", "?marker=foreign") == 403
    assert three.as_(MEMBER).status("GET", "?marker=unknown") == 404


def test_which_error_wins(three: Metadefs) -> None:
    """metadefs 2.2: what is wrong with the request counts before who asks."""
    asked = three.as_(OTHER)
    assert asked.wire("GET", f"{NAMESPACES}/own", identity=False).status == 401
    assert asked.status("PATCH", "/own") == 405
    assert asked.status("PUT", "/own", {"namespace": 1}) == 400
    assert asked.status("PUT", "/own", {"self": "x", "namespace": 1}) == 403
    assert asked.status("GET", "/own/tags?limit=x") == 400
    assert asked.status("POST", "/own/tags/" + "t" * 81) == 404
    assert asked.status("POST", "/public/tags/" + "t" * 81) == 400
    assert asked.status("POST", "/public/tags/t") == 403


def test_schemas_are_everybodys(three: Metadefs) -> None:
    assert three.as_(NO_READER).wire("GET", "/v2/schemas/metadefs/namespace").status == 200
    assert three.as_(NO_READER).wire("GET", "/v2/schemas/metadefs/namespace", identity=False).status == 401


def test_rules_of_an_operator(tmp_path: Path) -> None:
    """Every read of a namespace needs the rules of its parts; nested creation those of what it creates."""
    rules = {
        "add_metadef_namespace": "role:member", "add_metadef_tag": "role:admin", "get_metadef_property": "!",
        "get_metadef_object": "!", "get_metadef_resource_type": "!", "delete_metadef_tags": "!",
        "delete_metadef_namespace": "role:member", "get_metadef_namespace": "role:reader and not 'o':%(project_id)s",
    }  # fmt: skip
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text("".join(f'"{name}": "{check}"\n' for name, check in rules.items()))
    settings = settings_in(tmp_path, policy=PolicySettings(policy_file=str(policy_file)))
    with wired(settings) as connection:
        admin, member = Metadefs(connection.as_(ADMIN), NAMESPACES), Metadefs(connection.as_(MEMBER), NAMESPACES)
        assert member.status("POST", "", RACK) == 403
        assert admin.status("GET", "/Acme::Rack") == 404
        member.made("POST", "", {"namespace": "mine"})
        admin.made("POST", "", RACK)
        assert admin.status("GET", "/Acme::Rack") == 200
        assert admin.status("GET", "/Acme::Rack/properties/zone") == 403
        assert len(admin.made("GET", "/Acme::Rack/properties")["properties"]) == 2
        assert admin.made("GET", "/Acme::Rack/objects")["objects"] == []
        assert admin.made("GET", "/Acme::Rack/resource_types") == {"resource_type_associations": []}
        assert admin.status("DELETE", "/Acme::Rack/tags") == 403
        assert admin.status("DELETE", "/Acme::Rack/objects") == 204
        # dropped from lists row by row
        admin.made("POST", "", {"namespace": "hidden", "owner": "o"})
        assert [one["namespace"] for one in admin.made("GET")["namespaces"]] == ["Acme::Rack", "mine"]
        assert admin.status("GET", "/hidden") == 404
        assert member.status("DELETE", "/mine") == 204
