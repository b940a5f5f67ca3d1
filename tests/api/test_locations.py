"""``/v2/images/{id}/locations`` and the job behind it (imports-and-stores 5.3 to 5.5)."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from glimpse.db.records import Viewer
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobQuery, JobStatus
from glimpse.domain.status import Status
from glimpse.settings.model import DataSources, Formats, Limits, Locations, StoreCalls, UriFilter
from tests.contract.db.examples import OVER, removal_job
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.located import DATA, SERVICE, Located, located
from tests.support.wire import ADMIN, OTHER, READER, Caller

LOCK = "os_glance_import_task"
MD5 = hashlib.md5(DATA).hexdigest()
SHA512 = hashlib.sha512(DATA).hexdigest()
SHA256 = {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(DATA).hexdigest()}
WRONG = {"os_hash_algo": "sha512", "os_hash_value": "0" * 128}


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Located]:
    with located(tmp_path) as made:
        yield made


def jobs(at: Located) -> list[Job]:
    return at.wire.service.deps.database.list_jobs(JobQuery())


def only_job(at: Located) -> Job:
    [job] = jobs(at)
    return job


def hashes(shown: dict[str, Any]) -> tuple[object, object, object]:
    return (shown["os_hash_algo"], shown["os_hash_value"], shown["checksum"])


class TestRequest:
    def test_202_without_a_body(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        answer = at.wire(
            "POST",
            f"/v2/images/{image_id}/locations",
            json_body={"url": at.url, "more": 1},
            headers={"X-OpenStack-Request-ID": "req-abc"},
        )
        assert (answer.status, answer.body) == (202, b"")
        job = only_job(at)
        assert at.show(image_id)[LOCK] == job.id
        assert (job.type, job.status, job.image_id) == ("location_import", JobStatus.PENDING, image_id)
        assert (job.owner, job.user_id, job.request_id) == ("p1", "u1", answer.headers["x-openstack-request-id"])
        assert job.input == {"image_id": image_id, "loc_url": at.url, "validation_data": {}}
        assert at.show(image_id)["status"] == "queued"

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"[]", b"{", b'"x"', b"{}", b'{"url": 1}', b'{"url": ""}', b'{"url": null}',
            b'{"validation_data": {}}',
            b'{"url": "http://h/", "validation_data": null}', b'{"url": "http://h/", "validation_data": []}',
            b'{"url": "http://h/", "validation_data": {"store": 1}}',
            b'{"url": "http://h/", "validation_data": {"store": "x", "os_hash_algo": "sha512"}}',
            b'{"url": "http://h/", "validation_data": {"checksum": "0123456789abcdef0123456789abcdef"}}',
            b'{"url": "http://h/", "validation_data": {"os_hash_algo": "sha512"}}',
            b'{"url": "http://h/", "validation_data": {"os_hash_value": "00"}}',
            b'{"url": "http://h/", "validation_data": {"os_hash_algo": "sha384", "os_hash_value": "00"}}',
            b'{"url": "http://h/", "validation_data": {"os_hash_algo": 1, "os_hash_value": "00"}}',
            b'{"url": "http://h/", "validation_data": {"os_hash_algo": "md5", "os_hash_value": 1}}',
            b'{"url": "http://h/", "validation_data": {"os_hash_algo": "md5", "os_hash_value": "' + b"0" * 129 + b'"}}',
            b'{"url": "http://h/\\u0000"}', b'{"url": "http://h/' + b"x" * 65536 + b'"}',
        ],
    )  # fmt: skip
    def test_bodies_that_are_refused(self, at: Located, body: bytes) -> None:
        image_id = at.wire.create()["id"]
        assert at.wire("POST", f"/v2/images/{image_id}/locations", body).status == 400
        assert jobs(at) == []

    @pytest.mark.parametrize(
        "digest",
        [
            {"os_hash_algo": "sha512", "os_hash_value": "0" * 64},
            {"os_hash_algo": "sha256", "os_hash_value": "0" * 128},
            {"os_hash_algo": "sha1", "os_hash_value": "x" * 40}, {"os_hash_algo": "md5", "os_hash_value": ""},
        ],
    )  # fmt: skip
    def test_digests_that_are_refused(self, at: Located, digest: dict[str, str]) -> None:
        image_id = at.wire.create()["id"]
        assert at.post(image_id, at.url, validation_data=digest).status == 400
        assert jobs(at) == []

    def test_the_image(self, at: Located) -> None:
        assert at.post("4bb2b1f2-1b5c-4d0c-9b7a-0c8f1a0f6f6e", at.url).status == 404
        private = at.wire.create(visibility="private")["id"]
        assert at.as_(OTHER).post(private, at.url).status == 404
        assert at.post(at.with_locations(at.url), at.url).status == 409

    def test_who_may(self, at: Located) -> None:
        public = at.as_(ADMIN).wire.create(visibility="public")["id"]
        assert at.post(public, at.url).status == 403
        own = at.wire.create()["id"]
        assert at.as_(READER).post(own, at.url).status == 403
        assert at.as_(SERVICE).post(public, at.url).status == 202
        assert at.post(own, at.url).status == 202

    def test_only_services_add_what_is_on_no_web_server(self, at: Located) -> None:
        """imports-and-stores 5.4, row 6: the role admin alone does not help."""
        image_id = at.wire.create()["id"]
        ram = at.in_memory()
        for url in (ram, "rbd://fsid/pool/image/snap", "file:///etc/passwd", "nothing", "ftp://localhost/"):
            assert at.post(image_id, url).status == 403, url
            assert at.as_(ADMIN).post(image_id, url).status == 403, url
        fields = {**at.wire.caller.headers(), "X-Service-Roles": "service", "X-Service-Identity-Status": "Confirmed"}
        answer = at.wire("POST", f"/v2/images/{image_id}/locations", headers=fields, json_body={"url": ram})
        assert answer.status == 202
        public = at.as_(ADMIN).wire.create(visibility="public")["id"]
        assert at.as_(SERVICE).post(public, ram).status == 202

    def test_one_import_at_a_time(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        assert at.post(image_id, at.url).status == 202
        assert at.post(image_id, at.another()).status == 409
        assert only_job(at).input["loc_url"] == at.url

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://0x7f.1/", "http://0/",
            "http://127.0.0.1:{port}/files/a", "https://[::ffff:127.0.0.1]/", "http://user@127.0.0.1/",
        ],
    )  # fmt: skip
    def test_the_filter_decides_first(self, at: Located, url: str) -> None:
        """OSSA-style requests into the host and its network are refused before anything is recorded."""
        image_id = at.wire.create()["id"]
        assert at.post(image_id, url.format(port=at.web.port)).status == 400
        assert jobs(at) == []
        assert at.web.requests == []

    def test_ports_and_hosts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: object, **__: object) -> list[object]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        with located(tmp_path, uri_filter=UriFilter()) as at:
            image_id = at.wire.create()["id"]
            # from here on: through a registry, its connection is there by now
            monkeypatch.setattr("glimpse.fetch.address.socket.getaddrinfo", unknown)
            for url in (at.url, "http://localhost/", "http://localhost.localdomain.invalid/", "https://10.0.0.1:6443/"):
                assert at.post(image_id, url).status == 400, url

    def test_methods(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        for method in ("PUT", "PATCH", "DELETE"):
            answer = at.wire(method, f"/v2/images/{image_id}/locations")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")


class TestWithoutADigest:
    @pytest.mark.parametrize("given", [{}, {"store": "what Cinder sends"}], ids=["empty", "store"])
    def test_the_image_is_active_and_then_hashed(self, at: Located, given: dict[str, str]) -> None:
        image_id = at.wire.create(name="n")["id"]
        assert at.post(image_id, at.url, validation_data=given).status == 202
        assert at.run_jobs() == 1
        shown = at.show(image_id)
        assert (shown["status"], shown["size"], shown["stores"], shown["name"]) == ("active", len(DATA), "web", "n")
        assert hashes(shown) == ("sha512", SHA512, MD5)
        assert LOCK not in shown
        job = only_job(at)
        assert (job.status, job.result, job.message) == (JobStatus.SUCCEEDED, {"image_id": image_id}, "")
        assert job.ended_at is not None
        assert at.run_jobs() == 0

    def test_activation_does_not_wait_for_the_hashes(self, at: Located) -> None:
        """MUST of imports-and-stores 5.4: active at once, with os_hash_algo in the same save."""
        at.web.files["slow"] = DATA
        at.web.slow_part, at.web.pause = 20_000, 0.15
        image_id = at.wire.create()["id"]
        at.post(image_id, at.web.url("slow", "slow"))
        thread = threading.Thread(target=at.run_jobs)
        thread.start()
        deadline = time.monotonic() + 20
        while (shown := at.show(image_id))["status"] == "queued" and time.monotonic() < deadline:
            time.sleep(0.005)
        assert (shown["status"], shown["size"]) == ("active", len(DATA))
        assert hashes(shown) == ("sha512", None, None)
        assert only_job(at).status is JobStatus.RUNNING
        # meanwhile its owner goes on to work with it
        rename = {"op": "replace", "path": "/name", "value": "renamed"}
        assert at.wire.patch(image_id, rename, {"op": "add", "path": "/p", "value": "v"}).status == 200
        thread.join()
        shown = at.show(image_id)
        assert hashes(shown) == ("sha512", SHA512, MD5)
        assert (shown["name"], shown["p"]) == ("renamed", "v")

    def test_another_hashing_algorithm(self, tmp_path: Path) -> None:
        with located(tmp_path, formats=Formats(hashing_algorithm="blake2b")) as at:
            image_id = at.wire.create()["id"]
            at.post(image_id, at.url)
            at.run_jobs()
            assert hashes(at.show(image_id)) == ("blake2b", hashlib.blake2b(DATA).hexdigest(), MD5)

    def test_without_do_secure_hash(self, tmp_path: Path) -> None:
        with located(tmp_path, locations=Locations(do_secure_hash=False)) as at:
            image_id = at.wire.create()["id"]
            at.post(image_id, at.url)
            at.run_jobs()
            shown = at.show(image_id)
            assert (shown["status"], hashes(shown)) == ("active", (None, None, None))
            # no hashes, but inspected
            assert [method for method, *_ in at.web.requests] == ["HEAD", "GET"]
            assert at.wire("GET", f"/v2/images/{image_id}/file").body == DATA
            with_digest = at.wire.create()["id"]
            at.post(with_digest, at.url, validation_data=WRONG)
            at.run_jobs()
            shown = at.show(with_digest)
            # stored as they are
            assert (shown["status"], hashes(shown)) == ("active", ("sha512", "0" * 128, None))
            assert LOCK not in shown
            # but nobody gets data that have another digest
            assert at.wire("GET", f"/v2/images/{with_digest}/file").status == 403

    def test_data_that_cannot_be_read_leave_the_hashes_unknown(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.web.files["b"] = DATA
        at.post(image_id, at.web.url("cut", "b"))
        for attempt in range(1, 4):
            assert at.run_jobs() == 1
            assert only_job(at).attempt == attempt
            be_due(at)
        job = only_job(at)
        assert (job.status, job.result) == (JobStatus.SUCCEEDED, {"image_id": image_id})
        shown = at.show(image_id)
        assert (shown["status"], hashes(shown)) == ("active", ("sha512", None, None))
        assert LOCK not in shown
        assert len([one for one in at.web.requests if one[0] == "GET"]) == 3

    def test_data_that_vanish_are_not_waited_for(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        url = at.another()
        at.post(image_id, url)
        vanish_after(at, "HEAD", url)
        at.run_jobs()
        assert only_job(at).status is JobStatus.SUCCEEDED
        assert hashes(at.show(image_id)) == ("sha512", None, None)

    def test_formats_must_be_set(self, at: Located) -> None:
        image_id = at.wire.create(disk_format=None)["id"]
        at.post(image_id, at.url)
        at.run_jobs()
        assert only_job(at).status is JobStatus.FAILED
        assert at.show(image_id)["status"] == "queued"


class TestWithADigest:
    def test_a_server_that_opens_nothing_ends_the_job_with_the_reason(self, tmp_path: Path) -> None:
        slow = {"data_sources": DataSources(open_timeout=0.2), "locations": Locations(http_retries=1)}
        with located(tmp_path, **slow) as at:
            image_id = at.wire.create()["id"]
            at.web.hush()
            at.post(image_id, at.web.url("silent", "a"), validation_data=SHA256)
            at.run_jobs()
            job = only_job(at)
            assert (job.status, at.show(image_id)["status"]) == (JobStatus.FAILED, "queued")
            assert "did not answer" in job.message

    def test_the_right_one(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        upper = {**SHA256, "os_hash_value": SHA256["os_hash_value"].upper()}
        assert at.post(image_id, at.url, validation_data=upper).status == 202
        at.run_jobs()
        shown = at.show(image_id)
        assert (shown["status"], shown["stores"]) == ("active", "web")
        assert hashes(shown) == ("sha256", SHA256["os_hash_value"], MD5)
        assert only_job(at).status is JobStatus.SUCCEEDED

    def test_until_it_is_verified_the_image_is_importing(self, at: Located) -> None:
        at.web.files["slow"] = DATA
        at.web.slow_part, at.web.pause = 20_000, 0.1
        image_id = at.wire.create()["id"]
        at.post(image_id, at.web.url("slow", "slow"), validation_data=SHA256)
        thread = threading.Thread(target=at.run_jobs)
        thread.start()
        seen: set[str] = set()
        while thread.is_alive():
            shown = at.show(image_id)
            seen.add(shown["status"])
            if shown["status"] == "importing":
                assert hashes(shown) == (None, None, None)
            time.sleep(0.005)
        assert {"importing"} <= seen <= {"queued", "importing", "active"}
        assert at.show(image_id)["status"] == "active"

    def test_a_wrong_one(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.url, validation_data=WRONG)
        at.run_jobs()
        job = only_job(at)
        assert job.status is JobStatus.FAILED
        assert "digest" in job.message
        shown = at.show(image_id)
        assert (shown["status"], shown["size"], hashes(shown)) == ("queued", None, (None, None, None))
        assert LOCK not in shown
        # imports-and-stores 13, quirk 33: a location that no store can delete stays, tempest looks for it
        assert shown["stores"] == "web"
        assert at.wire("GET", f"/v2/images/{image_id}/file").status == 204

    def test_after_a_wrong_one_the_image_is_as_good_as_new(self, at: Located) -> None:
        bad = at.another(b"malicious data")
        for attempt in ("post", "patch", "upload"):
            image_id = at.wire.create()["id"]
            at.post(image_id, bad, validation_data=WRONG)
            at.run_jobs()
            if attempt == "post":
                assert at.post(image_id, at.url, validation_data=SHA256).status == 202
                at.run_jobs()
            elif attempt == "patch":
                assert at.add(image_id, at.url).status == 200
                at.run_jobs()
            else:
                assert at.wire.upload(image_id, DATA).status == 204
            shown = at.show(image_id)
            assert (shown["status"], shown["size"]) == ("active", len(DATA)), attempt
            assert bad not in [one["url"] for one in shown["locations"]], attempt
            assert at.wire("GET", f"/v2/images/{image_id}/file").body == DATA

    def test_a_wrong_one_in_a_store_that_can_delete(self, at: Located) -> None:
        public = at.as_(ADMIN).wire.create(visibility="public")["id"]
        ram = at.in_memory()
        assert at.as_(SERVICE).post(public, ram, validation_data=WRONG).status == 202
        at.run_jobs()
        shown = at.show(public)
        assert (shown["status"], shown["locations"], hashes(shown)) == ("queued", [], (None, None, None))
        # the service did not write them, so it does not delete them
        assert at.holds(ram)

    def test_data_that_cannot_be_read(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.web.files["b"] = DATA
        at.post(image_id, at.web.url("cut", "b"), validation_data=SHA256)
        for _ in range(3):
            assert at.run_jobs() == 1
            be_due(at)
        assert only_job(at).status is JobStatus.FAILED
        assert at.show(image_id)["status"] == "queued"
        assert at.run_jobs() == 0


class TestLocationsThatCannotBe:
    @pytest.mark.parametrize("kind", ["files", "status", "redirect", "scheme", "memory", "file", "cap"])
    def test_fail_the_job_and_not_the_request(self, tmp_path: Path, kind: str) -> None:
        with located(tmp_path, limits=Limits(image_size_cap=len(DATA))) as at:
            at.web.files["large"] = DATA + b"1"
            inside = quote(f"http://127.0.0.1:{at.web.port}/files/a")
            url = {
                "files": at.web.url("files", "nothing"),
                "status": at.web.url("status", "403"),
                "redirect": at.web.url("redirect", "302") + f"?to={inside}",
                "scheme": "rbd://fsid/pool/image/snap",
                "memory": "memory://ram/nothing",
                "file": "file:///etc/passwd",
                "cap": at.web.url("files", "large"),
            }[kind]
            image_id = at.as_(ADMIN).wire.create(visibility="public")["id"]
            assert at.as_(SERVICE).post(image_id, url).status == 202
            assert at.run_jobs() == 1
            job = only_job(at)
            assert (job.status, job.attempt) == (JobStatus.FAILED, 1)
            assert job.message
            shown = at.show(image_id)
            assert (shown["status"], shown["size"], shown["locations"]) == ("queued", None, [])
            assert hashes(shown) == (None, None, None)
            assert LOCK not in shown
            assert [path for _, path, _, _ in at.web.requests if path == "/files/a"] == []

    def test_a_name_that_changes_its_meaning_meanwhile(self, at: Located, monkeypatch: pytest.MonkeyPatch) -> None:
        """DNS rebinding between the request and the job: the job asks the rules again."""
        from glimpse.fetch.rules import UrlRules
        from glimpse.stores.http import HttpOptions, HttpStore
        from glimpse.stores.wrap import Wrapper

        image_id = at.wire.create()["id"]
        assert at.post(image_id, at.url).status == 202
        store = at.wire.service.deps.stores.by_id("web")
        while isinstance(store, Wrapper):
            store = store.inner
        assert isinstance(store, HttpStore)
        rebound = HttpStore("web", HttpOptions(), UriFilter(), rules=UrlRules(UriFilter(allowed_ports=())))
        monkeypatch.setattr(store, "_fetcher", rebound._fetcher, raising=False)
        at.run_jobs()
        assert only_job(at).status is JobStatus.FAILED
        assert at.show(image_id)["status"] == "queued"
        assert at.web.requests == []

    def test_a_server_that_is_away_is_asked_again(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.web.url("status", "503"))
        for _ in range(2):
            at.run_jobs()
            assert only_job(at).status is JobStatus.PENDING
            be_due(at)
        at.run_jobs()
        assert only_job(at).status is JobStatus.FAILED
        assert LOCK not in at.show(image_id)


class TestMeanwhile:
    def test_an_upload_wins(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.url)
        assert at.wire.upload(image_id, b"uploaded").status == 204
        at.run_jobs()
        assert only_job(at).status is JobStatus.FAILED
        shown = at.show(image_id)
        assert (shown["size"], shown["stores"]) == (8, "ram")
        assert LOCK not in shown

    def test_a_deleted_image_ends_the_job(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.url)
        assert at.wire("DELETE", f"/v2/images/{image_id}").status == 204
        at.run_jobs()
        assert only_job(at).status is JobStatus.CANCELLED

    def test_deletion_while_hashing(self, at: Located) -> None:
        at.web.files["slow"] = DATA
        at.web.slow_part, at.web.pause = 5_000, 0.1
        image_id = at.wire.create()["id"]
        at.post(image_id, at.web.url("slow", "slow"))
        thread = threading.Thread(target=at.run_jobs)
        thread.start()
        deadline = time.monotonic() + 20
        while at.show(image_id)["status"] == "queued" and time.monotonic() < deadline:
            time.sleep(0.005)
        assert at.wire("DELETE", f"/v2/images/{image_id}").status == 204
        thread.join()
        assert only_job(at).status is JobStatus.CANCELLED
        assert at.wire("GET", f"/v2/images/{image_id}").status == 404

    def test_a_location_that_is_removed_while_hashing_gets_no_hashes(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.url)
        hold_back(at, "hash")
        at.run_jobs()
        assert at.show(image_id)["status"] == "active"
        assert at.add(image_id, at.in_memory(data=b"other")).status == 200
        assert at.wire.as_(ADMIN).patch(image_id, {"op": "remove", "path": "/locations/0"}).status == 200
        be_due(at)
        at.run_jobs()
        [imported] = [job for job in jobs(at) if job.type == "location_import"]
        assert imported.status is JobStatus.SUCCEEDED
        assert hashes(at.show(image_id)) == ("sha512", None, None)

    def test_deactivation_does_not_keep_the_hashes_away(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.url)
        hold_back(at, "hash")
        at.run_jobs()
        assert at.wire("POST", f"/v2/images/{image_id}/actions/deactivate").status == 204
        be_due(at)
        at.run_jobs()
        shown = at.show(image_id)
        assert (shown["status"], hashes(shown)) == ("deactivated", ("sha512", SHA512, MD5))

    def test_a_cancelled_job(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.url, validation_data=SHA256)
        hold_back(at, "hash")
        at.run_jobs()
        assert at.show(image_id)["status"] == "importing"
        database = at.wire.service.deps.database
        job = only_job(at)
        with at.wire.rows() as connection:
            let_leases_run_out(connection)
        claim = database.claim_job(database.get_job(job.id), "another worker", OVER)
        assert claim is not None
        database.cancel_job(job.id)
        at.run_jobs()
        assert only_job(at).status is JobStatus.CANCELLED
        shown = at.show(image_id)
        assert (shown["status"], hashes(shown)) == ("queued", (None, None, None))
        assert LOCK not in shown

    def test_a_job_that_is_cancelled_before_it_runs_leaves_no_lock(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.url, validation_data=SHA256)
        job = only_job(at)
        assert at.show(image_id)[LOCK] == job.id
        at.wire.service.deps.database.cancel_job(job.id)
        at.run_jobs()
        assert only_job(at).status is JobStatus.CANCELLED
        shown = at.show(image_id)
        assert (shown["status"], LOCK in shown) == ("queued", False)

    def test_a_job_that_is_resumed_adds_nothing_twice(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        at.post(image_id, at.url)
        hold_back(at, "hash")
        for _ in range(3):
            at.run_jobs()
            be_due(at)
        shown = at.show(image_id)
        assert [one["url"] for one in shown["locations"]] == [at.url]
        assert hashes(shown) == ("sha512", SHA512, MD5)


class TestReading:
    def test_by_a_service(self, at: Located) -> None:
        ram = at.in_memory()
        public = at.as_(ADMIN).wire.create(visibility="public")["id"]
        assert at.as_(ADMIN).add(public, ram, metadata={"a": "b"}).status == 200
        assert at.as_(ADMIN).add(public, at.url).status == 200
        for caller in (SERVICE, ADMIN):
            answer = at.wire.as_(caller)("GET", f"/v2/images/{public}/locations")
            assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
            assert answer.json == [
                {"url": at.url, "metadata": {"store": "web"}},
                {"url": ram, "metadata": {"a": "b", "store": "ram"}},
            ]

    def test_whatever_the_service_shows_elsewhere(self, tmp_path: Path) -> None:
        from glimpse.settings.model import Api

        with located(tmp_path, api=Api()) as at:
            image_id = at.wire.create()["id"]
            at.post(image_id, at.url)
            at.run_jobs()
            shown = at.show(image_id)
            assert "locations" not in shown
            assert "direct_url" not in shown
            answer = at.wire.as_(ADMIN)("GET", f"/v2/images/{image_id}/locations")
            assert answer.json == [{"url": at.url, "metadata": {"store": "web"}}]

    def test_an_image_without_any(self, at: Located) -> None:
        image_id = at.wire.create()["id"]
        assert at.wire.as_(ADMIN)("GET", f"/v2/images/{image_id}/locations").json == []

    def test_who_may_not(self, at: Located) -> None:
        private = at.wire.create(visibility="private")["id"]
        assert at.wire("GET", f"/v2/images/{private}/locations").status == 403
        assert at.wire.as_(SERVICE)("GET", f"/v2/images/{private}/locations").status == 404
        assert at.wire.as_(OTHER)("GET", f"/v2/images/{private}/locations").status == 404
        accompanied = Caller(user="u1")
        fields = {**accompanied.headers(), "X-Service-Roles": "service"}
        assert at.wire("GET", f"/v2/images/{private}/locations", headers=fields).status == 403
        assert at.wire("GET", "/v2/images/4bb2b1f2-1b5c-4d0c-9b7a-0c8f1a0f6f6e/locations").status == 404

    def test_with_a_body(self, at: Located) -> None:
        """Glance fails with 500."""
        image_id = at.wire.create()["id"]
        assert at.wire.as_(ADMIN)("GET", f"/v2/images/{image_id}/locations", b"{}").status == 400


class TestRemovalsOfDeadProcesses:
    def interrupted(self, at: Located, caller: Caller = ADMIN) -> tuple[str, str]:
        """An image whose process died between the database and the store."""
        ram = at.in_memory()
        image_id = at.with_locations(at.url, ram)
        at.run_jobs()
        database = at.wire.service.deps.database
        image = database.get_image(image_id, Viewer(None, is_admin=True))
        location = next(one for one in image.locations if one.url == ram)
        job = removal_job(image_id, ram, location.id, stores=at.wire.service.deps.stores.needs(location))
        database.begin_location_removal(job, OVER, location.id or 0)
        return image_id, ram

    def test_are_carried_out_by_another(self, at: Located) -> None:
        image_id, ram = self.interrupted(at)
        assert at.show(image_id)["stores"] == "web"
        assert at.holds(ram)
        assert run_due(at.wire.service.jobs) == 1
        assert not at.holds(ram)
        assert at.wire.service.deps.database.count_jobs() == {}

    def test_also_when_the_image_is_deleted_meanwhile(self, at: Located) -> None:
        image_id, ram = self.interrupted(at)
        assert at.wire("DELETE", f"/v2/images/{image_id}").status == 204
        assert run_due(at.wire.service.jobs) == 1
        assert not at.holds(ram)


def be_due(at: Located) -> None:
    """End the pauses of all jobs."""
    from sqlalchemy import update

    from glimpse.db.sql.own_tables import jobs as table

    with at.wire.rows() as connection:
        connection.execute(update(table).where(table.c.status == "pending").values(due_at=0.0))


def vanish_after(at: Located, method: str, url: str) -> None:
    """The file is there until a request of ``method`` was answered."""
    name = url.rsplit("/", 1)[1]
    files = at.web.files

    class Vanishing(dict[str, bytes]):
        def get(self, key: str, default: Any = None) -> Any:
            found = super().get(key, default)
            if key == name and any(one[0] == method for one in at.web.requests):
                self.pop(name, None)
            return found

    at.web.files = Vanishing(files)


def hold_back(at: Located, step: str) -> None:
    """Let the next reading of the data fail, and its repetition, so that the job pauses before its hashes are saved."""
    assert step == "hash"
    files = at.web.files
    left = [1 + StoreCalls().retries]

    class Once(dict[str, bytes]):
        def get(self, key: str, default: Any = None) -> Any:
            if at.web.requests[-1][0] == "GET" and left[0]:
                left[0] -= 1
                # the connection breaks off
                raise ConnectionResetError
            return super().get(key, default)

    at.web.files = Once(files)


def test_a_swap_of_the_status_behind_the_job(at: Located) -> None:
    """A job whose image went another way ends, and leaves the image alone."""
    image_id = at.wire.create()["id"]
    at.post(image_id, at.url, validation_data=SHA256)
    hold_back(at, "hash")
    at.run_jobs()
    database = at.wire.service.deps.database
    database.update_image(image_id, ImageChange(columns={"status": Status.KILLED}))
    be_due(at)
    for _ in range(30):
        if at.run_jobs() == 0:
            break
        be_due(at)
    assert only_job(at).status in {JobStatus.FAILED, JobStatus.SUCCEEDED}
    assert at.as_(ADMIN).show(image_id)["status"] == "killed"
