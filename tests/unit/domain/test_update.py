"""Applying a PATCH (images-api 3.5.3)."""

from __future__ import annotations

from datetime import datetime

import pytest

from glimpse.api.v2.schemas.catalog import ImageSchemaChecker
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.patch import Draft, Operation, parse_patch
from glimpse.domain.status import Status, Visibility
from glimpse.domain.update import ImageEdit, apply, changed
from glimpse.errors import Conflict, Forbidden, GlimpseError, Invalid, LimitExceeded
from glimpse.settings.model import Limits

NOW = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001  times of the domain are naive UTC
LATER = datetime(2026, 1, 2, 4, 5, 6)  # noqa: DTZ001  times of the domain are naive UTC
ROCKET = "\U0001f680"
DATA_STATUSES = [status for status in Status if status is not Status.QUEUED]


def image(status: Status = Status.ACTIVE, **properties: str | None) -> Image:
    return Image(
        id="i", status=status, tags=("old",), properties=properties or {"a": "1"}, created_at=NOW, updated_at=NOW
    )


def add(path: str, value: object) -> dict[str, object]:
    return {"op": "add", "path": path, "value": value}


def replace(path: str, value: object) -> dict[str, object]:
    return {"op": "replace", "path": path, "value": value}


def remove(path: str) -> dict[str, object]:
    return {"op": "remove", "path": path}


def patched(
    checker: ImageSchemaChecker, *members: dict[str, object], of: Image | None = None, limits: Limits | None = None
) -> ImageChange | None:
    operations = parse_patch(list(members), Draft.DRAFT_10, checker)
    return apply(of or image(), operations, checker=checker, limits=limits or Limits())


FORMAT_STATUSES = (Status.QUEUED,)


@pytest.mark.parametrize("write", [add, replace])
@pytest.mark.parametrize(
    ("path", "value", "columns"),
    [
        ("/name", "x", {"name": "x"}),
        ("/name", None, {"name": None}),
        ("/visibility", "public", {"visibility": Visibility.PUBLIC}),
        ("/visibility", "shared", {"visibility": Visibility.SHARED}),
        ("/protected", True, {"protected": True}),
        ("/os_hidden", True, {"os_hidden": True}),
        ("/owner", "p2", {"owner": "p2"}),
        ("/owner", "", {"owner": None}),
        ("/owner", None, {"owner": None}),
        ("/min_disk", 3, {"min_disk": 3}),
        ("/min_ram", 2147483647, {"min_ram": 2147483647}),
    ],
)
@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DELETED])
def test_base_attributes_in_any_status(
    write, path: str, value: object, columns: dict[str, object], status: Status, checker: ImageSchemaChecker
) -> None:
    assert patched(checker, write(path, value), of=image(status)) == ImageChange(columns=columns)


def test_integers_are_normalised(checker: ImageSchemaChecker) -> None:
    change = patched(checker, replace("/min_disk", 1.0))
    assert change is not None
    assert type(change.columns["min_disk"]) is int


@pytest.mark.parametrize(
    ("members", "change"),
    [
        ([replace("/tags", ["b", "a", "b"])], ImageChange(tags=("b", "a"))),
        ([add("/tags", [])], ImageChange(tags=())),
        ([add("/new", "v")], ImageChange(set_properties={"new": "v"})),
        ([add("/a", "2")], ImageChange(set_properties={"a": "2"})),
        ([replace("/a", "2")], ImageChange(set_properties={"a": "2"})),
        ([replace("/a", "1")], ImageChange(set_properties={"a": "1"})),
        ([remove("/a")], ImageChange(drop_properties=("a",))),
        ([add("/new", "v"), replace("/new", "w")], ImageChange(set_properties={"new": "w"})),
        ([add("/new", "v"), remove("/new")], ImageChange()),
        ([remove("/a"), add("/a", "9")], ImageChange(set_properties={"a": "9"})),
        ([replace("/a", "9"), remove("/a")], ImageChange(drop_properties=("a",))),
        ([add("/", "v")], ImageChange(set_properties={"": "v"})),
        ([add("/x~1y", "v")], ImageChange(set_properties={"x/y": "v"})),
        ([add("/" + "x" * 255, "v")], ImageChange(set_properties={"x" * 255: "v"})),
        *[
            ([add(f"/{name}", "v")], ImageChange(set_properties={name: "v"}))
            for name in ("image_id", "extra_properties", "member", "delete", "get_data", "context", "base")
        ],
        (
            [replace("/name", "n"), add("/p", "v"), replace("/name", "m"), remove("/a"), replace("/tags", ["t"])],
            ImageChange(columns={"name": "m"}, set_properties={"p": "v"}, drop_properties=("a",), tags=("t",)),
        ),
    ],
)
def test_changes_name_only_what_the_request_names(
    members: list[dict[str, object]], change: ImageChange, checker: ImageSchemaChecker
) -> None:
    assert patched(checker, *members) == change


def test_no_operation_is_no_change(checker: ImageSchemaChecker) -> None:
    assert patched(checker) is None


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ([replace("/missing", "v")], Conflict),
        ([remove("/missing")], Conflict),
        ([remove("/a"), remove("/a")], Conflict),
        ([remove("/a"), replace("/a", "v")], Conflict),
        *[
            ([remove(f"/{name}")], Forbidden)
            for name in ("name", "tags", "visibility", "owner", "min_disk", "protected")
        ],
        ([remove("/locations/0")], Forbidden),
        ([add("/locations/-", {"url": "http://h/x", "metadata": {}})], Forbidden),
        ([replace("/locations", [])], Forbidden),
        ([replace("/tags", ["t"] * 129)], LimitExceeded),
        ([replace("/tags", [ROCKET])], Invalid),
        ([replace("/min_disk", -1)], Invalid),
        ([add("/min_ram", -1)], Invalid),
        ([replace("/min_ram", 2147483648)], Invalid),
        ([replace("/name", ROCKET)], Invalid),
        ([replace("/owner", ROCKET)], Invalid),
        ([add("/p", ROCKET)], Invalid),
        ([add("/p", "\0")], Invalid),
        ([add(f"/{ROCKET}", "v")], Invalid),
        ([add("/" + "x" * 256, "v")], Invalid),
    ],
)
def test_refusals(members: list[dict[str, object]], error: type[GlimpseError], checker: ImageSchemaChecker) -> None:
    with pytest.raises(error) as caught:
        patched(checker, *members)
    assert type(caught.value) is error


