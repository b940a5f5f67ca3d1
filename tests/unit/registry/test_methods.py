"""The table of methods: complete, and exact in what it carries."""

from __future__ import annotations

import math
import string
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glimpse.db.base import Database
from glimpse.db.operations import Repetition
from glimpse.db.records import Viewer
from glimpse.db.sql.database import READS, SqlDatabase
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Job, JobChange
from glimpse.domain.listing import Comparison, ListQuery
from glimpse.domain.metadef import MetadefObject, MetadefProperty, MetadefTag
from glimpse.domain.status import Status
from glimpse.errors import Invalid
from glimpse.registry.errors import UnknownMethod
from glimpse.registry.methods import LOCAL, METHODS, Method
from glimpse.registry.wire import Role

MOMENT = datetime(2026, 11, 22, 10, 6, 31, 17)  # noqa: DTZ001 - naive UTC, as everywhere in the database
EXAMPLES = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

#: Texts of all kinds: plain, of any plane, with halves of surrogate pairs.
TEXTS = st.text(string.ascii_letters, max_size=8) | st.text(st.characters(), max_size=4)
INTEGERS = st.integers() | st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**40])
FLOATS = st.floats(allow_nan=False)
MOMENTS = st.datetimes()
ANYTHING = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS | MOMENTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SCALARS: Mapping[Any, st.SearchStrategy[Any]] = {
    str: TEXTS, int: INTEGERS, float: FLOATS, bool: st.booleans(), datetime: MOMENTS, Any: ANYTHING,
    type(None): st.none(),
}  # fmt: skip


def values(hint: Any) -> st.SearchStrategy[Any]:
    """All values of a type that the protocol uses."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, TypeVar):
        return st.one_of(*map(values, hint.__constraints__))
    if origin is type:
        kinds = parts[0].__constraints__ if isinstance(parts[0], TypeVar) else get_args(parts[0])
        return st.sampled_from(kinds)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values, parts))
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        if parts[1:] == (...,):
            return st.lists(values(parts[0]), max_size=3).map(tuple)
        return st.tuples(*map(values, parts))
    if origin in (list, Sequence, Collection):
        return st.lists(values(parts[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if issubclass(hint, msgspec.Struct):
        return records(hint)
    raise TypeError(hint)


def records(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Records with any values; new values of columns have the types of the columns."""
    fields = {name: values(hint) for name, hint in get_type_hints(kind).items()}
    if kind is ImageChange:
        columns = {name: values(hint) for name, hint in get_type_hints(Image).items() if name != "locations"}
        fields["columns"] = st.fixed_dictionaries({}, optional=columns)
    return st.builds(kind, **fields)


def hints_of(method: Method) -> dict[str, Any]:
    return get_type_hints(getattr(Database, method.name))


def arguments_of(method: Method) -> st.SearchStrategy[dict[str, Any]]:
    hints = {name: values(hint) for name, hint in hints_of(method).items() if name != "return"}
    return st.fixed_dictionaries(hints)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, msgspec.Struct):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}


def test_every_method_of_the_protocol_is_there_and_nothing_else() -> None:
    assert set(METHODS) == public(Database) - LOCAL
    assert set(METHODS) <= public(SqlDatabase)
    assert all(name == method.name for name, method in METHODS.items())


def test_what_removes_for_good_is_for_admins() -> None:
    admin = {name for name, method in METHODS.items() if method.role is Role.ADMIN}
    assert admin == {"load_namespace", "unload_namespaces", "count_purgeable", "purge_batch"}


def test_a_replica_serves_only_what_answers_requests_that_change_nothing() -> None:
    assert set(READS) == {
        "get_image", "list_images", "list_members", "list_jobs", "get_job", "list_namespaces", "get_namespace",
        "get_content", "list_resource_types", "list_associations", "list_items", "list_tags", "get_item",
        "export_namespaces", "list_tasks", "get_task", "list_image_tasks",
    }  # fmt: skip
    assert all(METHODS[name].repetition is Repetition.READ for name in READS)


