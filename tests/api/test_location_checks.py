"""Data at locations that clients added are read, inspected and compared before they are served (docs/adr/0013)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.sql.own_tables import jobs as job_rows
from glimpse.domain.job import Job, JobQuery, JobStatus
from glimpse.settings.model import Locations
from tests.support.images.content import noise
from tests.support.images.qcow2 import qcow2
from tests.support.located import DATA, SERVICE, Located, located
from tests.support.wire import ADMIN, Answer

UNSAFE = qcow2(bytes(65536), backing_file=b"/etc/passwd")
SAFE = qcow2(noise(65536))
OTHER = bytes(reversed(DATA))
SHA512 = hashlib.sha512(DATA).hexdigest()
REASON = "os_glance_failed_upload"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Located]:
    with located(tmp_path) as made:
        yield made


def file_of(at: Located, image_id: str) -> Answer:
    return at.wire("GET", f"/v2/images/{image_id}/file")


def run_all(at: Located) -> list[Job]:
    """Run all jobs to their ends, also those that wait for another attempt."""
    for _ in range(20):
        if not at.run_jobs():
            break
        with at.wire.rows() as connection:
            connection.execute(sa.update(job_rows).where(job_rows.c.due_at.is_not(None)).values(due_at=0.0))
    return at.wire.service.deps.database.list_jobs(JobQuery())


def hashes(shown: dict[str, Any]) -> tuple[object, object]:
    return shown["os_hash_algo"], shown["os_hash_value"]


class TestBeforeTheCheck:
    def test_no_data_are_served(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        assert at.show(image_id)["status"] == "active"
        answer = file_of(at, image_id)
        assert answer.status == 503
        assert b"being checked" in answer.body
        run_all(at)
        assert file_of(at, image_id).body == DATA

    def test_not_even_by_administrators_or_services(self, at: Located) -> None:
        image_id = at.as_(ADMIN).with_locations(at.url, visibility="public")
        for caller in (ADMIN, SERVICE):
            assert file_of(at.as_(caller), image_id).status == 503

    def test_of_an_image_that_is_importing_there_are_none(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.web.files["gone"] = DATA
        url = at.web.url("cut", "gone")
        at.post(image_id, url, validation_data={"os_hash_algo": "sha512", "os_hash_value": SHA512})
        at.run_jobs()
        assert at.show(image_id)["status"] == "importing"
        assert file_of(at, image_id).status == 204


class TestInspection:
    @pytest.mark.parametrize("secure", [True, False])
    @pytest.mark.parametrize("way", ["post", "patch", "service"])
    def test_unsafe_data_queue_the_image_again_and_say_why(self, tmp_path: Path, way: str, secure: bool) -> None:
        with located(tmp_path, locations=Locations(do_secure_hash=secure)) as at:
            url = at.another(UNSAFE)
            image_id = at.as_(ADMIN).wire.create(disk_format="qcow2", visibility="public")["id"]
            answer = {
                "post": lambda: at.as_(ADMIN).post(image_id, url),
                "patch": lambda: at.as_(ADMIN).add(image_id, url),
                "service": lambda: at.as_(SERVICE).post(image_id, at.in_memory(data=UNSAFE)),
            }[way]()
            assert answer.status in {200, 202}
            [job] = run_all(at)
            assert job.status is JobStatus.FAILED
            assert "backing_file" in job.message
            shown = at.show(image_id)
            assert (shown["status"], shown["locations"], shown["size"]) == ("queued", [], None)
            assert hashes(shown) == (None, None)
            assert "backing_file" in shown[REASON]
            assert file_of(at, image_id).status == 204

    def test_with_a_digest_they_never_become_active(self, at: Located) -> None:
        image_id = at.wire.create(disk_format="qcow2")["id"]
        digest = {"os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(UNSAFE).hexdigest()}
        at.post(image_id, at.another(UNSAFE), validation_data=digest)
        [job] = run_all(at)
        assert job.status is JobStatus.FAILED
        shown = at.show(image_id)
        assert (shown["status"], hashes(shown)) == ("queued", (None, None))
        assert "backing_file" in shown[REASON]
        assert file_of(at, image_id).status == 204

    def test_the_image_can_be_tried_again(self, at: Located) -> None:
        for way in ("post", "patch", "upload"):
            image_id = at.wire.create(disk_format="qcow2")["id"]
            at.post(image_id, at.another(UNSAFE))
            run_all(at)
            assert REASON in at.show(image_id)
            if way == "post":
                assert at.post(image_id, at.another(SAFE)).status == 202
            elif way == "patch":
                assert at.add(image_id, at.another(SAFE)).status == 200
            else:
                assert at.wire.upload(image_id, SAFE).status == 204
            run_all(at)
            shown = at.show(image_id)
            assert (shown["status"], shown["virtual_size"]) == ("active", 65536)
            assert REASON not in shown
            assert file_of(at, image_id).body == SAFE

    def test_data_of_another_format_than_the_image_has(self, at: Located) -> None:
        image_id = at.wire.create(disk_format="qcow2")["id"]
        at.add(image_id, at.url)
        run_all(at)
        assert at.show(image_id)["status"] == "queued"

    def test_an_image_with_data_of_its_own_loses_the_location(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        assert at.wire.upload(image_id, DATA).status == 204
        with_head = UNSAFE[: len(DATA)].ljust(len(DATA), b"\0")
        assert at.add(image_id, at.another(with_head)).status == 200
        run_all(at)
        shown = at.show(image_id)
        assert (shown["status"], len(shown["locations"])) == ("active", 1)
        assert file_of(at, image_id).body == DATA


class TestDigests:
    """OSSN-0065: the data of an active image never change under its digest."""

    def test_a_second_location_with_other_data_is_never_served(self, at: Located) -> None:
        """``web`` has more weight than ``ram``, where the data are."""
        image_id = at.wire.create()["id"]
        assert at.wire.upload(image_id, DATA).status == 204
        digests = hashes(at.show(image_id))
        assert at.add(image_id, at.another(OTHER)).status == 200
        assert file_of(at, image_id).body == DATA
        run_all(at)
        assert file_of(at, image_id).body == DATA
        at.wire.service.deps.stores.by_id("ram").delete(at.show(image_id)["locations"][1]["url"])
        assert OTHER not in file_of(at, image_id).body
        assert hashes(at.show(image_id)) == digests

    def test_one_with_the_same_data_is_served_once_it_is_verified(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        assert at.wire.upload(image_id, DATA).status == 204
        url = at.another()
        assert at.add(image_id, url).status == 200
        run_all(at)
        requests = len(at.web.requests)
        assert file_of(at, image_id).body == DATA
        assert len(at.web.requests) > requests, "the location with the greater weight was not asked"

    def test_one_of_another_length(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        assert at.wire.upload(image_id, DATA).status == 204
        assert at.add(image_id, at.another(DATA + b"more")).status == 200
        [job] = run_all(at)
        assert job.status is JobStatus.FAILED
        assert file_of(at, image_id).body == DATA

    def test_what_is_added_to_an_image_without_digests_must_be_its_own_data(self, at: Located) -> None:
        """As Glance leaves images whose location came by PATCH: what is added cannot take their place."""
        image_id = at.wire.create()["id"]
        assert at.wire.upload(image_id, DATA).status == 204
        with at.wire.rows() as connection:
            connection.execute(sa.text("UPDATE images SET checksum = NULL, os_hash_algo = NULL, os_hash_value = NULL"))
        assert at.add(image_id, at.another(OTHER)).status == 200
        run_all(at)
        assert hashes(at.show(image_id)) == (None, None)
        assert file_of(at, image_id).body == DATA

    def test_an_image_that_has_an_md5_only(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        assert at.wire.upload(image_id, DATA).status == 204
        with at.wire.rows() as connection:
            connection.execute(sa.text("UPDATE images SET os_hash_algo = NULL, os_hash_value = NULL"))
        assert at.add(image_id, at.another(OTHER)).status == 200
        run_all(at)
        assert file_of(at, image_id).body == DATA

    def test_a_location_by_patch_gives_no_digests(self, at: Located) -> None:
        """As on Glance; Tempest looks for it."""
        image_id = at.with_locations(at.url)
        run_all(at)
        assert hashes(at.show(image_id)) == (None, None)
        assert file_of(at, image_id).body == DATA

    def test_of_two_locations_with_different_data_one_is_served(self, at: Located) -> None:
        image_id = at.with_locations(at.url, at.another(OTHER))
        jobs = run_all(at)
        assert [job.status for job in jobs].count(JobStatus.FAILED) >= 1
        assert hashes(at.show(image_id)) == (None, None)
        assert file_of(at, image_id).body == DATA

    def test_a_claimed_digest_that_is_wrong_stays_and_nothing_is_served(self, at: Located) -> None:
        """Tempest claims digests of no data; the image stays active with them, as on Glance."""
        image_id = at.wire.create()["id"]
        claim = {"os_hash_algo": "sha512", "os_hash_value": "ab" * 64}
        assert at.add(image_id, at.url, validation_data=claim).status == 200
        run_all(at)
        shown = at.show(image_id)
        assert (shown["status"], hashes(shown)) == ("active", ("sha512", "ab" * 64))
        answer = file_of(at, image_id)
        assert answer.status == 403
        assert b"os_hash_value" in answer.body

    def test_data_that_cannot_be_read_are_not_served_later(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.web.files["b"] = DATA
        at.post(image_id, at.web.url("cut", "b"))
        run_all(at)
        assert at.show(image_id)["status"] == "active"
        assert file_of(at, image_id).status == 403

    def test_a_server_that_refuses_is_not_asked_again(self, at: Located) -> None:
        """A refusal is permanent: no second attempt, unlike data that cannot be read now."""
        image_id = at.with_locations(url := at.another())
        at.web.forbidden.add(url.rpartition("/")[2])
        at.web.requests.clear()
        [job] = run_all(at)
        assert (job.status, job.attempt, len(at.web.requests)) == (JobStatus.FAILED, 1, 1)
        answer = file_of(at, image_id)
        assert answer.status == 403
        assert b"The server of the location answers 403." in answer.body

    def test_an_import_that_a_server_refuses_ends_at_once(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        url = at.another()
        at.post(image_id, url, validation_data={"os_hash_algo": "sha512", "os_hash_value": SHA512})
        at.web.forbidden.add(url.rpartition("/")[2])
        [job] = run_all(at)
        assert (job.status, job.attempt) == (JobStatus.FAILED, 1)
        shown = at.show(image_id)
        assert (shown["status"], "answers 403" in job.message) == ("queued", True)

    def test_data_of_unknown_length_are_compared_with_the_size_of_the_image(self, at: Located) -> None:
        good, longer = at.another(), at.another(DATA + b"more")
        for url, status in ((good, JobStatus.SUCCEEDED), (longer, JobStatus.FAILED)):
            image_id = at.with_locations(url)
            with at.wire.rows() as connection:
                chunked = url.replace("/files/", "/chunked/")
                connection.execute(
                    sa.text("UPDATE image_locations SET value = :url WHERE image_id = :id"),
                    {"url": chunked, "id": image_id},
                )
                connection.execute(
                    sa.text("UPDATE images SET size = :size WHERE id = :id"), {"size": len(DATA), "id": image_id}
                )
            jobs = run_all(at)
            assert next(job for job in jobs if job.image_id == image_id).status is status

    def test_locations_that_glance_recorded_are_trusted(self, at: Located) -> None:
        image_id = at.with_locations(at.url)
        with at.wire.rows() as connection:
            connection.execute(sa.text("DELETE FROM glimpse_unverified_locations"))
        assert file_of(at, image_id).body == DATA
