"""Project quotas through the API (images-api 4.2 and 6.2; imports-and-stores 7 and 15)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from glimpse.context import Context
from glimpse.db.records import UsageFigures, Viewer
from glimpse.domain.allowance import Allowance
from glimpse.domain.job import Job, JobQuery, JobStatus
from glimpse.domain.job_kinds import UPLOAD, NoInput
from glimpse.errors import Gone, LimitExceeded
from glimpse.quota.base import RESOURCES, Limited, ProjectUsage, UsageOf
from glimpse.services.image_data import UploadRequest, upload_image
from glimpse.services.staging import StageRequest, stage_image
from glimpse.settings.model import Api, Leases, Locations, Quotas
from glimpse.transfer.source import drive
from tests.api.test_multi_store import add_copy, stores_in
from tests.support.jobs import run_due
from tests.support.located import DATA as WEB_DATA
from tests.support.located import located
from tests.support.wire import ADMIN, OTHER, Answer, Caller, Wire, settings_in, wired

OCTETS = {"Content-Type": "application/octet-stream"}
MIB = 1 << 20

#: bytes of the quota of these tests
QUOTA = 1000

CONTEXT = Context(request_id="req-1", user_id="u1", project_id="p1", roles=frozenset({"member", "reader"}))


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Wire]:
    with wired(settings_in(tmp_path, quotas=Quotas(user_storage_quota=QUOTA))) as made:
        yield made


def put(wire: Wire, image_id: str, size: int, *, chunked: bool = False, **headers: str) -> Answer:
    data = bytes(size)
    body = iter([data[: size // 2], data[size // 2 :]]) if chunked else data
    fields = {**OCTETS, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return wire("PUT", f"/v2/images/{image_id}/file", body, fields)


def new(wire: Wire, **attributes: object) -> str:
    image_id: str = wire.create(**attributes)["id"]
    return image_id


def filled(wire: Wire, size: int) -> str:
    image_id = new(wire)
    assert put(wire, image_id, size).status == 204
    return image_id


def status_of(wire: Wire, image_id: str) -> str:
    found: str = wire("GET", f"/v2/images/{image_id}").json["status"]
    return found


def used(wire: Wire, project: str = "p1") -> int:
    return wire.service.deps.database.usage(project).size_total


def assert_refused(wire: Wire, image_id: str, answer: Answer) -> None:
    """413, the image is queued without a trace, and nothing stays reserved."""
    assert answer.status == 413, answer
    shown = wire("GET", f"/v2/images/{image_id}").json
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert image_id not in wire.stored()
    assert wire.service.deps.database.count_jobs() == {}


@contextmanager
def watched(wire: Wire) -> Generator[list[int]]:
    """The bytes that reservations had to be extended to while the block ran."""
    database = wire.service.deps.database
    extend = database.extend_reservation
    needed: list[int] = []

    def watch(job: Job, allowance: Allowance, at_least: int, wished: int) -> int:
        needed.append(at_least)
        return extend(job, allowance, at_least, wished)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "extend_reservation", watch)
        yield needed


class TestStorageQuota:
    def test_up_to_the_last_byte(self, limited: Wire) -> None:
        filled(limited, 400)
        filled(limited, 600)
        assert used(limited) == QUOTA

    def test_an_announced_size_that_does_not_fit(self, limited: Wire) -> None:
        """images-api 4.2, row 12."""
        filled(limited, 400)
        image_id = new(limited)
        assert_refused(limited, image_id, put(limited, image_id, 601))
        assert put(limited, image_id, 600).status == 204

    def test_the_announced_size_is_that_of_the_header(self, limited: Wire) -> None:
        image_id = new(limited)
        answer = put(limited, image_id, 10, chunked=True, x_openstack_image_size="1001")
        assert_refused(limited, image_id, answer)
        assert put(limited, image_id, QUOTA, chunked=True, x_openstack_image_size=str(QUOTA)).status == 204

    @pytest.mark.parametrize("size", [0, 1, 300])
    def test_nothing_remains_for_an_unknown_size(self, limited: Wire, size: int) -> None:
        """images-api 4.2, row 12: also for no byte at all, which is unknown as well."""
        filled(limited, QUOTA)
        image_id = new(limited)
        assert_refused(limited, image_id, put(limited, image_id, size, chunked=True))

    def test_an_unknown_size_that_turns_out_not_to_fit(self, limited: Wire) -> None:
        """images-api 4.2, row 22: the image is queued again, not saving for ever."""
        filled(limited, 400)
        image_id = new(limited)
        assert_refused(limited, image_id, put(limited, image_id, 601, chunked=True))
        assert put(limited, image_id, 600, chunked=True).status == 204

    def test_a_stream_that_lies_about_its_size(self, limited: Wire) -> None:
        """images-api 4.2, rows 15 and 16: whatever is found first, nothing of it stays."""
        image_id = new(limited)
        answer = put(limited, image_id, QUOTA + 1, chunked=True, x_openstack_image_size="1")
        assert answer.status == 400
        assert used(limited) == 0
        assert limited.stored() == []
        assert limited.service.deps.database.count_jobs() == {}

    def test_refused_long_before_the_end(self, tmp_path: Path) -> None:
        """Of 40 MiB not more than the quota and a little is taken."""
        with wired(settings_in(tmp_path, quotas=Quotas(user_storage_quota=5 * MIB))) as wire:
            image_id = new(wire)
            with watched(wire) as needed:
                answer = wire("PUT", f"/v2/images/{image_id}/file", [bytes(MIB)] * 40, OCTETS)
            assert_refused(wire, image_id, answer)
            assert max(needed) <= 7 * MIB

    def test_a_large_upload_of_unknown_size_takes_few_statements(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path, quotas=Quotas(user_storage_quota=1 << 40))) as wire:
            image_id = new(wire)
            with watched(wire) as needed:
                assert wire("PUT", f"/v2/images/{image_id}/file", [bytes(MIB)] * 64, OCTETS).status == 204
            assert 1 <= len(needed) <= 8

    def test_every_copy_counts(self, tmp_path: Path) -> None:
        """images-api 6.2."""
        with wired(settings_in(tmp_path, stores=stores_in(tmp_path), quotas=Quotas(user_storage_quota=QUOTA))) as wire:
            image_id = filled(wire, 400)
            add_copy(wire, image_id, "fast", bytes(400))
            second = new(wire)
            assert put(wire, second, 201).status == 413
            assert put(wire, second, 200).status == 204
            assert wire.as_(ADMIN)("DELETE", f"/v2/stores/cheap/{image_id}").status == 204
            assert put(wire, new(wire), 400).status == 204

    def test_deletion_makes_room(self, limited: Wire) -> None:
        image_id = filled(limited, QUOTA)
        assert put(limited, new(limited), 1).status == 413
        limited("DELETE", f"/v2/images/{image_id}")
        assert put(limited, new(limited), QUOTA).status == 204

    def test_projects_have_a_quota_each(self, limited: Wire) -> None:
        filled(limited, QUOTA)
        filled(limited.as_(OTHER), QUOTA)
        same_project = limited.as_(Caller(project="p1", user="another"))
        assert put(same_project, new(same_project), 1).status == 413

    def test_the_project_is_the_owner_of_the_image(self, limited: Wire) -> None:
        """Otherwise an image of somebody else would be a way past the quota."""
        filled(limited, QUOTA)
        admin = limited.as_(ADMIN)
        image_id = new(admin, owner="p1")
        assert put(admin, image_id, 1).status == 413
        nobodys = new(admin, owner=None)
        assert put(admin, nobodys, QUOTA + 1).status == 204

    def test_a_failed_upload_gives_its_room_back(self, limited: Wire) -> None:
        image_id = new(limited)
        assert put(limited, image_id, QUOTA, x_openstack_image_size="5").status == 400
        headers = {**OCTETS, "Content-Length": str(QUOTA)}
        limited("PUT", f"/v2/images/{image_id}/file", iter([b"x"]), headers, cut=True)
        assert limited.service.deps.database.count_jobs() == {}
        assert put(limited, image_id, QUOTA).status == 204

    def test_status_is_looked_at_first(self, limited: Wire) -> None:
        """images-api 4.2: rows 5 to 8 before row 12."""
        image_id = filled(limited, QUOTA)
        assert put(limited, image_id, 1).status == 409
        assert put(limited, "no-image", QUOTA + 1).status == 404
        assert put(limited.as_(OTHER), image_id, QUOTA + 1).status == 404
        bare: str = limited("POST", "/v2/images", json_body={}).json["id"]
        assert put(limited, bare, QUOTA + 1).status == 400

    def test_added_locations_count(self, tmp_path: Path) -> None:
        """images-api 6.2."""
        api = Api(show_multiple_locations=True)
        quotas = Quotas(user_storage_quota=QUOTA)
        with wired(settings_in(tmp_path, stores=stores_in(tmp_path), api=api, quotas=quotas)) as wire:
            source = filled(wire, 400)
            ram = wire.service.deps.stores.by_id("ram")
            urls: list[str] = []
            for name in ("first", "second"):
                writer = ram.writer(name, 400, "attempt")
                writer.write(bytes(400))
                urls.append(writer.commit().url)
            add = [{"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": {}}} for url in urls]
            answer = wire.patch(source, add[0])
            assert answer.status == 200, answer
            assert used(wire) == 800
            assert wire.patch(source, add[1]).status == 413
            assert len(wire("GET", f"/v2/images/{source}").json["locations"]) == 2

    @pytest.mark.parametrize("hashes", [True, False])
    def test_locations_added_by_a_job_count(self, tmp_path: Path, hashes: bool) -> None:
        """images-api 6.2; imports-and-stores 5.4: a failure of the job, the image is queued."""
        quotas, locations = Quotas(user_storage_quota=len(WEB_DATA) + 5), Locations(do_secure_hash=hashes)
        with located(tmp_path, quotas=quotas, locations=locations) as at:
            images = [new(at.wire) for _ in range(2)]
            for image_id in images:
                assert at.post(image_id, at.another()).status == 202
            at.run_jobs()
            assert sorted(status_of(at.wire, image_id) for image_id in images) == ["active", "queued"]
            assert used(at.wire) == len(WEB_DATA)
            outcomes = {job.status: job.message for job in at.wire.service.deps.database.list_jobs(JobQuery())}
            assert outcomes.keys() == {JobStatus.SUCCEEDED, JobStatus.FAILED}
            assert "may use at most" in outcomes[JobStatus.FAILED]
            (queued,) = [image_id for image_id in images if status_of(at.wire, image_id) == "queued"]
            assert "os_glance_import_task" not in at.show(queued)

    def test_without_a_quota_there_is_none(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path)) as wire:
            assert wire.service.deps.admission is None
            filled(wire, 10 * QUOTA)


class TestImagesOfAProject:
    """``max_images_per_project``: without Keystone's limits, images are counted all the same."""

    LIMIT = Quotas(max_images_per_project=2)

    def test_one_more_is_413(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path, quotas=self.LIMIT)) as wire:
            first, _ = new(wire), filled(wire, 10)
            refused = wire("POST", "/v2/images", json_body={})
            assert refused.status == 413
            assert "Project p1 already has 2 images; at most 2 are allowed." in refused.body.decode()
            assert len(wire("GET", "/v2/images").json["images"]) == 2
            assert wire.as_(OTHER)("POST", "/v2/images", json_body={}).status == 201
            assert wire("DELETE", f"/v2/images/{first}").status == 204
            assert wire("POST", "/v2/images", json_body={}).status == 201

    def test_the_owner_counts_whoever_creates(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path, quotas=self.LIMIT)) as wire:
            admin = wire.as_(ADMIN)
            statuses = [admin("POST", "/v2/images", json_body={"owner": "p1"}).status for _ in range(3)]
            assert statuses == [201, 201, 413]
            assert admin("POST", "/v2/images", json_body={}).status == 201

    def test_bytes_are_not_limited_with_it(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path, quotas=self.LIMIT)) as wire:
            filled(wire, 10 * QUOTA)

    def test_no_number_of_requests_at_the_same_time_gets_more(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path, quotas=Quotas(max_images_per_project=5))) as wire:
            body = b'{"disk_format": "raw", "container_format": "bare"}'
            fields = {**wire.caller.headers(), "Host": "x", "Content-Type": "application/json", "Content-Length": "50"}

            async def creations() -> list[Answer]:
                return await asyncio.gather(
                    *(wire._run("POST", "/v2/images", fields, [body], cut=False) for _ in range(20))
                )

            statuses = [answer.status for answer in wire.loop.run_until_complete(creations())]
            assert (statuses.count(201), statuses.count(413)) == (5, 15)


