"""gzip compression of long responses for clients that accept it (images-api 5.4)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from glimpse.api.compression import WORTH_BYTES, takes_gzip
from tests.support.wire import Wire, settings_in, wired

#: What requests, and with it every OpenStack client, sends.
REQUESTS = {"Accept-Encoding": "gzip, deflate"}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A service with 120 images of eight properties each."""
    with wired(settings_in(tmp_path_factory.mktemp("service"))) as wire:
        for number in range(120):
            wire.create(name=f"image {number}", tags=["a", "b"], **{f"property_{n}": f"value {n}" for n in range(8)})
        yield wire


def test_a_long_list_goes_as_gzip_to_who_asks(full: Wire) -> None:
    plain = full("GET", "/v2/images?limit=120")
    packed = full("GET", "/v2/images?limit=120", headers=REQUESTS)
    assert len(plain.body) > WORTH_BYTES
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    for answer in (plain, packed):
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) == len(answer.body)


@pytest.mark.parametrize("limit", [2, 25])
def test_a_short_list_goes_as_gzip_too(full: Wire, limit: int) -> None:
    plain = full("GET", f"/v2/images?limit={limit}")
    packed = full("GET", f"/v2/images?limit={limit}", headers=REQUESTS)
    assert 1024 < len(plain.body) < 64 << 10
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)


def test_answers_up_to_1_kib_stay_as_they_are(full: Wire) -> None:
    answer = full("GET", "/v2/images?name=nothing", headers=REQUESTS)
    assert len(answer.body) <= 1024 == WORTH_BYTES
    assert not {"content-encoding", "vary"} & set(answer.headers)


def test_data_never_go_as_gzip(full: Wire) -> None:
    image_id = full.create()["id"]
    data = bytes(2 * WORTH_BYTES)
    assert full.upload(image_id, data).status == 204
    answer = full("GET", f"/v2/images/{image_id}/file", headers=REQUESTS)
    assert answer.body == data
    assert not {"content-encoding", "vary"} & set(answer.headers)


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    api = msgspec.structs.replace(settings.api, compress_lists=False)
    with wired(msgspec.structs.replace(settings, api=api)) as wire:
        for number in range(100):
            wire.create(name=str(number), description="x" * 1000)
        answer = wire("GET", "/v2/images?limit=100", headers=REQUESTS)
    assert len(answer.body) > WORTH_BYTES
    assert not {"content-encoding", "vary"} & set(answer.headers)


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip", True), ("gzip, deflate", True), ("deflate, GZIP;q=0.5", True), ("*", True), ("x-gzip", True),
        ("", False), ("identity", False), ("deflate", False), ("gzip;q=0", False), ("gzip;q=0.0, *", False),
        ("*;q=0", False), ("gzip;q=x", False), ("gzip;v=1", False), ("gzip;q=nan", False), ("gzipped", False),
    ],
)  # fmt: skip
def test_accept_encoding(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted) is taken
