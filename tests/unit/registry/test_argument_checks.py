"""Invalid calls are refused before they reach the database, and never cause a defect."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.allowance import Allowance
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import Claim, Job, JobChange, JobQuery
from glimpse.domain.listing import Comparison, ListQuery, OneOf, SortKey
from glimpse.domain.metadef import MetadefProperty, Namespace, NamespaceContent, NamespaceQuery, TagQuery
from glimpse.domain.task import LONGEST_KEEP_HOURS, TaskQuery
from glimpse.errors import Invalid, NotFound
from glimpse.registry.argument_checks import _FIELDS, _RECORDS, MOST_CONDITIONS, MOST_LEVELS
from glimpse.registry.methods import METHODS
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.examples import ADMIN, image, upload_job
from tests.support.registry_asgi import OPERATOR, Asgi, registry_on
from tests.support.wire import template

MOMENT = datetime(2026, 11, 22, 10, 6)  # noqa: DTZ001 - naive UTC, as everywhere in the database
ID = SortKey("id")
STORED = "00000000-0000-0000-0000-000000000001"
CLAIM = upload_job(STORED)
HALF = "\ud800"
NAN, INFINITE = float("nan"), float("inf")


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"": value}
    return value


def listed(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "list_images", {"query": ListQuery(**fields), "viewer": ADMIN}


def job(**fields: Any) -> Job:
    return Job(id="1" * 32, type="location_check", created_at=MOMENT, updated_at=MOMENT, **fields)


def added(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "add_job", {"job": job(**fields)}


def claimed(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "cancel_upload", {"job": msgspec.structs.replace(CLAIM, **fields)}


def tasks_listed(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "list_tasks", {"query": TaskQuery(**fields), "keep_hours": 48}


def described(schema: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "add_item", {"namespace": "n", "item": MetadefProperty(name="p", schema=schema)}


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    # orders
    "an order without the id": listed(order=(SortKey("name"),)),
    "no order": listed(order=()),
    "an order by nothing known": listed(order=(SortKey("owner"), ID)),
    "an order by very much": listed(order=(*[SortKey("name")] * 1000, ID)),
    "namespaces by a column of images": (
        "list_namespaces",
        {"query": NamespaceQuery(order=(SortKey("size"), ID)), "viewer": ADMIN},
    ),
    "tags without the id": ("list_tags", {"namespace": "n", "query": TagQuery(order=(SortKey("name"),))}),
    # limits
    "a limit of more than 64 bits": listed(limit=2**63),
    "a limit below nothing": listed(limit=-1),
    "jobs below nothing": ("list_jobs", {"query": JobQuery(limit=-1)}),
    "due jobs below nothing": ("due_jobs", {"types": ["import"], "limit": -1}),
    "due jobs without bounds": ("due_jobs", {"types": ["import"], "limit": 2**64}),
    "tags below nothing": ("list_tags", {"namespace": "n", "query": TagQuery(limit=-1)}),
    "tasks below nothing": tasks_listed(limit=-1),
    "tasks by a column that is none": tasks_listed(sort_key="input"),
    "tasks with a column that is none": tasks_listed(columns=(("input", "x"),)),
    "tasks with a number as a text": tasks_listed(columns=(("status", MOMENT),)),
    "tasks with a text as a time": tasks_listed(columns=(("created_at", "x"),)),
    "tasks with very many filters": tasks_listed(columns=(("status", "x"),) * (MOST_CONDITIONS + 1)),
    "tasks that are kept for ever": ("get_task", {"task_id": "1", "keep_hours": LONGEST_KEEP_HOURS + 1}),
    "tasks of an image that are kept for ever": (
        "list_image_tasks",
        {"image_id": "1", "owner": None, "keep_hours": 2**62, "limit": 1},
    ),
    "tasks that expire before their end": ("get_task", {"task_id": "1", "keep_hours": -1}),
    # filters
    "a column that is none": listed(comparisons=(Comparison("properties", "eq", "x"),)),
    "a filter by who looks": listed(comparisons=(Comparison("membership", "eq", "accepted"),)),
    "an operator that is none": listed(comparisons=(Comparison("name", "like", "x"),)),
    "a text as a number": listed(comparisons=(Comparison("size", "eq", "x"),)),
    "a number as a time": listed(comparisons=(Comparison("created_at", "gt", 7),)),
    "a number as a truth": listed(comparisons=(Comparison("protected", "eq", 1),)),
    "a truth as a number": listed(comparisons=(Comparison("size", "eq", True),)),
    "a visibility that is none": listed(comparisons=(Comparison("visibility", "eq", "secret"),)),
    "one of a column that is none": listed(one_of=(OneOf("properties", ()),)),
    "one of several numbers": listed(one_of=(OneOf("size", ("7",)),)),
    "one of several visibilities that are none": listed(one_of=(OneOf("visibility", ("secret",)),)),
    "very many filters": listed(tags=tuple(map(str, range(MOST_CONDITIONS + 1)))),
    # values
    "half a character in a claim": claimed(claimed_by=HALF),
    "half a character in a project": ("usage", {"project_id": HALF}),
    "half a character in a list": ("renew_jobs", {"owner": "o", "claims": [Claim(HALF, 1)], "lifetime": 1.0}),
    "a generation of more than 64 bits": claimed(generation=2**64),
    "a generation whose next one has no room": (
        "claim_job",
        {"job": msgspec.structs.replace(CLAIM, generation=2**63 - 1), "owner": "o", "lifetime": 1.0},
    ),
    "a size of more than 64 bits": added(bytes_done=2**64),
    "a location of more than 64 bits": (
        "begin_location_removal",
        {"job": CLAIM, "lifetime": 1.0, "location_id": 2**64},
    ),
    "a time that is no number": ("claim_job", {"job": CLAIM, "owner": "o", "lifetime": NAN}),
    "an end that never comes": ("renew_jobs", {"owner": "o", "claims": [Claim("1", 1)], "lifetime": INFINITE}),
    "a pause that never ends": ("save_job", {"job": job(), "change": JobChange(pause=INFINITE)}),
    "a time with a zone": ("forget_jobs", {"ended_before": datetime(2026, 1, 1, tzinfo=UTC)}),
    "an allowance in units of nothing": (
        "extend_reservation",
        {
            "job": CLAIM,
            "allowance": Allowance(project_id="p", limit=1, unit=0),
            "needed": 1,
            "wished": 1,
        },
    ),
    # JSON
    "a time in a job": added(input={"at": MOMENT}),
    "bytes in a job": added(result={"x": b"x"}),
    "no number in a job": added(steps={"x": [NAN]}),
    "half a character in a job": added(input={"x": HALF}),
    "half a name in a job": added(input={HALF: 1}),
    "a name that is none": added(input={"x": {7: 1}}),
    "very many digits": added(input={"x": 10**5000}),
    "a time in the outcome of a step": ("save_job", {"job": job(), "change": JobChange(step=("one", MOMENT))}),
    "a time in a location": (
        "update_image",
        {
            "image_id": STORED,
            "change": ImageChange(add_locations=(Location(url="file:///x", metadata={"at": MOMENT}),)),
        },
    ),
    "a time in a definition": described({"x": MOMENT}),
    "a definition that cannot be read back": described(nested(MOST_LEVELS + 1)),
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asgi]:
    file = tmp_path_factory.mktemp("border") / "glimpse.sqlite"
    shutil.copyfile(template(), file)
    url = Secret(f"sqlite:///{file}")
    database = SqlDatabase(connect(DatabaseSettings(connection=url, sqlite_synchronous=False)))
    with registry_on(database) as started:
        started.call("create_image", image=image(id=STORED, name="one"))
        started.call("create_namespace", content=NamespaceContent(namespace=Namespace(namespace="n", owner="o")))
        yield started
    database.close()


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_service_sends_is_refused(registry: Asgi, caplog: pytest.LogCaptureFixture, what: str) -> None:
    name, arguments = REFUSED[what]
    with caplog.at_level(logging.WARNING):
        answer = registry.post(name, METHODS[name].encode_arguments(arguments), client=OPERATOR)
    assert answer.status == 422, answer
    assert type(answer.error) is Invalid
    assert caplog.records == []
    assert [each.name for each in registry.call("list_images", query=ListQuery(), viewer=ADMIN)] == ["one"]
    assert registry.call("list_jobs", query=JobQuery()) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (ListQuery(limit=0), 0),
        (ListQuery(limit=2**63 - 1), 1),
        (ListQuery(order=(SortKey("name"), SortKey("name", descending=False), ID)), 1),
        (ListQuery(comparisons=(Comparison("min_disk", "lt", 10**40),)), 1),
        (ListQuery(comparisons=(Comparison("name", "eq", HALF),)), 0),
        (ListQuery(comparisons=(Comparison("visibility", "eq", "shared"), Comparison("status", "neq", "?"))), 1),
        (ListQuery(comparisons=(Comparison("created_at", "lt", datetime.max),)), 1),  # noqa: DTZ901 - naive UTC
        (ListQuery(one_of=(OneOf("visibility", ()),)), 0),
        (ListQuery(one_of=(OneOf("size", ()),)), 0),
        (ListQuery(one_of=(OneOf("name", ("one", HALF)),)), 1),
        (ListQuery(tags=tuple(map(str, range(MOST_CONDITIONS)))), 0),
        (ListQuery(visibility="no such word"), 0),
    ],
)
def test_what_the_database_has_an_answer_to_is_asked(registry: Asgi, query: ListQuery, found: int) -> None:
    assert len(registry.call("list_images", query=query, viewer=ADMIN)) == found


def test_an_image_that_cannot_be_is_not_there(registry: Asgi) -> None:
    with pytest.raises(NotFound):
        registry.call("get_image", image_id=HALF, viewer=ADMIN)


def test_sizes_that_do_not_fit_are_refused_in_the_words_of_the_database(registry: Asgi) -> None:
    with pytest.raises(Invalid, match="size is not between 0 and"):
        registry.call("update_image", image_id=STORED, change=ImageChange(columns={"size": 2**64}))
    with pytest.raises(Invalid, match="min_disk is not between 0 and"):
        registry.call("create_image", image=image(min_disk=2**64))


def test_a_definition_of_the_most_levels_is_read_back(registry: Asgi) -> None:
    schema = nested(MOST_LEVELS - 1)
    registry.call("add_item", namespace="n", item=MetadefProperty(name="deep", schema=schema))
    assert [each.schema for each in registry.call("list_items", namespace="n", kind=MetadefProperty)] == [schema]
    assert registry.call("export_namespaces", names=["n"])[0].properties[0].schema == schema


def test_the_rules_are_about_what_exists() -> None:
    for kind, name in _FIELDS:
        assert name in kind.__struct_fields__
    assert all(issubclass(kind, msgspec.Struct) for kind in _RECORDS)
