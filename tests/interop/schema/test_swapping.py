"""A real Glance and Glimpse take turns on one database and one set of stores; each can use the other's data."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.interop.keystone_rig import keystone_rig
from tests.support.glance_rig import Installation, installation, send
from tests.support.raw_http import Api
from tests.support.schema_facts import Facts, counts, differences, schema_facts

OWNER, FRIEND, STRANGER = "1" * 32, "2" * 32, "3" * 32
SIZE = 300 << 10
#: The key of what was downloaded.
DIGEST = "digest"
#: In seconds.
RETRIES = 120.0
TABLES = ("images", "image_properties", "image_tags", "image_members", "image_locations")
#: As SQLite has it.
STORED_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")

#: Kind of database, and what ``glance-conf`` is told besides; the one with two stores has a Keystone.
SETUPS: dict[str, tuple[str, ...]] = {
    "sqlite": (),
    "postgresql": ("--store", "multi", "--profile", "full"),
    "mysql": (),
}


#: What a service tells: a subject and a field → its value.
Told = dict[tuple[str, str], object]


def all_told(api: Api) -> Told:
    """All that a service tells about its images, their members and data, and about definitions."""
    told: Told = {}
    for query in ("os_hidden=false", "os_hidden=true", "visibility=community"):
        listed = send(api, "GET", f"/v2/images?limit=100&sort=name:asc&{query}", expect=200).json["images"]
        told["images", query] = [image["id"] for image in listed]
        for image in listed:
            shown = api.show(image["id"])
            for document in (image, shown):
                document["tags"] = in_order(document["tags"])
            assert image == shown
            told |= {(shown["name"], key): value for key, value in shown.items()}
            if shown["visibility"] == "shared":
                told[shown["name"], "members"] = send(api, "GET", f"/v2/images/{shown['id']}/members", expect=200).json
            if shown["status"] == "active":
                told[shown["name"], DIGEST] = digest(api.download(shown["id"]).body)
    listed = send(api, "GET", "/v2/metadefs/namespaces?limit=100&sort_key=namespace&sort_dir=asc", expect=200).json
    told["namespaces", "order"] = [namespace["namespace"] for namespace in listed["namespaces"]]
    for namespace in listed["namespaces"]:
        told |= {(namespace["namespace"], key): in_order(value) for key, value in namespace.items()}
    for path in ("namespaces/Test::Ours", "namespaces/OS::Compute::Watchdog", "resource_types"):
        answer = send(api, "GET", f"/v2/metadefs/{path}", expect=200)
        told |= {(path, key): in_order(value) for key, value in answer.json.items()}
    return told


def in_order(value: Any) -> Any:
    """Sorted, if it is a list: Glance gives tags and associations in an order that changes."""
    return sorted(value, key=lambda item: json.dumps(item, sort_keys=True)) if isinstance(value, list) else value


def assert_same(expected: Told, found: Told) -> None:
    assert [
        (fact, expected.get(fact, "none"), found.get(fact, "none"))
        for fact in expected.keys() | found.keys()
        if expected.get(fact, "none") != found.get(fact, "none")
    ] == []


def of_images(told: Told, key: str) -> int:
    """How many images have a field."""
    return sum(field == key for _, field in told)


def digest(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()


def with_data(api: Api, name: str, **fields: object) -> str:
    """Create an image and upload random data; returns its id."""
    image_id = api.new(name=name, owner=OWNER, **fields)
    data = os.urandom(SIZE)
    answer = api.upload(image_id, data)
    assert answer.status == 204, answer.text
    image = api.show(image_id)
    assert (image["status"], image["size"], image["os_hash_value"]) == ("active", SIZE, digest(data))
    return image_id


def change(api: Api, image_id: str, *operations: tuple[str, str, object]) -> None:
    document = [
        {"op": op, "path": path} | ({} if op == "remove" else {"value": value}) for op, path, value in operations
    ]
    answer = api.patch(image_id, document)
    assert answer.status == 200, answer.text


def member(api: Api, image_id: str, project: str, status: str | None = None) -> None:
    send(api, "POST", f"/v2/images/{image_id}/members", {"member": project}, expect=200)
    if status:
        send(api, "PUT", f"/v2/images/{image_id}/members/{project}", {"status": status}, expect=200)


def tag(api: Api, image_id: str, *tags: str) -> None:
    for one in tags:
        send(api, "PUT", f"/v2/images/{image_id}/tags/{one}", expect=204)


def fill(api: Api, mark: str) -> dict[str, str]:
    """Make images in every state that stays, with what images have; returns their ids by role."""
    ids = {
        "full": with_data(api, f"{mark} full", a="1", b="ünïcode", min_ram=64, min_disk=2, visibility="shared"),
        "changed": with_data(api, f"{mark} changed", keep="1", gone="2", tags=["x", "y"], visibility="shared"),
        "deactivated": with_data(api, f"{mark} deactivated", os_hidden=True, visibility="public"),
        "protected": with_data(api, f"{mark} protected", protected=True, visibility="private"),
        "queued": api.new(name=f"{mark} queued", visibility="community", owner=OWNER),
        "deleted": with_data(api, f"{mark} deleted", a="1", tags=["x"], visibility="shared"),
        "left": with_data(api, f"{mark} deleted", a="1", tags=["x"], visibility="shared"),
    }
    for role in ("full", "deleted", "left"):
        member(api, ids[role], FRIEND, "accepted")
        member(api, ids[role], STRANGER)
    tag(api, ids["full"], "one", "two")
    # rows that were deleted and came back
    change(api, ids["changed"], ("remove", "/gone", None), ("replace", "/keep", "other"), ("add", "/new", ""))
    change(api, ids["changed"], ("add", "/gone", "here again"))
    send(api, "DELETE", f"/v2/images/{ids['changed']}/tags/x", expect=204)
    tag(api, ids["changed"], "x")
    member(api, ids["changed"], FRIEND)
    send(api, "DELETE", f"/v2/images/{ids['changed']}/members/{FRIEND}", expect=204)
    member(api, ids["changed"], FRIEND, "rejected")
    send(api, "POST", f"/v2/images/{ids['deactivated']}/actions/deactivate", expect=204)
    assert api.delete(ids["deleted"]).status == 204
    return ids


def fill_definitions(api: Api) -> None:
    """A namespace with an object, a property, tags and an association."""
    place = "/v2/metadefs/namespaces"
    namespace = {"namespace": "Test::Ours", "visibility": "public", "description": "ours", "owner": OWNER}
    send(api, "POST", place, namespace, expect=201)
    place = f"{place}/Test::Ours"
    texture = {"name": "texture", "title": "Texture", "type": "string", "enum": ["smooth", "rough"]}
    send(api, "POST", f"{place}/properties", texture, expect=201)
    shape = {"name": "shape", "description": "s", "properties": {"corners": {"title": "C", "type": "integer"}}}
    send(api, "POST", f"{place}/objects", shape, expect=201)
    for name in ("red", "green"):
        send(api, "POST", f"{place}/tags/{name}", expect=201)
    send(api, "POST", f"{place}/resource_types", {"name": "OS::Glance::Image", "prefix": "p_"}, expect=201)


def import_one(api: Api, stores: list[str]) -> None:
    """An image that Glance imports in the background, which it cannot without Keystone: tasks have an owner there."""
    image_id = api.new(name="imported", owner=OWNER)
    answer = api.call(
        "PUT", f"/v2/images/{image_id}/stage", os.urandom(SIZE), {"Content-Type": "application/octet-stream"}
    )
    assert answer.status == 204, answer.text
    request = {"method": {"name": "glance-direct"}, "stores": stores}
    send(api, "POST", f"/v2/images/{image_id}/import", request, expect=202)
    wait_for(lambda: api.show(image_id)["status"] == "active" and not api.show(image_id).get("os_glance_import_task"))


def wait_for(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + RETRIES
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def rows_of(place: Installation, image_id: str) -> list[str]:
    """All rows of an image as the driver gives them, without what no two images have in common."""
    found: list[str] = []
    with place.engine() as engine, engine.connect() as connection:
        for table in TABLES:
            key = "id" if table == "images" else "image_id"
            rows = connection.exec_driver_sql(f"SELECT * FROM {table} WHERE {key} = '{image_id}'").mappings()
            found += sorted(f"{table}: {_comparable(dict(row), image_id)}" for row in rows)
    return found


def _comparable(row: dict[str, Any], image_id: str) -> str:
    if not row["deleted"]:
        # Glance leaves an old time in a row that it revives; Glimpse does not (database 6)
        row["deleted_at"] = None
    for name, value in row.items():
        if isinstance(value, datetime) or (isinstance(value, str) and STORED_TIME.fullmatch(value)):
            row[name] = "a time"
        elif isinstance(value, str):
            row[name] = value.replace(image_id, "ID")
            if name in {"checksum", "os_hash_value"}:
                row[name] = f"{len(value)} digits"
            elif name == "name":
                row[name] = value.split()[-1]
        elif name == "id":
            row[name] = type(value).__name__
    return ", ".join(f"{name} {value!r}" for name, value in row.items())


def kept_files(place: Installation, image_id: str) -> list[Path]:
    return [path for path in place.data.rglob("*") if path.is_file() and image_id in path.name]


def back_to_glance(place: Installation, plain: Facts) -> None:
    """Drop what Glimpse added; the tables must be those of the beginning, which Glance finds up to date."""
    place.ok("db", "drop-extensions", "--yes")
    with place.engine() as engine:
        assert differences(plain, schema_facts(engine)) == []
    assert place.command("db", "check").returncode == 3


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", SETUPS)
def test_they_take_turns(kind: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    several = "multi" in SETUPS[kind]
    token = keystone_rig().token("admin", "admin") if several else None
    with installation(kind, SETUPS[kind], token=token) as place:
        place.make_tables(metadefs=True)
        with place.engine() as engine:
            plain = schema_facts(engine)

        with place.glance() as glance:
            made = fill(glance, "glance")
            if several:
                import_one(glance, ["fast", "slow"])
            fill_definitions(glance)
            before = all_told(glance)
        rows = {role: rows_of(place, image_id) for role, image_id in made.items()}
        assert {row.partition(":")[0] for row in rows["full"]} == set(TABLES)

        refused = place.command("serve", "--data-dir", str(tmp_path / "refused"))
        assert refused.returncode == 1
        assert "Run `glimpse db sync`" in refused.stderr
        place.ok("db", "sync")
        with place.glimpse(tmp_path) as glimpse:
            assert_same(before, all_told(glimpse))
            ours = fill(glimpse, "glimpse")
            assert {role: rows_of(place, image_id) for role, image_id in ours.items()} == rows
            made |= {f"our {role}": image_id for role, image_id in ours.items()}
            change(glimpse, made["full"], ("replace", "/a", "2"), ("remove", "/b", None), ("add", "/c", "3"))
            tag(glimpse, made["full"], "three")
            send(glimpse, "PUT", f"/v2/images/{made['full']}/members/{STRANGER}", {"status": "accepted"}, expect=200)
            assert glimpse.upload(made["queued"], os.urandom(SIZE)).status == 204
            assert kept_files(place, made["left"])
            assert glimpse.delete(made["left"]).status == 204
            assert not kept_files(place, made["left"])
            send(glimpse, "POST", f"/v2/images/{made['deactivated']}/actions/reactivate", expect=204)
            send(glimpse, "POST", "/v2/metadefs/namespaces/Test::Ours/tags/blue", expect=201)
            between = all_told(glimpse)
        assert rows_of(place, made["left"]) == rows["deleted"]

        if kind != "mysql":
            back_to_glance(place, plain)
        place.make_tables()
        with place.glance() as glance:
            assert_same(between, all_told(glance))
            for role in ("our full", "our changed", "queued"):
                change(glance, made[role], ("add", "/seen", "by Glance"), ("replace", "/name", f"renamed {role}"))
                tag(glance, made[role], "seen")
                member(glance, made[role], "4" * 32, "accepted") if role != "queued" else None
            send(glance, "DELETE", f"/v2/images/{made['our full']}/tags/one", expect=204)
            send(glance, "DELETE", f"/v2/images/{made['our full']}/members/{FRIEND}", expect=204)
            assert glance.upload(made["our queued"], os.urandom(SIZE)).status == 204
            assert kept_files(place, made["our left"])
            assert glance.delete(made["our left"]).status == 204
            assert not kept_files(place, made["our left"])
            after = all_told(glance)
        assert rows_of(place, made["our left"]) == rows["deleted"]

        if kind == "mysql":
            # Glance has served the database with what Glimpse adds to it
            back_to_glance(place, plain)
        place.ok("db", "sync")
        with place.glimpse(tmp_path) as glimpse:
            assert_same(after, all_told(glimpse))
            with_data(glimpse, "the last")
        numbers = counts(plain)
        record_property(
            "report",
            f"{kind}: {of_images(before, 'id')} images of Glance read by Glimpse, {of_images(between, 'id')} of both "
            f"by Glance, {of_images(after, 'id')} by Glimpse again, {of_images(after, DIGEST)} with data; "
            f"{len(after)} values equal; {sum(numbers.values())} facts about the tables as before",
        )
