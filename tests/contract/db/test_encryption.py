"""``metadata_encryption_key``: location URLs in rows, as Glance writes them (database 7.4)."""

from __future__ import annotations

import re
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from glimpse.db.sql.encrypting import EncryptingDatabase
from glimpse.db.sql.factory import open_database
from glimpse.db.sql.location_cipher import LocationCipher
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import image_locations
from glimpse.domain.image import Image, ImageChange, Location, StoredData
from glimpse.domain.job import JobChange, JobQuery, JobStatus
from glimpse.domain.job_kinds import KINDS, JobKind, SecretText
from glimpse.domain.listing import ListQuery
from glimpse.domain.status import Status
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, LIFETIME, STORED, deletion_job, image, removal_job, upload_job
from tests.contract.db.test_jobs import draft

KEY = "0123456789abcdef"
#: Made with ``openssl enc -aes-128-cbc -nopad`` from the description of the format, with and without padding.
KNOWN = {
    "AAECAwQFBgcICQoLDA0OD0joqMkYXcKEKRrdpaV_7Qg=": "rbd://a/b/c/d",
    "AAECAwQFBgcICQoLDA0OD-teVviWeCY9U5c8RzVQfYA=": "rbd://a/b/cc/dd",
}


@pytest.fixture
def database(backend: Backend) -> EncryptingDatabase:
    return EncryptingDatabase(backend.engine, LocationCipher(KEY))


def stored_urls(backend: Backend) -> list[str]:
    return [row["value"] for row in backend.rows(image_locations)]


def active(database: EncryptingDatabase, *urls: str) -> Image:
    made = image(status=Status.ACTIVE, locations=tuple(Location(url=url) for url in urls))
    database.create_image(made)
    return database.get_image(made.id, ADMIN)


class TestCipher:
    @pytest.mark.parametrize("stored", KNOWN)
    def test_rows_of_glance_are_read(self, stored: str) -> None:
        assert LocationCipher(KEY).decrypt(stored) == KNOWN[stored]

    @pytest.mark.parametrize("key", ["0" * 16, "0" * 24, "0" * 32, "ä" * 8])
    @pytest.mark.parametrize("length", [0, 1, 14, 15, 16, 17, 31, 32, 1000])
    def test_back_and_forth(self, key: str, length: int) -> None:
        cipher = LocationCipher(key)
        text = "ü" + "x" * length
        first, second = cipher.encrypt(text), cipher.encrypt(text)
        assert first != second
        assert cipher.decrypt(first) == cipher.decrypt(second) == text
        assert re.fullmatch(r"[A-Za-z0-9_=-]+", first)

    @pytest.mark.parametrize("stored", ["", "file:///a", "rbd://a/b", "no base64 at all", "AAAA", "A" * 44])
    def test_anything_else_is_left_as_it_is(self, stored: str) -> None:
        assert LocationCipher(KEY).decrypt(stored) == stored

    def test_another_key_gives_no_url(self) -> None:
        sealed = LocationCipher(KEY).encrypt("rbd://a/b/c/d")
        assert LocationCipher("f" * 16).decrypt(sealed) != "rbd://a/b/c/d"


def test_no_row_has_a_url_in_the_clear(backend: Backend, database: EncryptingDatabase) -> None:
    made = active(database, "web://first")
    database.update_image(made.id, ImageChange(add_locations=(Location(url="web://second"),)))
    queued = image()
    database.create_image(queued)
    upload = upload_job(queued.id)
    database.begin_upload(upload, LIFETIME)
    data = StoredData(
        size=1, virtual_size=None, checksum=STORED.checksum, os_hash_algo="sha512", os_hash_value="00",
        location=Location(url="web://third", metadata={"store": "fast"}),
    )  # fmt: skip
    database.finish_upload(upload, data)
    assert len(stored_urls(backend)) == 3
    assert not any("://" in url for url in stored_urls(backend))
    assert [one.url for one in database.get_image(made.id, ADMIN).locations] == ["web://first", "web://second"]
    assert [one.url for one in database.get_image(queued.id, ADMIN).locations] == ["web://third"]
    listed = {found.id: found for found in database.list_images(ListQuery(limit=9), ADMIN)}
    assert [one.url for one in listed[made.id].locations] == ["web://first", "web://second"]
    # without the key they are what they are
    assert "://" not in backend.database.get_image(made.id, ADMIN).locations[0].url


def test_rows_in_the_clear_are_read_too(backend: Backend, database: EncryptingDatabase) -> None:
    """Glance fails on them; its internal writers leave such rows (database 7.4)."""
    made = image(status=Status.ACTIVE, locations=(Location(url="web://plain"),))
    backend.database.create_image(made)
    database.update_image(made.id, ImageChange(add_locations=(Location(url="web://sealed"),)))
    assert [one.url for one in database.get_image(made.id, ADMIN).locations] == ["web://plain", "web://sealed"]


def test_removal(database: EncryptingDatabase) -> None:
    made = active(database, "web://a", "web://b")
    location = made.locations[0]
    removal = removal_job(made.id, location.url, location.id)
    database.begin_location_removal(removal, LIFETIME, location.id or 0)
    assert database.get_job(removal.id).input == {"url": "web://a", "location_id": location.id}
    seen = database.get_any_image(made.id)
    assert seen is not None
    assert [one.url for one in seen.locations] == ["web://b"]


def test_metadata_are_rewritten_under_the_same_url(backend: Backend, database: EncryptingDatabase) -> None:
    made = active(database, "web://a")
    before = stored_urls(backend)
    changed = Location(url="web://a", metadata={"x": "y"}, id=made.locations[0].id)
    database.update_image(made.id, ImageChange(relabel_locations=(changed,)))
    assert stored_urls(backend) == before
    assert database.get_image(made.id, ADMIN).locations[0].metadata == {"x": "y"}


