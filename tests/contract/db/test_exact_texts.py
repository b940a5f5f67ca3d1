"""Names of projects, images, tags and properties are compared character by character on every database.

The collations of MySQL and MariaDB take all of :data:`ALIKE` for one text (database 2). What a unique key of
the tables takes for one as well is refused there, and never taken for the other.
"""

from __future__ import annotations

from typing import Any

import pytest

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.db.sql.tables import image_members, image_tags
from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Claim, Job, JobQuery
from glimpse.domain.listing import Comparison, ListQuery, OneOf, SortKey
from glimpse.domain.metadef import (
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    NamespaceQuery,
    ResourceTypeAssociation,
)
from glimpse.domain.status import MemberStatus, Visibility
from glimpse.errors import Conflict, Duplicate, Forbidden, LimitExceeded, NotFound
from tests.contract.db.backends import Backend, directly
from tests.contract.db.examples import ADMIN, LIFETIME, MOMENT, OWNER, image, upload_job

ALIKE = ("lab", "Lab", "LAB", "läb", "lab ", "lab  ")
PROJECTS = [Viewer(name) for name in ALIKE]


def of(name: str | None) -> str:
    """An id for what belongs to a name; as names, these would be the same to MySQL."""
    return f"{ALIKE.index(name or '')}"


def ids(database: Database, viewer: Viewer, **query: Any) -> list[str]:
    return sorted(one.id for one in database.list_images(ListQuery(**query), viewer))


@pytest.mark.parametrize("visibility", [Visibility.PRIVATE, Visibility.SHARED])
def test_a_project_sees_its_own_images_and_not_those_of_one_that_is_called_alike(
    database: Database, visibility: Visibility
) -> None:
    for name in ALIKE:
        database.create_image(image(id=of(name), owner=name, visibility=visibility, properties={"p": "v"}))
    for viewer in PROJECTS:
        own = of(viewer.project_id)
        for asked in (None, visibility.value, "all"):
            assert ids(database, viewer, visibility=asked) == [own]
            assert ids(database, viewer, visibility=asked, properties=(("p", "v"),)) == [own]
        assert ids(database, ADMIN, comparisons=(Comparison("owner", "eq", str(viewer.project_id)),)) == [own]
        for name in ALIKE:
            one = of(name)
            if one == own:
                assert database.get_image(one, viewer).id == one
                continue
            with pytest.raises(NotFound):
                database.get_image(one, viewer)
            with pytest.raises(Forbidden):
                ids(database, viewer, marker=one)


def test_an_image_is_shared_with_the_member_and_not_with_a_project_that_is_called_alike(database: Database) -> None:
    shared = image(id="shared", visibility=Visibility.SHARED)
    database.create_image(shared)
    database.add_member("shared", "lab", maximum=100)
    database.set_member_status("shared", "lab", MemberStatus.ACCEPTED)
    for viewer in PROJECTS:
        others = [] if viewer.project_id != "lab" else ["shared"]
        assert ids(database, viewer) == others
        assert ids(database, viewer, visibility="shared", member_status="all") == others
        assert [one.member_id for one in database.list_members("shared", viewer)] == ["lab"] * len(others)
        if others:
            assert database.get_image("shared", viewer).membership == "accepted"
            assert ids(database, viewer, marker="shared") == []
            continue
        with pytest.raises(NotFound):
            database.get_image("shared", viewer)
        with pytest.raises(Forbidden):
            ids(database, viewer, marker="shared")
        with pytest.raises(NotFound):
            database.set_member_status("shared", str(viewer.project_id), MemberStatus.REJECTED)
        with pytest.raises(NotFound):
            database.remove_member("shared", str(viewer.project_id))
    assert [one.status for one in database.list_members("shared", OWNER)] == ["accepted"]


def test_projects_that_are_called_alike_are_members_each_for_itself(backend: Backend) -> None:
    database = backend.database
    database.create_image(image(id="shared", visibility=Visibility.SHARED))
    for name in ALIKE:
        database.add_member("shared", name, maximum=len(ALIKE))
        with pytest.raises(Duplicate):
            database.add_member("shared", name, maximum=100)
    assert [one.member_id for one in database.list_members("shared", OWNER)] == list(ALIKE)
    database.set_member_status("shared", "Lab", MemberStatus.ACCEPTED)
    assert [viewer.project_id for viewer in PROJECTS if ids(database, viewer)] == ["Lab"]
    # within a second, which is all that the unique key of MySQL tells apart
    for number, name in enumerate(ALIKE[:3]):
        assert database.remove_member("shared", name).member_id == name
        left = [one.member_id for one in database.list_members("shared", OWNER)]
        assert left == list(ALIKE[number + 1 :])
    database.add_member("shared", "lab", maximum=100)
    assert {row["member"] for row in backend.rows(image_members, deleted=False)} == {"lab", *ALIKE[3:]}
    database.delete_without_data("shared")
    assert backend.rows(image_members, deleted=False) == []


def test_a_name_finds_the_images_that_are_called_so(database: Database) -> None:
    for name in ALIKE:
        database.create_image(image(id=of(name), name=name))
    every = sorted(of(name) for name in ALIKE)
    for name in ALIKE:
        found = [of(name)]
        others = [one for one in every if one not in found]
        for viewer in (OWNER, ADMIN):
            assert ids(database, viewer, comparisons=(Comparison("name", "eq", name),)) == found
            assert ids(database, viewer, comparisons=(Comparison("name", "neq", name),)) == others
            assert ids(database, viewer, one_of=(OneOf("name", (name, "other")),)) == found


