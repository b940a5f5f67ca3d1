"""Creation of images: every check of images-api 3.2 except policies."""

from __future__ import annotations

from datetime import datetime

import pytest

from glimpse.api.v2.schemas.catalog import ImageSchemaChecker
from glimpse.domain.creation import check_document, check_limits, draft_image
from glimpse.domain.image import Image
from glimpse.domain.status import Status, Visibility
from glimpse.errors import Forbidden, GlimpseError, Invalid, LimitExceeded
from glimpse.settings.model import Limits

NOW = datetime(2026, 11, 22, 10, 6, 31, 123456)  # noqa: DTZ001  times of the domain are naive UTC
NEW_ID = "4bb2b1f2-1b5c-4d0c-9b7a-0c8f1a0f6f6e"
SENT_ID = "11111111-2222-3333-4444-55555555555F"
ROCKET = "\U0001f680"


def create(document: dict[str, object], checker: ImageSchemaChecker, limits: Limits | None = None) -> Image:
    check_document(document, checker)
    image = draft_image(document, default_owner="p1", now=NOW, new_id=NEW_ID)
    check_limits(document, image, limits or Limits())
    return image


def test_an_empty_document_gives_the_defaults(checker: ImageSchemaChecker) -> None:
    assert create({}, checker) == Image(
        id=NEW_ID, visibility=Visibility.SHARED, owner="p1", status=Status.QUEUED, created_at=NOW, updated_at=NOW
    )


