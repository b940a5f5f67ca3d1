"""A disk shared by database and images never gets so full that images cannot be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.footprint import assert_untouched
from tests.support.raw_http import OCTETS, Api, zeros
from tests.support.service import Service
from tests.support.small_disk import free_bytes, small_file_system

MIB = 1 << 20
OPTIONS = {
    "glimpse": {"database_reserve": 8 * MIB},
    "glance_store": {"filesystem_store_reserve": 16 * MIB},
}


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of 48 MiB."""
    with small_file_system("size=48m") as place:
        yield place


def test_what_is_full_is_refused_and_can_be_freed(disk: Path, tmp_path: Path) -> None:
    with Service(tmp_path / "unused", options=OPTIONS) as probe:
        assert Api(probe.port).new(), "the options are good"
    with Service(disk, options=OPTIONS) as service:
        api = Api(service.port)
        images = [api.new() for _ in range(2)]
        for image_id in images:
            assert api.upload(image_id, zeros(6 * MIB)).status == 204
        refused = api.new()
        answer = api.call("PUT", f"/v2/images/{refused}/file", zeros(40 * MIB), OCTETS)
        assert answer.status == 413
        assert "has no space left" in answer.text
        assert_untouched(service, api, refused)
        assert api.upload(refused, bytes(30 * MIB)).status == 413
        api.new()

        filler = disk / "filler"
        filler.write_bytes(bytes(free_bytes(disk) - 7 * MIB))
        for answer in (
            api.call("POST", "/v2/images", b"{}"),
            api.upload(refused, b"data"),
            api.patch(refused, [{"op": "add", "path": "/name", "value": "x"}]),
        ):
            assert answer.status == 503
            assert "The disk of the database is nearly full" in answer.text
        assert api.call("POST", f"/v2/images/{images[0]}/actions/deactivate").status == 204
        assert api.show(images[0])["status"] == "deactivated"
        assert api.delete(images[0]).status == 204

        service.stop()
        filler.write_bytes(bytes(free_bytes(disk) + filler.stat().st_size - 5 * MIB))
        service.start()
        assert api.call("POST", "/v2/images", b"{}").status == 503
        assert len(api.download(images[1]).body) == 6 * MIB
        assert api.delete(images[1]).status == 204
        filler.unlink()
        assert api.upload(refused, b"data").status == 204
