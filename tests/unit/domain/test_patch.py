"""Parsing a PATCH before the image is read (images-api 3.5 to 3.5.2)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glimpse.api.v2.schemas.catalog import ImageSchemaChecker, build_schemas
from glimpse.domain.patch import ACCEPT_PATCH, READ_ONLY, Draft, Operation, draft_of, parse_patch
from glimpse.errors import Forbidden, GlimpseError, Invalid, UnsupportedContent

V20, V21 = "application/openstack-images-v2.0-json-patch", "application/openstack-images-v2.1-json-patch"
OLD, NEW = Draft.DRAFT_4, Draft.DRAFT_10
LOCATION = {"url": "http://host/x", "metadata": {}}


@pytest.mark.parametrize(
    ("content_type", "draft"), [(V20, OLD), (V21, NEW), (V21 + "; charset=utf-8", NEW), (V20 + " ;x=y", OLD)]
)
def test_media_types(content_type: str, draft: Draft) -> None:
    assert draft_of(content_type) is draft


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "application/json-patch+json", V21.upper(), V21 + "x", "; " + V21]
)
def test_other_media_types_are_unsupported(content_type: str | None) -> None:
    with pytest.raises(UnsupportedContent):
        draft_of(content_type)


def test_accept_patch() -> None:
    assert f"{V20}, {V21}" == ACCEPT_PATCH


@pytest.mark.parametrize(
    ("draft", "member", "operation"),
    [
        (NEW, {"op": "replace", "path": "/name", "value": "x"}, Operation(op="replace", name="name", value="x")),
        (NEW, {"op": "add", "path": "/a~1b", "value": "x"}, Operation(op="add", name="a/b", value="x")),
        (NEW, {"op": "add", "path": "/", "value": ""}, Operation(op="add", name="", value="")),
        (NEW, {"op": "remove", "path": "/x"}, Operation(op="remove", name="x")),
        (NEW, {"op": "remove", "path": "/x", "value": 5, "from": {}}, Operation(op="remove", name="x")),
        (NEW, {"op": "replace", "path": "/name", "value": None}, Operation(op="replace", name="name")),
        (
            NEW,
            {"op": "replace", "path": "/name", "value": "x", "add": 1},
            Operation(op="replace", name="name", value="x"),
        ),
        (
            NEW,
            {"op": "replace", "path": "/locations", "value": []},
            Operation(op="replace", name="locations", value=[]),
        ),
        (
            NEW,
            {"op": "add", "path": "/locations/-", "value": LOCATION},
            Operation(op="add", name="locations", position="-", value=LOCATION),
        ),
        (NEW, {"op": "remove", "path": "/locations/0"}, Operation(op="remove", name="locations", position="0")),
        (OLD, {"replace": "/name", "value": "x"}, Operation(op="replace", name="name", value="x")),
        (OLD, {"add": "/x", "value": "v"}, Operation(op="add", name="x", value="v", must_be_new=True)),
        (OLD, {"remove": "/x", "op": "add", "path": 5}, Operation(op="remove", name="x")),
        (NEW, {"op": "add", "path": "/image_id", "value": "v"}, Operation(op="add", name="image_id", value="v")),
    ],
)
def test_operations(draft: Draft, member: object, operation: Operation, checker: ImageSchemaChecker) -> None:
    assert parse_patch([member], draft, checker) == (operation,)


@pytest.mark.parametrize("draft", [OLD, NEW])
def test_no_operations(draft: Draft, checker: ImageSchemaChecker) -> None:
    assert parse_patch([], draft, checker) == ()


@pytest.mark.parametrize("draft", [OLD, NEW])
@pytest.mark.parametrize("body", [None, {}, "x", 5, [5], [[]], [None], {"op": "add"}])
def test_bodies_that_are_no_list_of_objects(body: object, draft: Draft, checker: ImageSchemaChecker) -> None:
    with pytest.raises(Invalid):
        parse_patch(body, draft, checker)


@pytest.mark.parametrize(
    ("draft", "member"),
    [
        *[
            (NEW, {"op": op, "path": "/x", "from": "/y", "value": "v"})
            for op in ("test", "move", "copy", "", 1, [], None)
        ],
        (NEW, {"path": "/x", "value": "v"}),
        (NEW, {"op": "add", "value": "v"}),
        (NEW, {"op": "add", "path": "/x"}),
        (NEW, {"op": "replace", "path": "/name"}),
        *[(NEW, {"op": "remove", "path": path}) for path in (5, None, [], {}, "", "x", "/x/", "/x~", "/x//y")],
        (NEW, {"op": "add", "path": "/tags/-", "value": "t"}),
        (NEW, {"op": "add", "path": "/x/y", "value": "t"}),
        (NEW, {"op": "remove", "path": "/locations"}),
        (NEW, {"op": "add", "path": "/locations", "value": []}),
        (NEW, {"op": "replace", "path": "/locations/0", "value": LOCATION}),
        (NEW, {"op": "remove", "path": "/locations/0/url"}),
        # draft 10 in draft 4 and the reverse
        (OLD, {"op": "replace", "path": "/name", "value": "x"}),
        (NEW, {"replace": "/name", "value": "x"}),
        (OLD, {"add": "/x", "remove": "/y", "value": "v"}),
        (OLD, {"add": "/x"}),
        (OLD, {"remove": 5}),
        # values that break the schema
        (NEW, {"op": "replace", "path": "/name", "value": 5}),
        (NEW, {"op": "replace", "path": "/name", "value": "x" * 256}),
        (NEW, {"op": "add", "path": "/custom", "value": 5}),
        (NEW, {"op": "add", "path": "/custom", "value": None}),
        (NEW, {"op": "replace", "path": "/min_disk", "value": None}),
        (NEW, {"op": "replace", "path": "/tags", "value": "t"}),
        (NEW, {"op": "add", "path": "/locations/-", "value": {"url": "http://h/x"}}),
        (NEW, {"op": "add", "path": "/locations/-", "value": []}),
        (NEW, {"op": "replace", "path": "/locations", "value": LOCATION}),
        (NEW, {"op": "add", "path": "/locations/-", "value": {**LOCATION, "validation_data": {"checksum": "0" * 32}}}),
    ],
)
def test_malformed_operations(draft: Draft, member: object, checker: ImageSchemaChecker) -> None:
    with pytest.raises(Invalid):
        parse_patch([member], draft, checker)


@pytest.mark.parametrize("op", ["add", "replace", "remove"])
@pytest.mark.parametrize("name", [*sorted(READ_ONLY), "location", "deleted", "deleted_at", "os_glance", "os_glance_x"])
def test_read_only_and_reserved_names(op: str, name: str, checker: ImageSchemaChecker) -> None:
    with pytest.raises(Forbidden, match=name):
        parse_patch([{"op": op, "path": f"/{name}", "value": 5}], NEW, checker)


def test_the_first_failure_decides(checker: ImageSchemaChecker) -> None:
    forbidden, invalid = {"op": "remove", "path": "/id"}, {"op": "nothing"}
    with pytest.raises(Forbidden):
        parse_patch([forbidden, invalid], NEW, checker)
    with pytest.raises(Invalid):
        parse_patch([invalid, forbidden], NEW, checker)


def test_required_names_do_not_stand_in_the_way(strict_checker: ImageSchemaChecker) -> None:
    (operation,) = parse_patch([{"op": "replace", "path": "/cores", "value": 4}], NEW, strict_checker)
    assert operation.value == 4
    assert parse_patch([{"op": "add", "path": "/kernel_id", "value": None}], NEW, strict_checker)
    with pytest.raises(Invalid, match="'cores'"):
        parse_patch([{"op": "add", "path": "/cores", "value": "4"}], NEW, strict_checker)


@pytest.mark.parametrize(
    ("operation", "rules"),
    [
        (Operation(op="replace", name="name", value="x"), ("modify_image",)),
        (Operation(op="remove", name="x"), ("modify_image",)),
        (Operation(op="replace", name="visibility", value="private"), ("modify_image",)),
        (Operation(op="replace", name="visibility", value="public"), ("publicize_image", "modify_image")),
        (Operation(op="add", name="visibility", value="community"), ("communitize_image", "modify_image")),
        (Operation(op="add", name="locations", position="-"), ("set_image_location",)),
        (Operation(op="replace", name="locations"), ("set_image_location",)),
        (Operation(op="remove", name="locations", position="0"), ("delete_image_location",)),
    ],
)
def test_rules(operation: Operation, rules: tuple[str, ...]) -> None:
    assert operation.rules == rules


def test_who_gives_an_image_away() -> None:
    assert [Operation(op=op, name="owner").sets_owner for op in ("add", "replace", "remove")] == [True, True, False]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(["name", "tags", "locations", "locations/-", "x", "id", "", "~", "owner", "min_disk"])
_PATHS = _JSON | st.text("/~01ab -", max_size=8) | _NAMES.map("/{}".format)
_OPS = st.sampled_from(["add", "replace", "remove", "test", "op", "path", "value", "x"])
_MEMBERS = st.dictionaries(_OPS, _PATHS | _OPS, max_size=4) | st.fixed_dictionaries(
    {"op": _OPS, "path": _PATHS}, optional={"value": _JSON}
)
_CHECKER = build_schemas(container_formats=("bare",), disk_formats=("raw",), custom=None).checker


@settings(deadline=None, max_examples=300)
@given(body=_JSON | st.lists(_MEMBERS | _JSON, max_size=4), draft=st.sampled_from(Draft))
def test_any_json_gives_operations_or_a_typed_error(body: object, draft: Draft) -> None:
    try:
        operations = parse_patch(body, draft, _CHECKER)
    except GlimpseError:
        return
    assert isinstance(body, list)
    assert len(operations) == len(body)
    assert {operation.op for operation in operations} <= {"add", "replace", "remove"}
