"""A store whose directory is not mounted: nothing is written to it, and no image is reported missing."""

from __future__ import annotations

from tests.support.footprint import eventually, stored_files
from tests.support.raw_http import Api
from tests.support.service import Service
from tests.system.conftest import StartService

DATA = b"data" * 1000


def assert_unavailable(service: Service, api: Api, image_id: str) -> None:
    for answer in (api.upload(api.new(), DATA), api.download(image_id)):
        assert answer.status == 503, answer.text
    # the copy waits for its store
    assert api.delete(image_id).status == 204
    assert stored_files(service) == set()


def test_an_empty_directory_in_its_place_is_noticed_while_the_service_runs(start_service: StartService) -> None:
    service = start_service()
    api = Api(service.port)
    kept, deleted = api.new(), api.new()
    for image_id in (kept, deleted):
        assert api.upload(image_id, DATA).status == 204
    away = service.data_dir / "away"
    service.images_dir.rename(away)
    service.images_dir.mkdir()
    assert_unavailable(service, api, deleted)
    assert "does not have its marker file; is it mounted?" in api.upload(api.new(), DATA).text
    service.images_dir.rmdir()
    away.rename(service.images_dir)
    assert api.download(kept).body == DATA
    assert eventually(lambda: stored_files(service) == {kept}, 60), "the deletion left an orphan"


def test_an_empty_directory_is_noticed_at_start_with_a_marker_or_without(start_service: StartService) -> None:
    service = start_service(options={"glimpse": {"lease_time": 1, "lease_heartbeat": 0.2}})
    api = Api(service.port)
    kept, deleted = api.new(), api.new()
    for image_id in (kept, deleted):
        assert api.upload(image_id, DATA).status == 204
    marker = service.images_dir / ".glimpse-store"
    assert marker.exists()
    service.stop()
    away = service.data_dir / "away"
    service.images_dir.rename(away)
    service.start()
    assert eventually(lambda: "nor any of 2 images recorded there, so it is not used" in service.log, 20)
    assert not marker.exists()
    assert_unavailable(service, api, deleted)
    service.stop()
    service.images_dir.rmdir()
    away.rename(service.images_dir)
    marker.unlink()
    service.start()
    assert marker.exists(), "a directory with recorded images is taken over"
    assert api.download(kept).body == DATA
    assert eventually(lambda: stored_files(service) == {kept}, 60), "the deletion left an orphan"