def test_compare_and_set_is_never_run_again() -> None:
    """A second claim would find the first one and say that somebody else has it."""
    again = {name for name, method in METHODS.items() if method.repetition is not Repetition.WRITE}
    assert not again & {"claim_job", "begin_upload", "begin_deletion", "add_job", "save_job"}
    assert {"get_image", "list_images", "renew_jobs"} <= again


@pytest.mark.parametrize("name", METHODS)
def test_arguments_arrive_as_they_were_sent(name: str) -> None:
    method = METHODS[name]

    @EXAMPLES
    @given(arguments_of(method))
    def check(arguments: dict[str, Any]) -> None:
        assert same(method.decode_arguments(method.encode_arguments(arguments)), arguments)

    check()


@pytest.mark.parametrize("key", ["plain", "half \ud800"])
@pytest.mark.parametrize("value", [2**64, "half \udfff", MOMENT, {"deep \ud801": [-(2**63) - 1]}])
def test_what_msgpack_has_no_form_for_arrives_too(key: str, value: Any) -> None:
    item = MetadefProperty(name="n", schema={key: value})
    assert same(decoded("add_item", "ns", item)["item"], item)
    method = METHODS["get_item"]
    assert same(method.decode_result(method.encode_result(item)), item)


@pytest.mark.parametrize("name", METHODS)
def test_results_arrive_as_they_were_sent(name: str) -> None:
    method = METHODS[name]

    @EXAMPLES
    @given(values(hints_of(method)["return"]))
    def check(result: Any) -> None:
        assert same(method.decode_result(method.encode_result(result)), result)

    check()


@pytest.mark.parametrize("name", METHODS)
def test_other_bytes_are_invalid_or_arguments(name: str) -> None:
    """Broken and shortened arguments of this method, and bytes of any kind."""
    method = METHODS[name]

    @EXAMPLES
    @given(arguments_of(method).map(method.encode_arguments), st.integers(0), st.integers(0, 255), st.binary())
    def check(body: bytes, place: int, byte: int, noise: bytes) -> None:
        place %= len(body)
        for broken in (body[:place], body[:place] + bytes([byte]) + body[place + 1 :], noise, body + noise):
            for decode in (method.decode_arguments, method.decode_result):
                try:
                    decode(broken)
                except (Invalid, UnknownMethod):
                    continue

    check()


def decoded(name: str, *given: Any, **named: Any) -> dict[str, Any]:
    method = METHODS[name]
    arguments = dict(zip(method.positional, given, strict=False)) | named
    return method.decode_arguments(method.encode_arguments(arguments))


def test_arguments_that_are_not_given_have_their_defaults() -> None:
    found = decoded("due_jobs", ("t",), limit=1)
    assert found == {"types": ["t"], "stores": (), "limit": 1, "without_owners": ()}
    assert decoded("export_namespaces") == {"names": ()}
    assert decoded("get_any_image", "i") == {"image_id": "i"}


def test_views_of_dictionaries_are_collections() -> None:
    assert decoded("due_jobs", {"a": 1, "b": 2}.keys(), limit=1)["types"] == ["a", "b"]
    assert set(decoded("due_jobs", frozenset("ab"), limit=1)["types"]) == {"a", "b"}


def test_times_within_anything_stay_times() -> None:
    kept = {"at": MOMENT, "text": MOMENT.isoformat(), "deep": [{"at": MOMENT}, 2**70]}
    job = Job(id="j", type="t", created_at=MOMENT, updated_at=MOMENT, input=kept, steps={"one": MOMENT})
    assert same(decoded("add_job", job)["job"], job)
    change = JobChange(step=("two", kept))
    assert same(decoded("save_job", job, change)["change"], change)


def test_new_values_of_columns_have_the_types_of_an_image() -> None:
    change = ImageChange(columns={"status": Status.ACTIVE, "name": None, "size": 2**62, "created_at": MOMENT})
    assert same(decoded("update_image", "i", change)["change"], change)
    with pytest.raises(Invalid):
        decoded("update_image", "i", ImageChange(columns={"size": "much"}))
    # the database refuses it, in its own words
    assert decoded("update_image", "i", ImageChange(columns={"no_such": 1}))["change"].columns == {"no_such": 1}