def test_everything_that_can_be_set(checker: ImageSchemaChecker) -> None:
    image = create(
        {
            "id": SENT_ID, "name": "déb", "visibility": "private", "owner": "p2", "disk_format": "raw",
            "container_format": "bare", "min_disk": 1, "min_ram": 512, "protected": True, "os_hidden": True,
            "tags": ["b", "a"], "os_distro": "debian",
        },
        checker,
    )  # fmt: skip
    assert image == Image(
        id=SENT_ID, name="déb", visibility=Visibility.PRIVATE, owner="p2", disk_format="raw",
        container_format="bare", min_disk=1, min_ram=512, protected=True, os_hidden=True, tags=("b", "a"),
        properties={"os_distro": "debian"}, created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    assert type(image.visibility) is Visibility


@pytest.mark.parametrize(
    ("document", "attribute", "expected"),
    [
        ({"min_disk": 1.0}, "min_disk", 1),
        ({"min_ram": 2e2}, "min_ram", 200),
        ({"min_disk": 2147483647}, "min_disk", 2147483647),
        ({"tags": ["b", "a", "b"]}, "tags", ("b", "a")),
        ({"tags": []}, "tags", ()),
        ({"owner": ""}, "owner", None),
        ({"owner": None}, "owner", None),
        ({"name": None}, "name", None),
        ({"name": ""}, "name", ""),
        ({"name": "x" * 255}, "name", "x" * 255),
        ({"disk_format": None, "container_format": None}, "disk_format", None),
        ({"os_hash_algo": "md5", "os_hash_value": "00"}, "os_hash_algo", None),
        ({"os_hash_algo": "md5", "os_hash_value": "00"}, "properties", {}),
        ({"checksum_x": "1"}, "properties", {"checksum_x": "1"}),
        ({"x" * 255: "v"}, "properties", {"x" * 255: "v"}),
    ],
)
def test_values_are_normalised(
    document: dict[str, object], attribute: str, expected: object, checker: ImageSchemaChecker
) -> None:
    value = getattr(create(document, checker), attribute)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize("name", ["properties", "members", "is_public", "image_id", "extra_properties", "", "a/b"])
def test_odd_names_are_ordinary_properties(name: str, checker: ImageSchemaChecker) -> None:
    assert create({name: "v"}, checker).properties == {name: "v"}


@pytest.mark.parametrize(
    ("document", "error"),
    [
        # row 2
        *[({name: "x"}, Forbidden) for name in ("direct_url", "self", "file", "schema", "stores")],
        ({"self": 5, "name": 5}, Forbidden),
        # row 3
        ({"name": 5}, Invalid),
        ({"name": "x" * 256}, Invalid),
        ({"owner": "x" * 256}, Invalid),
        ({"id": "no-uuid"}, Invalid),
        ({"id": SENT_ID + "\n"}, Invalid),
        ({"id": None}, Invalid),
        ({"visibility": "secret"}, Invalid),
        ({"visibility": None}, Invalid),
        ({"protected": None}, Invalid),
        ({"protected": "true"}, Invalid),
        ({"os_hidden": 1}, Invalid),
        ({"min_disk": None}, Invalid),
        ({"min_disk": "1"}, Invalid),
        ({"min_disk": 1.5}, Invalid),
        ({"min_disk": True}, Invalid),
        ({"tags": None}, Invalid),
        ({"tags": "a"}, Invalid),
        ({"tags": [1]}, Invalid),
        ({"tags": ["x" * 256]}, Invalid),
        ({"disk_format": "floppy"}, Invalid),
        ({"container_format": "box"}, Invalid),
        ({"custom": 5}, Invalid),
        ({"custom": None}, Invalid),
        ({"custom": {}}, Invalid),
        ({"status": "shiny"}, Invalid),
        ({"deleted": True}, Invalid),
        ({"locations": "x"}, Invalid),
        # row 4, before row 5
        ({"x" * 256: "v"}, Invalid),
        ({"x" * 256: "v", "deleted": "v"}, Invalid),
        # row 5
        *[({name: "x"}, Forbidden) for name in ("location", "deleted", "deleted_at", "os_glance", "os_glance_x")],
        # row 10, as sent and before row 11
        ({"tags": ["a"] * 129, "status": "queued"}, LimitExceeded),
        # row 11
        ({"status": "queued"}, Forbidden),
        ({"checksum": None}, Forbidden),
        ({"size": 1}, Forbidden),
        ({"virtual_size": None}, Forbidden),
        ({"created_at": "x"}, Forbidden),
        ({"updated_at": "x"}, Forbidden),
        # row 12, before row 13
        ({"locations": []}, Forbidden),
        ({"locations": [], "min_disk": -1}, Forbidden),
        # row 13, before row 14
        ({"min_disk": -1}, Invalid),
        ({"min_ram": -1, **{f"p{n}": "" for n in range(129)}}, Invalid),
        # row 14, before row 15
        ({f"p{n}": "" for n in range(129)}, LimitExceeded),
        ({"name": ROCKET, **{f"p{n}": "" for n in range(129)}}, LimitExceeded),
        # row 15
        ({"min_disk": 2147483648}, Invalid),
        ({"min_ram": 1e300}, Invalid),
        ({"name": ROCKET}, Invalid),
        ({"owner": ROCKET}, Invalid),
        ({"tags": ["a", ROCKET]}, Invalid),
        ({ROCKET: "v"}, Invalid),
        ({"custom": ROCKET}, Invalid),
        ({"custom": "a\0b"}, Invalid),
    ],
)
def test_refusals(document: dict[str, object], error: type[GlimpseError], checker: ImageSchemaChecker) -> None:
    with pytest.raises(error) as caught:
        create(document, checker)
    assert type(caught.value) is error
    assert str(caught.value)


def test_rows_before_policy_know_no_limits(checker: ImageSchemaChecker) -> None:
    document: dict[str, object] = {"tags": ["a"] * 200, "size": 1, "min_disk": -1, "name": ROCKET}
    check_document(document, checker)
    draft = draft_image(document, default_owner=None, now=NOW, new_id=NEW_ID)
    assert (draft.owner, draft.min_disk) == (None, -1)
    with pytest.raises(LimitExceeded, match=r"tags.* 200 .*128"):
        check_limits(document, draft, Limits())


def test_negative_quotas_are_no_limits(checker: ImageSchemaChecker) -> None:
    many: dict[str, object] = {f"p{n}": "" for n in range(200)}
    limits = Limits(image_property_quota=-1, image_tag_quota=-1)
    image = create({**many, "tags": [str(n) for n in range(200)]}, checker, limits)
    assert (len(image.properties), len(image.tags)) == (200, 200)


def test_a_quota_of_zero_allows_none(checker: ImageSchemaChecker) -> None:
    limits = Limits(image_property_quota=0, image_tag_quota=0)
    assert create({"tags": []}, checker, limits).tags == ()
    for document in ({"tags": ["a"]}, {"p": "v"}):
        with pytest.raises(LimitExceeded, match="1 attempted, 0 allowed"):
            create(document, checker, limits)


def test_required_names_of_the_operator(strict_checker: ImageSchemaChecker) -> None:
    assert create({"name": "n", "licence": "free"}, strict_checker).properties == {"licence": "free"}
    with pytest.raises(Invalid, match="'licence'"):
        create({"name": "n"}, strict_checker)
    with pytest.raises(Invalid, match="'name'"):
        create({"licence": "free"}, strict_checker)


def test_values_that_the_operator_allows_are_kept_as_text(strict_checker: ImageSchemaChecker) -> None:
    image = create({"name": "n", "licence": "l", "kernel_id": None, "cores": 2.0, "factors": [1, 2.5]}, strict_checker)
    assert image.properties == {"licence": "l", "kernel_id": None, "cores": "2", "factors": "[1,2.5]"}