@pytest.mark.parametrize("sealed", [True, False])
def test_a_rewritten_url_is_encrypted(backend: Backend, database: EncryptingDatabase, sealed: bool) -> None:
    made = image(status=Status.ACTIVE, locations=(Location(url="s3://a:secret@host/b/k"), Location(url="s3://x/b/k")))
    (database if sealed else backend.database).create_image(made)
    first, second = database.get_image(made.id, ADMIN).locations
    before = backend.rows(image_locations)
    assert first.id is not None
    assert not database.rewrite_location(made.id, first.id, second.url, "s3://host/b/k")
    assert not database.rewrite_location(made.id, first.id + 9, first.url, "s3://host/b/k")
    assert backend.rows(image_locations) == before
    assert database.rewrite_location(made.id, first.id, first.url, "s3://host/b/k")
    assert [one.url for one in database.get_image(made.id, ADMIN).locations] == ["s3://host/b/k", "s3://x/b/k"]
    after = backend.rows(image_locations)
    assert "://" not in after[0]["value"]
    assert [{**after[0], "value": None}, after[1]] == [{**before[0], "value": None}, before[1]]


def test_jobs(backend: Backend, database: EncryptingDatabase) -> None:
    made = image()
    database.create_image(made)
    job = draft(image_id=made.id, input={"loc_url": "web://secret", "image_id": made.id})
    database.add_job(job)
    assert "secret" not in backend.rows(jobs)[0]["input"]
    [due] = database.due_jobs(("location_import",), limit=1)
    claim = database.claim_job(due, "w", 5.0)
    assert claim is not None
    change = ImageChange(add_locations=(Location(url="web://secret"),))
    database.save_job(claim, JobChange(step=("a", 1)), change)
    assert "://" not in stored_urls(backend)[0]
    for found in (due, claim, database.get_job(job.id), *database.list_jobs(JobQuery()), database.cancel_job(job.id)):
        assert found.input == {"loc_url": "web://secret", "image_id": made.id}


@pytest.mark.parametrize("key", [None, Secret(""), Secret(KEY)])
def test_the_option_chooses(tmp_path: Path, key: Secret | None) -> None:
    settings = DatabaseSettings(connection=Secret(f"sqlite:///{tmp_path}/x"), metadata_encryption_key=key)
    opened = open_database(settings)
    assert isinstance(opened, EncryptingDatabase) is bool(key)
    opened.close()


SECRET = "secret-of-a-user"


def example_of(hint: Any, text: str) -> Any:
    """A value of a type of an input, with ``text`` wherever it may be a text."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return example_of(parts[0], text)
    if origin in (Union, UnionType):
        return example_of(parts[0], text)
    if origin in (list, tuple):
        return [example_of(parts[0], text)]
    if origin is dict:
        return {"key": example_of(parts[1], text)}
    return {str: text, int: 1, bool: True, float: 1.0}[hint]


def is_marked(hint: Any) -> bool:
    own = any(isinstance(one, msgspec.Meta) and one.extra for one in getattr(hint, "__metadata__", ()))
    return own or any(is_marked(part) for part in get_args(hint))


def input_with_secrets(kind: str) -> dict[str, Any]:
    hints = get_type_hints(KINDS[kind].input, include_extras=True)
    return {name: example_of(hint, SECRET if is_marked(hint) else "plain") for name, hint in hints.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_of_any_kind_of_job_reaches_a_row(backend: Backend, database: EncryptingDatabase, kind: str) -> None:
    given = input_with_secrets(kind)
    job = draft(type=kind, input=given)
    database.add_job(job)
    assert SECRET not in str(backend.rows(jobs))
    assert database.get_job(job.id).input == given
    claim = database.claim_job(database.get_job(job.id), "w", LIFETIME)
    assert claim is not None
    database.save_job(claim, JobChange(status=JobStatus.FAILED, message="m"))
    assert SECRET not in str(backend.rows(jobs))


class Fetch(msgspec.Struct, frozen=True):
    headers: dict[str, SecretText]
    urls: tuple[SecretText, ...]
    maybe: SecretText | None = None
    note: str = ""


def test_secrets_are_found_wherever_a_type_has_them(
    backend: Backend, database: EncryptingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next kind may have headers, or several URLs."""

    monkeypatch.setitem(KINDS, "fetch", JobKind(input=Fetch))
    given = {"headers": {"X": SECRET}, "urls": [SECRET], "maybe": SECRET, "note": "plain"}
    job = draft(type="fetch", input=given)
    database.add_job(job)
    (row,) = backend.rows(jobs)
    assert SECRET not in row["input"]
    assert "plain" in row["input"]
    assert database.get_job(job.id).input == given


def test_urls_of_copies_that_wait_and_of_removals(backend: Backend, database: EncryptingDatabase) -> None:
    """Every statement that inserts a job encrypts: also those that do it beside something else."""
    made = active(database, "web://secret-a", "web://secret-b")
    location = made.locations[0]
    database.begin_location_removal(removal_job(made.id, location.url, location.id), LIFETIME, location.id or 0)
    deletion = deletion_job(made.id)
    found = database.begin_deletion(deletion, LIFETIME, from_status=Status.ACTIVE)
    assert [one.url for one in found] == ["web://secret-b"]
    database.finish_deletion(deletion, [removal_job(made.id, "web://secret-c", status=JobStatus.PENDING)])
    assert "secret" not in str(backend.rows(jobs))
    urls = sorted(job.input["url"] for job in database.list_jobs(JobQuery(types=("copy_removal",))))
    assert urls == ["web://secret-a", "web://secret-c"]