def test_a_page_goes_on_behind_names_that_are_alike(database: Database) -> None:
    for number, name in enumerate(ALIKE * 3):
        database.create_image(image(id=f"image-{number:02}", name=name))
    order = (SortKey("name", descending=False), SortKey("created_at"), SortKey("id"))
    marker: str | None = None
    found: list[str] = []
    while page := database.list_images(ListQuery(order=order, limit=4, marker=marker), OWNER):
        found += [one.id for one in page]
        marker = found[-1]
    assert sorted(found) == [f"image-{number:02}" for number in range(len(ALIKE) * 3)]


def test_tags_and_properties_find_the_images_that_have_them_so(database: Database) -> None:
    for name in ALIKE:
        database.create_image(image(id=of(name), tags=(name,), properties={name: "x", "value": name}))
    for name in ALIKE:
        found = [of(name)]
        assert ids(database, OWNER, tags=(name,)) == found
        assert ids(database, OWNER, properties=((name, "x"),)) == found
        assert ids(database, OWNER, properties=((name, "X"),)) == []
        assert ids(database, OWNER, properties=(("value", name),)) == found
        assert ids(database, OWNER, properties=(("VALUE", name),)) == []
        assert ids(database, ADMIN, tags=(name,), properties=(("value", name),)) == found


def test_an_image_has_tags_that_are_alike(backend: Backend) -> None:
    database = backend.database
    database.create_image(image(id="tagged", tags=ALIKE))
    assert database.get_image("tagged", OWNER).tags == ALIKE
    database.update_image("tagged", ImageChange(drop_tags=("Lab",)))
    kept = tuple(tag for tag in ALIKE if tag != "Lab")
    assert database.get_image("tagged", OWNER).tags == kept
    with pytest.raises(NotFound):
        database.update_image("tagged", ImageChange(drop_tags=("Lab",)))
    database.update_image("tagged", ImageChange(tags=("Lab", "läb")))
    assert sorted(database.get_image("tagged", OWNER).tags) == ["Lab", "läb"]
    assert {row["value"] for row in backend.rows(image_tags, deleted=False)} == {"Lab", "läb"}


@pytest.mark.parametrize("name", ALIKE[1:])
def test_a_property_is_dropped_by_its_own_name(database: Database, name: str) -> None:
    database.create_image(image(id="with", properties={"lab": "1"}))
    with pytest.raises(Conflict):
        database.update_image("with", ImageChange(drop_properties=(name,)))
    assert database.get_image("with", OWNER).properties == {"lab": "1"}


def test_the_lock_of_an_import_is_no_property_that_is_called_alike(database: Database) -> None:
    database.create_image(image(id="with", properties={"OS_GLANCE_IMPORT_TASK": "1"}))
    with pytest.raises(Conflict):
        database.update_image("with", ImageChange(drop_properties=("os_glance_import_task",)))
    assert database.get_image("with", OWNER).properties == {"OS_GLANCE_IMPORT_TASK": "1"}


def test_a_project_uses_what_it_owns(database: Database) -> None:
    for name in ALIKE:
        properties = {"OS_GLANCE_IMPORTING_TO_STORES": "a"}
        database.create_image(image(id=of(name), owner=name, size=10, properties=properties))
    for name in ALIKE:
        figures = database.usage(name)
        assert (figures.count_total, figures.stage_total, figures.count_uploading) == (1, 0, 0)
        with pytest.raises(LimitExceeded):
            database.create_image(image(owner=name), ceiling=ImageCeiling(name, 1))
        database.create_image(image(owner=name), ceiling=ImageCeiling(name, 2))


def test_jobs_are_listed_by_their_owner(database: Database) -> None:
    for name in ALIKE:
        database.add_job(
            Job(
                id=of(name),
                type="location_check",
                input={"image_id": "1"},
                owner=name,
                created_at=MOMENT,
                updated_at=MOMENT,
            )
        )
    for name in ALIKE:
        assert [job.id for job in database.list_jobs(JobQuery(owner=name, limit=10))] == [of(name)]


def test_a_lease_is_its_owners(database: Database) -> None:
    database.create_image(image(id="one"))
    held = upload_job("one", claimed_by="lab")
    database.begin_upload(held, LIFETIME)
    claims = [Claim(held.id, 1)]
    assert [len(database.renew_jobs(name, claims, LIFETIME)) for name in ALIKE] == [1, 0, 0, 0, 0, 0]


def test_namespaces_and_what_is_in_them_are_found_by_their_own_names(database: Database) -> None:
    content = NamespaceContent(
        namespace=Namespace(namespace="lab", owner="lab", visibility="private"),
        associations=(ResourceTypeAssociation(name="lab"),),
        properties=(MetadefProperty(name="lab", schema={}),),
        tags=(MetadefTag(name="lab"),),
    )
    database.create_namespace(content)
    assert [database.list_namespaces(NamespaceQuery(), viewer) != [] for viewer in PROJECTS] == [True, *[False] * 5]
    for name in ALIKE:
        found = 1 if name == "lab" else 0
        assert len(database.list_namespaces(NamespaceQuery(resource_types=(name,)), ADMIN)) == found
        assert len(database.export_namespaces([name])) == found
        for kind in (MetadefProperty, MetadefTag):
            if found:
                assert database.get_item("lab", kind, name).name == name
                continue
            with pytest.raises(NotFound):
                database.get_item("lab", kind, name)
            with pytest.raises(NotFound):
                database.remove_item("lab", kind, name)
        if not found:
            for refused in (database.get_content, database.delete_namespace):
                with pytest.raises(NotFound):
                    refused(name)


@directly()
def test_an_allowance_counts_what_its_project_has_reserved(backend: Backend) -> None:
    database = backend.database
    for name in ALIKE:
        database.create_image(image(id=of(name), owner=name))
        database.begin_upload(
            upload_job(of(name)), LIFETIME, allowance=Allowance(project_id=name, limit=10), reserve=10
        )