@pytest.mark.parametrize("name", ["disk_format", "container_format"])
@pytest.mark.parametrize("write", [add, replace])
def test_formats_change_before_data_only(write, name: str, checker: ImageSchemaChecker) -> None:
    value = {"disk_format": "raw", "container_format": "bare"}[name]
    for status in FORMAT_STATUSES:
        change = patched(checker, write(f"/{name}", value), of=image(status))
        assert change == ImageChange(columns={name: value}, from_status=FORMAT_STATUSES)
    for status in DATA_STATUSES:
        with pytest.raises(Forbidden, match=name):
            patched(checker, write(f"/{name}", value), of=image(status))


def test_the_2_0_media_type_adds_only_what_is_new(checker: ImageSchemaChecker) -> None:
    def add_old(path: str, value: object) -> ImageChange | None:
        operations = parse_patch([{"add": path, "value": value}], Draft.DRAFT_4, checker)
        return apply(image(), operations, checker=checker, limits=Limits())

    assert add_old("/new", "v") == ImageChange(set_properties={"new": "v"})
    for path, value in [("/a", "v"), ("/name", "v"), ("/tags", ["t"]), ("/protected", True)]:
        with pytest.raises(Conflict, match="already exists"):
            add_old(path, value)


def test_property_quota_counts_when_a_name_is_new(checker: ImageSchemaChecker) -> None:
    full = image(a="1", b="2", os_glance_x="internal")
    limits = Limits(image_property_quota=2)
    assert patched(checker, replace("/a", "9"), of=full, limits=limits)
    assert patched(checker, remove("/a"), add("/c", "3"), of=full, limits=limits)
    assert patched(checker, add("/c", "3"), remove("/a"), of=full, limits=limits)
    assert patched(checker, add("/c", "3"), remove("/c"), of=full, limits=limits)
    with pytest.raises(LimitExceeded, match="3 attempted, 2 allowed"):
        patched(checker, add("/c", "3"), of=full, limits=limits)
    over = image(a="1", b="2", c="3")
    assert patched(checker, add("/a", "9"), of=over, limits=limits)
    with pytest.raises(LimitExceeded):
        patched(checker, remove("/a"), add("/d", "4"), of=over, limits=Limits(image_property_quota=1))
    assert patched(checker, add("/d", "4"), of=over, limits=Limits(image_property_quota=-1))


def test_tag_quota_counts_what_is_sent(checker: ImageSchemaChecker) -> None:
    with pytest.raises(LimitExceeded, match="3 attempted, 2 allowed"):
        patched(checker, replace("/tags", ["a", "a", "a"]), limits=Limits(image_tag_quota=2))


def test_a_required_property_cannot_be_removed(strict_checker: ImageSchemaChecker) -> None:
    licensed = image(licence="free", cores="2")
    with pytest.raises(Forbidden, match="licence"):
        patched(strict_checker, remove("/licence"), of=licensed)
    change = patched(
        strict_checker, replace("/licence", "l"), replace("/cores", 8.0), add("/kernel_id", None), of=licensed
    )
    assert change == ImageChange(set_properties={"licence": "l", "cores": "8", "kernel_id": None})


def test_what_protections_are_asked_about(checker: ImageSchemaChecker) -> None:
    edit = ImageEdit(image(), checker=checker, limits=Limits())
    operations = [
        Operation(op="add", name="new", value="v"),
        Operation(op="add", name="new", value="v"),
        Operation(op="replace", name="a", value="v"),
        Operation(op="remove", name="a"),
        Operation(op="replace", name="name", value="v"),
    ]
    actions: list[str | None] = []
    for operation in operations:
        actions.append(edit.property_action(operation))
        edit.apply(operation)
    assert actions == ["create", "update", "update", "delete", None]


def test_unreadable_properties_look_missing_and_stay(checker: ImageSchemaChecker) -> None:
    def edit() -> ImageEdit:
        return ImageEdit(image(a="1", secret="s"), checker=checker, limits=Limits(), hidden=frozenset({"secret"}))

    for operation in (Operation(op="replace", name="secret", value="x"), Operation(op="remove", name="secret")):
        with pytest.raises(Conflict, match="does not exist"):
            edit().apply(operation)
    assert edit().property_action(Operation(op="add", name="secret", value="x")) == "update"
    other = edit()
    other.apply(Operation(op="replace", name="a", value="2"))
    assert other.change() == ImageChange(set_properties={"a": "2"})


def test_the_image_after_a_change() -> None:
    change = ImageChange(
        columns={"name": "n"}, set_properties={"b": "2"}, drop_properties=("a",), tags=("x", "y"), drop_tags=("x",)
    )
    after = changed(image(a="1", c="3"), change, LATER)
    assert (after.name, after.properties, after.tags) == ("n", {"c": "3", "b": "2"}, ("y",))
    assert (after.updated_at, after.created_at, after.status) == (LATER, NOW, Status.ACTIVE)
    assert changed(image(), ImageChange(add_tags=("old", "new")), LATER).tags == ("old", "new")
