"""Staging the data of images (images-api 4.3; imports-and-stores 2.2 and 9.3)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from glimpse.context import Context
from glimpse.domain.image import ImageChange
from glimpse.domain.job import JobQuery
from glimpse.domain.job_kinds import IMAGE_IMPORT, STAGING, ImageImportInput, NoInput
from glimpse.domain.properties import FAILED_UPLOAD, IMPORT_LOCK
from glimpse.errors import Conflict, Gone, LeaseLost, StoreUnavailable
from glimpse.jobs.staging_clean_up import clean_up_staging
from glimpse.jobs.steps.staging import INTERRUPTED
from glimpse.services.staging import StageRequest, stage_image
from glimpse.settings.model import Imports, Limits
from glimpse.staging.directory import StagingWriter
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.small_disk import small_file_system
from tests.support.wire import ADMIN, OTHER, READER, Answer, Wire, settings_in, wired

DATA = bytes(range(256)) * 41 + b"tail"
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def image(wire: Wire) -> str:
    return str(wire("POST", "/v2/images", json_body={"name": "without formats"}).json["id"])


def stage(wire: Wire, image_id: str, body: bytes | list[bytes] = DATA, **headers: str) -> Answer:
    return wire("PUT", f"/v2/images/{image_id}/stage", body, {**OCTETS, **headers})


def begin(wire: Wire, image_id: str, size: int | None = None) -> Generator[None, bytes | None, None]:
    """A stage that waits for its first data."""
    context = Context(request_id="req-1", user_id="u1", project_id="p1", roles=frozenset({"member", "reader"}))
    steps = stage_image(wire.service.deps, context, StageRequest(image_id, size))
    next(steps)
    return steps


def status(wire: Wire, image_id: str) -> str:
    return str(wire("GET", f"/v2/images/{image_id}").json["status"])


def staged(wire: Wire) -> list[str]:
    """The names of all files in the staging area."""
    directory = wire.settings.data_dir / "staging"
    return sorted(os.listdir(directory)) if directory.exists() else []


def jobs_end(wire: Wire) -> None:
    """Whoever holds a job is dead, and the runner recovers it."""
    with wire.rows() as connection:
        let_leases_run_out(connection)
    run_due(wire.service.jobs)


def assert_queued_again(wire: Wire, image_id: str) -> None:
    shown = wire("GET", f"/v2/images/{image_id}").json
    assert (shown["status"], shown["size"]) == ("queued", None)
    assert staged(wire) == []
    assert wire.service.deps.database.count_jobs() == {}
    assert stage(wire, image_id).status == 204


class TestSuccess:
    def test_an_image_without_formats(self, wire: Wire, image: str) -> None:
        answer = stage(wire, image)
        assert (answer.status, answer.body) == (204, b"")
        shown = wire("GET", f"/v2/images/{image}").json
        assert (shown["status"], shown["size"], shown["virtual_size"]) == ("uploading", len(DATA), None)
        assert (shown["checksum"], shown["os_hash_algo"], shown["os_hash_value"]) == (None, None, None)
        assert staged(wire) == [image]
        assert (wire.settings.data_dir / "staging" / image).read_bytes() == DATA
        assert wire.stored() == []
        assert wire("GET", f"/v2/images/{image}/file").status == 204
        assert wire.service.deps.database.count_jobs() == {}

    @pytest.mark.parametrize("body", [b"", [b"a", b"bc"], [b"x"] * 1000])
    def test_any_length(self, wire: Wire, image: str, body: bytes | list[bytes]) -> None:
        assert stage(wire, image, body).status == 204
        whole = b"".join([body] if isinstance(body, bytes) else body)
        assert wire("GET", f"/v2/images/{image}").json["size"] == len(whole)
        assert (wire.settings.data_dir / "staging" / image).read_bytes() == whole
        # nothing needs a record of it
        assert wire.service.deps.database.list_jobs(JobQuery(image_id=image)) == []

    def test_the_image_is_uploading_while_data_arrive(self, wire: Wire, image: str) -> None:
        steps = begin(wire, image)
        steps.send(b"abc")
        shown = wire("GET", f"/v2/images/{image}").json
        assert (shown["status"], shown["size"]) == ("uploading", None)
        assert wire.service.deps.staging.size(image) is None
        assert stage(wire, image).status == 409
        assert wire.upload(image, b"abc").status == 409
        with pytest.raises(StopIteration):
            steps.send(None)
        assert wire("GET", f"/v2/images/{image}").json["size"] == 3

    def test_a_stale_file_is_replaced(self, wire: Wire, image: str) -> None:
        area = wire.settings.data_dir / "staging"
        area.mkdir()
        (area / image).write_bytes(b"left by an earlier version")
        (area / f"{image}.uc").write_bytes(b"unpacked")
        assert stage(wire, image).status == 204
        assert staged(wire) == [image]
        assert (area / image).read_bytes() == DATA


class TestRefusals:
    def test_statuses(self, wire: Wire, image: str) -> None:
        stage(wire, image)
        assert stage(wire, image, b"other").status == 409
        assert (wire.settings.data_dir / "staging" / image).read_bytes() == DATA
        active = str(wire.create()["id"])
        wire.upload(active, b"data")
        assert stage(wire, active).status == 409
        assert status(wire, active) == "active"

    def test_an_image_that_an_import_has_locked(self, wire: Wire, image: str) -> None:
        deps = wire.service.deps
        given = ImageImportInput(image_id=image, request="{}", stores=("default",))
        job = deps.jobs.draft(Context(request_id="req-1"), IMAGE_IMPORT, given, image_id=image)
        deps.jobs.add(job, ImageChange(set_properties={IMPORT_LOCK: job.id}))
        answer = stage(wire, image)
        assert (answer.status, staged(wire)) == (409, [])
        assert job.id.encode() in answer.body
        assert status(wire, image) == "queued"

    def test_a_lock_that_was_left(self, wire: Wire, image: str) -> None:
        deps = wire.service.deps
        deps.database.update_image(image, ImageChange(set_properties={IMPORT_LOCK: str(uuid.uuid4())}))
        assert stage(wire, image).status == 204
        assert IMPORT_LOCK not in wire("GET", f"/v2/images/{image}").json

    def test_who_may(self, wire: Wire, image: str) -> None:
        assert stage(wire.as_(OTHER), image).status == 404
        assert stage(wire.as_(READER), image).status == 403
        assert stage(wire, str(uuid.uuid4())).status == 404
        assert status(wire, image) == "queued"
        assert stage(wire.as_(ADMIN), image).status == 204

    def test_the_media_type(self, wire: Wire, image: str) -> None:
        answer = wire("PUT", f"/v2/images/{image}/stage", DATA, {"Content-Type": "application/json"})
        assert answer.status == 415
        assert_queued_again(wire, image)

    def test_other_methods(self, wire: Wire, image: str) -> None:
        answer = wire("GET", f"/v2/images/{image}/stage")
        assert (answer.status, answer.headers["allow"]) == (405, "PUT")

    @pytest.mark.parametrize("size", ["5", "999999", "-1"])
    def test_another_size_than_declared(self, wire: Wire, image: str, size: str) -> None:
        answer = stage(wire, image, [DATA], **{"X-OpenStack-Image-Size": size})
        assert answer.status == 400
        assert_queued_again(wire, image)

    def test_a_size_that_is_no_number(self, wire: Wire, image: str) -> None:
        assert stage(wire, image, [DATA], **{"X-OpenStack-Image-Size": "many"}).status == 400
        assert_queued_again(wire, image)

    def test_a_body_that_ends_early(self, wire: Wire, image: str) -> None:
        answer = wire("PUT", f"/v2/images/{image}/stage", [DATA], OCTETS, cut=True)
        assert answer.status == 400
        assert_queued_again(wire, image)

    def test_without_the_import_method(self, tmp_path: Path) -> None:
        imports = Imports(enabled_import_methods=("web-download",))
        with wired(settings_in(tmp_path, imports=imports)) as wire:
            image_id = wire.create()["id"]
            answer = wire("PUT", f"/v2/images/{image_id}/stage", DATA, {"Content-Type": "text/plain"})
            assert answer.status == 404
            assert b"glance-direct" in answer.body

    @pytest.mark.parametrize("body", [DATA, [DATA[:50], DATA[50:]]])
    def test_the_size_cap(self, tmp_path: Path, body: bytes | list[bytes]) -> None:
        with wired(settings_in(tmp_path, limits=Limits(image_size_cap=100))) as wire:
            image_id = wire.create()["id"]
            answer = stage(wire, image_id, body)
            assert answer.status == 413
            assert b"image_size_cap" in answer.body
            assert status(wire, image_id) == "queued"
            assert staged(wire) == []
            assert stage(wire, image_id, DATA[:100]).status == 204

    def test_a_full_staging_area(self, tmp_path: Path) -> None:
        with small_file_system("size=2m,mode=0700") as disk:
            imports = Imports(node_staging_uri=f"file://{disk}/staging/")
            with wired(settings_in(tmp_path, imports=imports)) as wire:
                image_id = wire.create()["id"]
                answer = stage(wire, image_id, [bytes(1 << 20)] * 4)
                assert answer.status == 413
                assert b"staging area has no space left" in answer.body
                assert status(wire, image_id) == "queued"
                assert os.listdir(disk / "staging") == []
                assert stage(wire, image_id, [bytes(1 << 20)]).status == 204
                assert os.listdir(disk / "staging") == [image_id]

    def test_a_staging_area_that_cannot_be_used(self, wire: Wire, image: str, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (wire.settings.data_dir / "staging").symlink_to(tmp_path / "elsewhere")
        answer = stage(wire, image)
        assert answer.status == 503
        assert status(wire, image) == "queued"
        assert os.listdir(tmp_path / "elsewhere") == []


class TestDeletion:
    def test_of_a_staged_image(self, wire: Wire, image: str) -> None:
        stage(wire, image)
        assert wire("DELETE", f"/v2/images/{image}").status == 204
        assert staged(wire) == []

    def test_a_protected_image_keeps_its_data(self, wire: Wire, image: str) -> None:
        stage(wire, image)
        assert wire.patch(image, {"op": "replace", "path": "/protected", "value": True}).status == 200
        assert wire("DELETE", f"/v2/images/{image}").status == 403
        assert staged(wire) == [image]

    def test_what_is_left_of_a_queued_and_of_an_active_image(self, wire: Wire, image: str) -> None:
        active = str(wire.create()["id"])
        wire.upload(active, b"data")
        area = wire.settings.data_dir / "staging"
        area.mkdir()
        for image_id in (image, active):
            (area / image_id).write_bytes(b"left")
            (area / f"{image_id}.a1.part").write_bytes(b"left")
            assert wire("DELETE", f"/v2/images/{image_id}").status == 204
        assert staged(wire) == []

    @pytest.mark.parametrize("renewed", [False, True])
    def test_while_data_arrive(self, wire: Wire, image: str, *, renewed: bool) -> None:
        steps = begin(wire, image)
        steps.send(DATA)
        assert staged(wire) != []
        assert wire("DELETE", f"/v2/images/{image}").status == 204
        assert staged(wire) == []
        if renewed:
            wire.service.deps.heartbeat.renew()
        with pytest.raises(Gone):
            steps.send(DATA if renewed else None)
        assert staged(wire) == []
        assert wire.service.deps.database.count_jobs() == {}

    def test_between_the_last_byte_and_the_record(
        self, wire: Wire, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = StagingWriter.commit

        def deleted(writer: StagingWriter) -> object:
            placed = commit(writer)
            wire.service.deps.database.delete_without_data(image)
            return placed

        steps = begin(wire, image)
        steps.send(DATA)
        with monkeypatch.context() as changed:
            changed.setattr(StagingWriter, "commit", deleted)
            with pytest.raises(Gone):
                steps.send(None)
        assert staged(wire) == []
        assert wire.service.deps.database.count_jobs() == {}


class TestRecovery:
    """What a process that died in the middle leaves; see also tests/system/test_stage_kill.py."""

    def test_of_unfinished_data(self, wire: Wire, image: str) -> None:
        steps = begin(wire, image)
        steps.send(DATA)
        jobs_end(wire)
        shown = wire("GET", f"/v2/images/{image}").json
        assert (shown["status"], shown["size"], shown[FAILED_UPLOAD]) == ("queued", None, INTERRUPTED)
        assert staged(wire) == []
        # the process was only slow: it can complete nothing any more, and disturbs nobody
        assert stage(wire, image, b"the next attempt").status == 204
        with pytest.raises((Gone, LeaseLost)):
            steps.send(None)
        assert (wire.settings.data_dir / "staging" / image).read_bytes() == b"the next attempt"
        shown = wire("GET", f"/v2/images/{image}").json
        assert (shown["status"], shown["size"]) == ("uploading", 16)
        assert FAILED_UPLOAD not in shown

    def test_of_complete_data_that_are_not_recorded(
        self, wire: Wire, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*_: object) -> None:
            raise StoreUnavailable("The database does not answer.")

        steps = begin(wire, image)
        steps.send(DATA)
        with monkeypatch.context() as changed:
            changed.setattr(type(wire.service.deps.database), "save_job", unknown)
            with pytest.raises(StoreUnavailable):
                steps.send(None)
        assert staged(wire) == [image]
        jobs_end(wire)
        assert_queued_again(wire, image)

    def test_of_a_deleted_image(self, wire: Wire, image: str) -> None:
        steps = begin(wire, image)
        steps.send(DATA)
        wire.service.deps.database.delete_without_data(image)
        jobs_end(wire)
        assert staged(wire) == []
        assert wire.service.deps.database.count_jobs() == {}
        with pytest.raises((Gone, LeaseLost)):
            steps.send(None)

    def test_a_cancelled_stage(self, wire: Wire, image: str) -> None:
        steps = begin(wire, image)
        steps.send(DATA)
        (job,) = wire.service.deps.database.list_jobs(JobQuery(types=(STAGING,)))
        wire.service.deps.database.cancel_job(job.id)
        wire.service.deps.heartbeat.renew()
        with pytest.raises(Conflict):
            steps.send(DATA)
        assert_queued_again(wire, image)


class TestCleanUp:
    @pytest.fixture
    def area(self, wire: Wire) -> Path:
        directory = wire.settings.data_dir / "staging"
        directory.mkdir()
        return directory

    def clean_up(self, wire: Wire, left_alone: float = 0.0, unknown_kept: float = 0.0) -> int:
        return clean_up_staging(wire.service.deps.database, wire.service.deps.staging, unknown_kept, left_alone)

    def test_without_a_directory(self, wire: Wire) -> None:
        assert self.clean_up(wire) == 0

    def test_of_images_that_are_gone(self, wire: Wire, image: str, area: Path) -> None:
        deleted, unknown = str(wire.create()["id"]), str(uuid.uuid4())
        wire.service.deps.database.delete_without_data(deleted)
        for name in (
            image,
            deleted,
            unknown,
            f"{unknown}.uc",
            f"{uuid.uuid4()}.a1.part",
            "notes.txt",
            "running-task-1",
        ):
            (area / name).write_bytes(b"left")
        assert self.clean_up(wire, 600.0) == 3
        assert staged(wire) == sorted([image, "notes.txt", "running-task-1"])
        assert self.clean_up(wire, 600.0) == 0

    def test_of_images_that_another_installation_may_have(self, wire: Wire, area: Path) -> None:
        deleted, old = str(wire.create()["id"]), uuid.uuid4()
        wire.service.deps.database.delete_without_data(deleted)
        young = [str(uuid.uuid4()), f"{uuid.uuid4()}.{uuid.uuid4().hex}.part"]
        for name in (deleted, str(old), f"{old}.uc", *young):
            (area / name).write_bytes(b"left")
        assert self.clean_up(wire, 0.0, 3600.0) == 1
        for name in (str(old), f"{old}.uc"):
            os.utime(area / name, (1e9, 1e9))
        assert self.clean_up(wire, 0.0, 3600.0) == 1
        assert staged(wire) == sorted(young)

    def test_unfinished_data_of_a_live_job_are_kept(self, wire: Wire, image: str) -> None:
        steps = begin(wire, image)
        steps.send(DATA)
        (name,) = staged(wire)
        assert self.clean_up(wire) == 0
        assert staged(wire) == [name]
        with pytest.raises(StopIteration):
            steps.send(None)

    def test_unfinished_data_of_a_queued_job_are_kept(self, wire: Wire, image: str, area: Path) -> None:
        """Its id is written with dashes; a claim may have an attempt of its own."""
        deps = wire.service.deps
        job = deps.jobs.draft(Context(request_id="req-1"), STAGING, NoInput(), image_id=image)
        deps.jobs.add(job)
        for suffix in ("", "g2"):
            (area / f"{image}.{job.id.replace('-', '')}{suffix}.part").write_bytes(b"live")
        assert self.clean_up(wire) == 0
        deps.database.cancel_job(job.id)
        assert self.clean_up(wire) == 2
        assert staged(wire) == []

    def test_unfinished_data_without_a_job_are_removed_when_they_are_old(
        self, wire: Wire, image: str, area: Path
    ) -> None:
        (area / f"{image}.{uuid.uuid4().hex}.part").write_bytes(b"left")
        assert self.clean_up(wire, 600.0) == 0
        assert self.clean_up(wire) == 1
        assert staged(wire) == []
        assert status(wire, image) == "queued"
