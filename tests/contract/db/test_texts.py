"""Text that cannot be stored is refused before anything is written (database 1.7; images-api 0.5)."""

from __future__ import annotations

from typing import Any

import pytest

from glimpse.db.sql.tables import image_properties, image_tags, images
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import JobChange, JobStatus
from glimpse.errors import Invalid
from tests.contract.db.backends import Backend
from tests.contract.db.examples import LIFETIME, OWNER, image, upload_job

UNSTORABLE = ["\U00010000", "a\U0001f600b", "\x00", "a\x00b", "\ud800", "\udfff"]

FIELDS = [
    lambda text: {"name": text},
    lambda text: {"owner": text},
    lambda text: {"disk_format": text},
    lambda text: {"checksum": text},
    lambda text: {"properties": {text: "v"}},
    lambda text: {"properties": {"n": text}},
    lambda text: {"tags": (text,)},
    lambda text: {"locations": (Location(url=text),)},
    lambda text: {"id": text},
]

TOO_LONG: list[dict[str, Any]] = [
    {"id": "x" * 37},
    {"name": "x" * 256},
    {"owner": "x" * 256},
    {"disk_format": "x" * 21},
    {"container_format": "x" * 21},
    {"checksum": "x" * 33},
    {"os_hash_algo": "x" * 65},
    {"os_hash_value": "x" * 129},
    {"properties": {"x" * 256: "v"}},
    {"properties": {"n": "x" * 65536}},
    {"properties": {"n": "é" * 32768}},
    {"tags": ("x" * 256,)},
    {"locations": (Location(url="x" * 65536),)},
    {"locations": (Location(url="u", metadata={"m": "x" * 65536}),)},
    {"min_disk": 2**31},
    {"min_ram": 2**31},
    {"min_ram": -1},
    {"size": 2**63},
    {"virtual_size": 2**63},
]


def refuse(backend: Backend, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        backend.database.create_image(image(**fields))
    assert backend.rows(images) == []


@pytest.mark.parametrize("text", UNSTORABLE)
def test_characters_that_a_new_image_cannot_have(backend: Backend, text: str) -> None:
    for fields in FIELDS:
        refuse(backend, fields(text))


@pytest.mark.parametrize("fields", TOO_LONG, ids=lambda fields: next(iter(fields)))
def test_values_that_are_too_long_for_a_new_image(backend: Backend, fields: dict[str, Any]) -> None:
    refuse(backend, fields)


def test_the_longest_values_fit(backend: Backend) -> None:
    stored = image(
        name="\uffff" * 255,
        owner="é" * 255,
        properties={"é" * 255: "x" * 65535, "n": "é" * 32767},
        tags=("é" * 255,),
        locations=(Location(url="x" * 65535),),
        size=2**63 - 1,
    )
    backend.database.create_image(stored)
    read = backend.database.get_image(stored.id, OWNER.__class__("é" * 255))
    assert (read.name, read.properties, read.tags, read.size) == (
        stored.name,
        stored.properties,
        stored.tags,
        stored.size,
    )
    assert len(read.locations[0].url) == 65535


def changes(text: str) -> list[ImageChange]:
    return [
        ImageChange(columns={"name": text}),
        ImageChange(columns={"owner": text}),
        ImageChange(set_properties={text: "v"}),
        ImageChange(set_properties={"n": text}),
        ImageChange(tags=("fine", text)),
        ImageChange(add_tags=(text,)),
    ]


@pytest.mark.parametrize("text", [*UNSTORABLE, "x" * 65536])
def test_texts_that_no_change_can_write(backend: Backend, text: str) -> None:
    stored = image(name="n", properties={"a": "1"}, tags=("t",))
    backend.database.create_image(stored)
    before = (backend.rows(images), backend.rows(image_properties), backend.rows(image_tags))
    for change in changes(text):
        with pytest.raises(Invalid):
            backend.database.update_image(stored.id, change)
    assert (backend.rows(images), backend.rows(image_properties), backend.rows(image_tags)) == before


@pytest.mark.parametrize("columns", [{"min_disk": 2**31}, {"min_ram": -1}, {"size": 2**63}])
def test_numbers_that_no_change_can_write(backend: Backend, columns: dict[str, int]) -> None:
    stored = image()
    backend.database.create_image(stored)
    with pytest.raises(Invalid):
        backend.database.update_image(stored.id, ImageChange(columns=columns))


@pytest.mark.parametrize("reason", [*UNSTORABLE, "x" * 65536])
def test_reasons_that_cannot_be_written(backend: Backend, reason: str) -> None:
    stored = image()
    backend.database.create_image(stored)
    held = upload_job(stored.id)
    backend.database.begin_upload(held, LIFETIME)
    with pytest.raises(Invalid):
        backend.database.cancel_upload(held, JobChange(status=JobStatus.FAILED, message=reason))
    assert backend.rows(images)[0]["status"] == "saving"
    assert backend.database.count_jobs() == {"upload": {"running": 1}}