@pytest.mark.parametrize("value", ["2026-11-22", 1, 10**1000, True, MOMENT])
def test_values_of_filters_keep_their_types(value: Any) -> None:
    query = ListQuery(comparisons=(Comparison("name", "eq", value),))
    assert same(decoded("list_images", query, Viewer(None))["query"], query)


@pytest.mark.parametrize("value", [1.5, None, [], {}, b"bytes"])
def test_values_of_filters_have_no_other_types(value: Any) -> None:
    with pytest.raises(Invalid):
        decoded("list_images", ListQuery(comparisons=(Comparison("name", "eq", value),)), Viewer(None))


@pytest.mark.parametrize("item", [MetadefTag(name="n"), MetadefObject(name="n"), MetadefProperty(name="n", schema={})])
def test_records_that_look_alike_are_told_apart(item: Any) -> None:
    assert same(decoded("add_item", "ns", item)["item"], item)
    method = METHODS["replace_item"]
    assert same(method.decode_result(method.encode_result((item, item))), (item, item))
    assert decoded("get_item", "ns", type(item), "n")["kind"] is type(item)


def test_fields_of_a_newer_client_are_ignored() -> None:
    newer = {"image_id": "i", "viewer": {"project_id": "p", "is_admin": False, "since_next_year": 1}}
    assert METHODS["get_image"].decode_arguments(msgspec.msgpack.encode(newer))["viewer"] == Viewer("p")


def test_arguments_of_a_newer_client_are_not_ignored() -> None:
    newer = {"image_id": "i", "viewer": Viewer("p"), "with_history": True}
    with pytest.raises(UnknownMethod, match="older than this node"):
        METHODS["get_image"].decode_arguments(msgspec.msgpack.encode(newer))


@pytest.mark.parametrize(
    "arguments",
    [
        {"image_id": "i"},
        {"image_id": 1, "viewer": Viewer("p")},
        {"image_id": "i", "viewer": {"project_id": "p", "is_admin": 1}},
        {"image_id": "i", "viewer": None},
        {"image_id": None, "viewer": Viewer("p")},
        [],
        None,
    ],
)
def test_types_are_checked(arguments: Any) -> None:
    with pytest.raises(Invalid):
        METHODS["get_image"].decode_arguments(msgspec.msgpack.encode(arguments))


@pytest.mark.parametrize(
    "extension",
    [
        msgspec.msgpack.Ext(1, b"yesterday"),
        msgspec.msgpack.Ext(3, b"\xff"),
        msgspec.msgpack.Ext(4, b"\x91\x92\x90\x01"),
        msgspec.msgpack.Ext(4, b"\x91\x92\x80\x01"),
        msgspec.msgpack.Ext(4, b"no pairs"),
        msgspec.msgpack.Ext(99, b""),
        datetime(2026, 1, 1, tzinfo=UTC),
    ],
)
def test_extensions_are_checked(extension: Any) -> None:
    query = {"comparisons": [{"column": "name", "op": "eq", "value": extension}]}
    body = msgspec.msgpack.encode({"query": query, "viewer": Viewer(None)})
    with pytest.raises(Invalid):
        METHODS["list_images"].decode_arguments(body)


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("encode", [msgspec.msgpack.encode, lambda value: b"\x91" * 500_000])
def test_what_is_nested_too_deeply_is_invalid(encode: Callable[[Any], bytes]) -> None:
    with pytest.raises(Invalid):
        METHODS["add_job"].decode_arguments(encode({"job": nested(400)}))
    job = Job(id="j", type="t", created_at=MOMENT, updated_at=MOMENT, input={"deep": nested(100_000)})
    with pytest.raises(Invalid, match="nested too deeply"):
        METHODS["add_job"].encode_arguments({"job": job})


def test_infinity_is_carried() -> None:
    assert decoded("renew_jobs", "o", [], math.inf)["lifetime"] == math.inf


def test_an_image_of_common_size_is_decoded_in_one_step() -> None:
    """What most calls carry takes no detour through Python objects; see :mod:`glimpse.registry.codec`."""
    stored = Image(
        id="i", created_at=MOMENT, updated_at=MOMENT, locations=(Location(url="u", metadata={"store": "s"}),)
    )
    body = METHODS["get_image"].encode_result(stored)
    assert msgspec.msgpack.decode(body, type=Image) == stored