def uploads_at_once(wire: Wire, sizes: list[int], *, chunked: bool) -> list[int]:
    """Statuses of uploads that run in one event loop, each in a thread of its own once it moves data."""
    images = [new(wire) for _ in sizes]

    async def all_of_them() -> list[Answer]:
        return await asyncio.gather(
            *(_upload(wire, image, size, chunked=chunked) for image, size in zip(images, sizes, strict=True))
        )

    return [answer.status for answer in wire.loop.run_until_complete(all_of_them())]


async def _upload(wire: Wire, image_id: str, size: int, *, chunked: bool) -> Answer:
    fields = {**wire.caller.headers(), **OCTETS, "Host": "img.example.net"}
    fields.update({"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(size)})
    step = max(size // 8, 1)
    parts = [bytes(size)[start : start + step] for start in range(0, size, step)]
    return await wire._run("PUT", f"/v2/images/{image_id}/file", fields, parts, cut=False)


class Held:
    """A body of ``size`` bytes whose end comes once it is let go on."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stored = threading.Event()
        self.go_on = threading.Event()
        self._given = False

    def next_batch(self) -> bytes | None:
        if not self._given:
            self._given = True
            return bytes(self.size)
        self.stored.set()
        assert self.go_on.wait(20)
        return None


class TestConcurrency:
    """No number of requests at the same time gets more than the quota."""

    @pytest.mark.parametrize("chunked", [False, True])
    def test_uploads_in_threads(self, limited: Wire, chunked: bool) -> None:
        statuses = uploads_at_once(limited, [300] * 12, chunked=chunked)
        assert set(statuses) <= {204, 413}
        assert used(limited) == 300 * statuses.count(204) <= QUOTA
        if not chunked:
            assert statuses.count(204) == 3
        assert len(limited.stored()) == statuses.count(204)
        assert limited.service.deps.database.count_jobs() == {}

    def test_many_small_uploads_of_unknown_size(self, limited: Wire) -> None:
        for _ in range(4):
            uploads_at_once(limited, [70] * 8, chunked=True)
        assert used(limited) <= QUOTA
        assert len(limited.stored()) == used(limited) // 70

    def test_uploads_to_two_processes(self, tmp_path: Path) -> None:
        settings = settings_in(tmp_path, quotas=Quotas(user_storage_quota=QUOTA))
        with wired(settings) as wire:
            images = [new(wire) for _ in range(16)]
            command = [sys.executable, "-W", "error", "-c", UPLOADER, str(tmp_path), str(QUOTA)]
            processes = [
                subprocess.Popen(
                    [*command, *images[part::2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, text=True,
                )
                for part in range(2)
            ]  # fmt: skip
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            answers = [process.communicate(timeout=50) for process in processes]
            assert [errors for _, errors in answers] == ["", ""]
            statuses = [line for output, _ in answers for line in output.split()]
            assert (statuses.count("204"), statuses.count("413")) == (6, 10)
            assert used(wire) == 6 * 150

    @pytest.mark.parametrize("announced", [QUOTA, None])
    def test_deleting_a_pending_upload_makes_no_room(self, limited: Wire, announced: int | None) -> None:
        """Upload, delete while data come, upload again: the data of the first are on the disk until it ends."""
        deps = limited.service.deps
        image_id = new(limited)
        source = Held(QUOTA)
        with ThreadPoolExecutor(1) as pool:
            steps = upload_image(deps, CONTEXT, UploadRequest(image_id, announced))
            first = pool.submit(drive, steps, source)
            assert source.stored.wait(10)
            assert limited("DELETE", f"/v2/images/{image_id}").status == 204
            second = new(limited)
            assert put(limited, second, 1).status == 413
            assert put(limited, second, 1, chunked=True).status == 413
            source.go_on.set()
            with pytest.raises(Gone):
                first.result(10)
        assert put(limited, second, QUOTA).status == 204
        assert (used(limited), limited.stored()) == (QUOTA, [second])

    def test_the_room_of_a_dead_process_comes_back(self, tmp_path: Path) -> None:
        settings = settings_in(tmp_path, quotas=Quotas(user_storage_quota=QUOTA), leases=Leases(lifetime=0.2))
        with wired(settings) as wire:
            deps = wire.service.deps
            image_id = new(wire)
            assert deps.admission is not None
            image = deps.database.get_image(image_id, Viewer(None, is_admin=True))
            with deps.heartbeat.attend(CONTEXT, UPLOAD, NoInput(), image_id=image_id) as run:
                deps.admission.claim(CONTEXT, image, run.job, 0.2, QUOTA)
            assert put(wire, new(wire), 1).status == 413
            time.sleep(0.3)
            assert run_due(wire.service.jobs) == 1
            assert put(wire, image_id, QUOTA).status == 204


UPLOADER = """
import sys
from pathlib import Path
from glimpse.settings.model import Quotas
from tests.api.test_quotas import put
from tests.support.wire import Wire, settings_in
from glimpse.app import build_service
import asyncio

directory, quota, *images = sys.argv[1:]
settings = settings_in(Path(directory), quotas=Quotas(user_storage_quota=int(quota)))
service = build_service(settings)
loop = asyncio.new_event_loop()
wire = Wire(service, loop, settings)
input()
for number, image in enumerate(images):
    print(put(wire, image, 150, chunked=number % 2 == 1).status)
service.close()
loop.close()
"""


class FixedLimits:
    """Limits by name, enforced by the rule of imports-and-stores 7.2, on the usage of the database."""

    def __init__(self, usage_of: UsageOf, limits: dict[str, int]) -> None:
        self.limits = limits
        self._usage_of = usage_of

    def enforce(self, project_id: str | None, deltas: Mapping[str, int]) -> None:
        found = self.usage(project_id)
        for name, delta in deltas.items():
            if 0 <= found[name].limit < found[name].usage + delta:
                raise LimitExceeded(f"{name} is limited to {found[name].limit}.")

    def usage(self, project_id: str | None) -> Mapping[str, Limited]:
        figures = self._usage_of(project_id).by_resource()
        return {name: Limited(figures[name], self.limits.get(name, 0)) for name in RESOURCES}


class TestUnifiedLimits:
    """imports-and-stores 7.2 and 15; the limits of a real Keystone: tests/interop/test_keystone_limits.py."""

    @pytest.fixture
    def limits(self) -> dict[str, int]:
        return dict.fromkeys(RESOURCES, -1)

    @pytest.fixture
    def wire(self, tmp_path: Path, limits: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
        def build(_quotas: Quotas, figures_of: Callable[[str | None], UsageFigures]) -> FixedLimits:
            def usage_of(project_id: str | None) -> ProjectUsage:
                return ProjectUsage(**msgspec.structs.asdict(figures_of(project_id)))

            return FixedLimits(usage_of, limits)

        monkeypatch.setattr("glimpse.app.build_limits", build)
        quotas = Quotas(use_keystone_limits=True, user_storage_quota=10)
        with wired(settings_in(tmp_path, stores=stores_in(tmp_path), quotas=quotas)) as made:
            yield made

    def test_the_quota_of_the_file_is_ignored(self, wire: Wire) -> None:
        """images-api 6.2."""
        filled(wire, QUOTA)

    def test_usage(self, wire: Wire, limits: dict[str, int]) -> None:
        """imports-and-stores 1.5: always the caller's project; copies count, sizes in MiB rounded down."""
        limits.update(image_size_total=10, image_stage_total=20, image_count_total=30, image_count_uploading=40)
        image_id = filled(wire, MIB + 5)
        add_copy(wire, image_id, "fast", bytes(MIB + 5))
        new(wire.as_(OTHER))
        expected = {
            "image_size_total": {"usage": 2, "limit": 10},
            "image_stage_total": {"usage": 0, "limit": 20},
            "image_count_total": {"usage": 1, "limit": 30},
            "image_count_uploading": {"usage": 0, "limit": 40},
        }
        assert wire("GET", "/v2/info/usage").json == {"usage": expected}
        of_admin = wire.as_(ADMIN)("GET", "/v2/info/usage").json["usage"]
        assert of_admin["image_count_total"] == {"usage": 0, "limit": 30}

    def test_the_number_of_images(self, wire: Wire, limits: dict[str, int]) -> None:
        """imports-and-stores 15: the second create is 413, and works after a deletion or with a higher limit."""
        limits["image_count_total"] = 1
        first = new(wire)
        for _ in range(2):
            assert wire("POST", "/v2/images", json_body={}).status == 413
        wire("DELETE", f"/v2/images/{first}")
        new(wire)
        assert wire("POST", "/v2/images", json_body={}).status == 413
        limits["image_count_total"] = 2
        new(wire)

    def test_a_refused_create_leaves_nothing(self, wire: Wire, limits: dict[str, int]) -> None:
        limits["image_count_total"] = 0
        document = {"id": "11111111-2222-3333-4444-555555555555"}
        assert wire("POST", "/v2/images", json_body=document).status == 413
        limits["image_count_total"] = 1
        assert wire("POST", "/v2/images", json_body=document).status == 201

    def test_policy_comes_before_the_limit(self, wire: Wire, limits: dict[str, int]) -> None:
        """images-api 3.2: row 7, then 8, then 10."""
        limits["image_count_total"] = 0
        assert wire("POST", "/v2/images", json_body={"visibility": "public"}).status == 403
        assert wire("POST", "/v2/images", json_body={"tags": ["x"] * 200, "min_disk": -1}).status == 413

    def test_one_upload_of_unknown_size_overshoots(self, wire: Wire, limits: dict[str, int]) -> None:
        """imports-and-stores 7.2 and 15: at the limit one more succeeds, the third is refused and stays usable."""
        limits["image_size_total"] = 1
        images = [new(wire) for _ in range(3)]
        assert put(wire, images[0], MIB, chunked=True).status == 204
        assert put(wire, images[1], MIB, chunked=True).status == 204
        assert put(wire, images[2], MIB, chunked=True).status == 413
        assert status_of(wire, images[2]) == "queued"
        limits["image_size_total"] = 3
        assert put(wire, images[2], MIB, chunked=True).status == 204

    def test_announced_sizes_do_not_overshoot(self, wire: Wire, limits: dict[str, int]) -> None:
        limits["image_size_total"] = 1
        image_id = new(wire)
        assert put(wire, image_id, 2 * MIB).status == 413
        assert put(wire, image_id, 2 * MIB - 1).status == 204

    def test_the_limit_is_asked_before_the_image_is_looked_up(self, wire: Wire, limits: dict[str, int]) -> None:
        """images-api 4.2: row 3 before rows 4 and 5, after rows 1 and 2."""
        limits["image_size_total"] = 0
        assert put(wire, "no-image", MIB).status == 413
        assert put(wire, "no-image", MIB, x_image_meta_store="tape").status == 413
        assert put(wire, "no-image", MIB, x_openstack_image_size="x").status == 400
        assert wire("PUT", "/v2/images/no-image/file", bytes(MIB), {"Content-Type": "text/plain"}).status == 415
        assert put(wire, "no-image", MIB - 1).status == 404

    def test_the_number_of_uploads(self, wire: Wire, limits: dict[str, int]) -> None:
        """images-api 4.2, row 10: looked at after the claim, back to queued."""
        limits["image_count_uploading"] = 0
        image_id = new(wire)
        assert put(wire, image_id, 5).status == 413
        assert status_of(wire, image_id) == "queued"
        assert wire.service.deps.database.count_jobs() == {}
        limits["image_count_uploading"] = 1
        assert put(wire, image_id, 5).status == 204

    def test_staged_data(self, wire: Wire, limits: dict[str, int]) -> None:
        """imports-and-stores 7.2: ``image_stage_total`` before the image is looked up, the uploading ones after."""

        def stage(image_id: str, data: bytes | list[bytes]) -> int:
            return wire("PUT", f"/v2/images/{image_id}/stage", data, OCTETS).status

        limits |= {"image_stage_total": 1, "image_size_total": 0}
        assert stage("no-image", bytes(2 * MIB)) == 413
        first, second, third = new(wire), new(wire), new(wire)
        assert stage(first, bytes(MIB)) == 204
        assert stage(second, bytes(MIB)) == 413
        assert stage(second, [bytes(MIB)]) == 204
        assert stage(third, [b""]) == 413
        limits["image_stage_total"] = -1
        limits["image_count_uploading"] = 2
        assert stage(third, b"") == 413
        assert status_of(wire, third) == "queued"
        assert wire.service.deps.database.count_jobs() == {}
        limits["image_count_uploading"] = 3
        assert stage(third, b"") == 204

    @pytest.mark.parametrize("chunked", [False, True])
    def test_stages_at_the_same_time(self, wire: Wire, limits: dict[str, int], chunked: bool) -> None:
        """They reserve what they stage; of those of unknown size one exceeds the limit."""
        limits["image_stage_total"] = 2
        begun = []
        for _ in range(4):
            steps = stage_image(wire.service.deps, CONTEXT, StageRequest(new(wire), None if chunked else MIB))
            try:
                next(steps)
                steps.send(bytes(MIB))
            except LimitExceeded:
                continue
            begun.append(steps)
        assert len(begun) == (3 if chunked else 2)
        # stored data have a limit of their own
        assert put(wire, new(wire), MIB).status == 204
        for steps in begun:
            with pytest.raises(StopIteration):
                steps.send(None)
        staged = wire.service.deps.database.usage("p1").stage_total
        assert staged == len(begun) * MIB
        assert wire.service.deps.database.count_jobs() == {}

    def test_a_stage_that_grows_beyond_the_limit(self, wire: Wire, limits: dict[str, int]) -> None:
        limits["image_stage_total"] = 3
        one, other = (stage_image(wire.service.deps, CONTEXT, StageRequest(new(wire), None)) for _ in range(2))
        for steps in (one, other):
            next(steps)
            steps.send(bytes(MIB))
        one.send(bytes(3 * MIB))
        with pytest.raises(LimitExceeded, match="staged data"):
            other.send(bytes(MIB))
        with pytest.raises(StopIteration):
            one.send(None)

    def test_the_project_is_the_callers(self, wire: Wire, limits: dict[str, int]) -> None:
        """imports-and-stores 7.2: even when an administrator uploads into another project's image."""
        limits["image_size_total"] = 1
        filled(wire, 2 * MIB - 1)
        assert put(wire, new(wire), MIB).status == 413
        assert put(wire.as_(ADMIN), new(wire), MIB).status == 204

    def test_announced_uploads_at_the_same_time(self, wire: Wire, limits: dict[str, int]) -> None:
        limits["image_size_total"] = 3
        statuses = uploads_at_once(wire, [MIB] * 8, chunked=False)
        assert (statuses.count(204), statuses.count(413)) == (3, 5)
        assert used(wire) == 3 * MIB

    def test_of_uploads_of_unknown_size_at_the_same_time_one_overshoots(
        self, wire: Wire, limits: dict[str, int]
    ) -> None:
        limits["image_size_total"] = 1
        statuses = uploads_at_once(wire, [2 * MIB] * 6, chunked=True)
        assert set(statuses) <= {204, 413}
        assert statuses.count(204) <= 1
        assert used(wire) <= 2 * MIB
        assert wire.service.deps.database.count_jobs() == {}

    def test_images_created_at_the_same_time(self, wire: Wire, limits: dict[str, int]) -> None:
        limits["image_count_total"] = 3
        fields = {**wire.caller.headers(), "Host": "img.example.net", "Content-Type": "application/json"}
        body = b"{}"

        async def all_of_them() -> list[Answer]:
            one = {**fields, "Content-Length": str(len(body))}
            return await asyncio.gather(
                *(wire._run("POST", "/v2/images", dict(one), [body], cut=False) for _ in range(10))
            )

        statuses = [answer.status for answer in wire.loop.run_until_complete(all_of_them())]
        assert (statuses.count(201), statuses.count(413)) == (3, 7)
