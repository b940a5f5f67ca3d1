"""Checks after a drill, once the database is back: everything is as the operations must have left it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.support.drill import Client, DrilledImage, Possible, Tally, identity
from tests.support.raw_http import Api


def check(clients: Iterable[Client], port: int, tally: Tally) -> dict[str, str | None]:
    """Compare every image and namespace with what it must be; returns the ids that are there, with their digests.

    :raises AssertionError: something acknowledged is lost, something refused is there, or something is half done.
    """
    there: dict[str, str | None] = {}
    for client in clients:
        api = Api(port, identity(client.project))
        for image in client.images:
            answer = api.call("GET", f"/v2/images/{image.id}")
            assert answer.status in {200, 404}, (answer.status, answer.text)
            if answer.status == 404:
                assert None in image.there or "deleted" in image.there, f"image {image.id} is lost"
                tally.verified["delete"] += image.there.values == ["deleted"]
                continue
            assert True in image.there, f"image {image.id} is there, and should be {image.there.values}"
            _check_image(api, image, answer.json, tally)
            there[image.id] = answer.json["os_hash_value"]
        _check_namespaces(Api(port, identity("admin", "admin,member,reader")), client, tally)
    return there


def _check_image(api: Api, image: DrilledImage, document: dict[str, Any], tally: Tally) -> None:
    tally.verified["create"] += image.there.is_known
    assert document["name"] in image.name, (document["name"], image.name.values)
    tally.verified["patch"] += image.name.is_known and document["name"] != f"name of {image.id}"
    _same(image.tags, set(document["tags"]), f"tags of image {image.id}")
    tally.verified["tag"] += _known(image.tags) - image.there.is_known
    members = api.call("GET", f"/v2/images/{image.id}/members")
    assert members.status == 200, members.text
    _same(image.members, {one["member_id"] for one in members.json["members"]}, f"members of image {image.id}")
    tally.verified["share"] += _known(image.members)
    data = api.download(image.id)
    if document["status"] == "active":
        digest = hashlib.sha512(data.body).hexdigest()
        assert digest == document["os_hash_value"], f"the data of image {image.id} are not those of its digest"
        assert len(data.body) == document["size"]
    else:
        assert document["status"] == "queued", document
        assert (data.status, document["size"], document["os_hash_value"]) == (204, None, None)
        digest = None
    assert digest in image.data, f"image {image.id} has other data than it must have, or none"
    tally.verified["upload"] += image.data.is_known and digest is not None


def _check_namespaces(admin: Api, client: Client, tally: Tally) -> None:
    for name, (there, tags) in client.namespaces.items():
        answer = admin.call("GET", f"/v2/metadefs/namespaces/{name}/tags")
        if answer.status == 404:
            assert None in there, f"namespace {name} is lost"
            continue
        assert answer.status == 200, answer.text
        assert True in there, f"namespace {name} is there"
        _same(tags, {tag["name"] for tag in answer.json["tags"]}, f"tags of namespace {name}")
        # its creation, and the tags that were added; the first came with it
        tally.verified["metadef"] += there.is_known + _known(tags) - 1


def _same(expected: dict[str, Possible], found: set[str], what: str) -> None:
    lost = {name for name, there in expected.items() if there.values == [True]} - found
    assert not lost, f"{what} are lost: {lost}"
    strange = {name for name in found if name not in expected or True not in expected[name]}
    assert not strange, f"{what} were refused and are there: {strange}"


def _known(values: dict[str, Possible]) -> int:
    return sum(one.values == [True] for one in values.values())


def unfinished(engine: sa.Engine) -> list[str]:
    """What is under way according to the rows: leases, and images in a state that does not stay."""
    with engine.connect() as connection:
        leases = connection.exec_driver_sql(
            "SELECT type, image_id FROM glimpse_jobs WHERE due_at IS NOT NULL"
        ).fetchall()
        images = connection.exec_driver_sql(
            "SELECT status, id FROM images WHERE status NOT IN ('queued', 'active', 'deleted')"
        ).fetchall()
    return [f"{one} {other}" for one, other in (*leases, *images)]


def check_rows(engine: sa.Engine, store: Path, there: dict[str, str | None]) -> None:
    """The rows and the files of the store agree with what the API showed.

    :raises AssertionError: they do not.
    """
    active = {image_id for image_id, digest in there.items() if digest is not None}
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id, status, os_hash_value FROM images WHERE deleted IS FALSE")
        live = {image_id: (status, digest) for image_id, status, digest in rows}
        locations = connection.exec_driver_sql("SELECT image_id FROM image_locations WHERE deleted IS FALSE").scalars()
        located = sorted(locations)
    assert live == {image_id: ("active" if digest else "queued", digest) for image_id, digest in there.items()}
    assert located == sorted(active)
    files = {path.name for path in store.rglob("*") if not path.is_dir()} - {".glimpse-store"}
    assert files == active, files ^ active
