"""Swift stores beyond the contract: large objects of either service, temporary URLs, connections that break."""

from __future__ import annotations

import hashlib
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.parse import quote

import pytest

from glimpse.errors import AccessDenied, DataNotFound, Duplicate, ForeignLocation, StoreUnavailable
from glimpse.settings.model import Secret
from glimpse.stores.swift import manifests
from glimpse.stores.swift.account import Account
from glimpse.stores.swift.single_tenant import SingleTenantStore
from glimpse.stores.swift.store import Tuning
from tests.contract.stores.rigs import swift
from tests.contract.stores.rigs.base import Rig, new_id
from tests.support.images.content import noise
from tests.support.needs import unavailable

MB = 1_024_000
CONTENT = noise(4 * MB + 1234)
SMALL = {"swift_store_large_object_size": 1, "swift_store_large_object_chunk_size": 1}

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]


@contextmanager
def _rig(*, by_prefix: bool = False, **options: object) -> Iterator[Rig]:
    if not os.environ.get(swift.NEEDS):
        unavailable(f"{swift.NEEDS} names no server; dev/rigs starts one")
    tuning = Tuning(limits=swift.TUNING.limits, by_prefix=by_prefix)
    rig = swift.build(swift.options(**{**SMALL, **options}), tuning)
    yield rig
    rig.end()


@pytest.fixture
def rig() -> Iterator[Rig]:
    with _rig() as made:
        yield made


def _account(rig: Rig) -> Account:
    assert isinstance(rig.store, SingleTenantStore)
    return rig.store._account(rig.store._own)


def _container(rig: Rig) -> str:
    assert isinstance(rig.store, SingleTenantStore)
    return rig.store.options.swift_store_container


def _put(rig: Rig, name: str, data: bytes, **headers: str) -> None:
    answer = _account(rig).request("PUT", f"/{_container(rig)}/{quote(name)}", headers, data)
    assert answer.status == 201


def _names(rig: Rig) -> list[str]:
    return [entry.name for entry in _account(rig).listing(_container(rig))]


def _in_ranges(rig: Rig, url: str, size: int) -> bytes:
    """The object, read in eight ranges at the same time."""
    step = size // 8 + 1
    with ThreadPoolExecutor(8) as threads:
        parts = threads.map(lambda start: rig.get(url, start, min(step, size - start)), range(0, size, step))
        return b"".join(parts)


# ------------------------------------------------------------------------------------------------- large objects


def test_a_large_image_has_a_static_manifest_and_segments_with_the_name_of_its_attempt(rig: Rig):
    image_id = new_id()
    url = rig.put(CONTENT, image_id)
    assert _names(rig) == [image_id, *(f"{image_id}.a1b2.{number:05}" for number in range(1, 6))]
    headers = _account(rig).head(f"/{_container(rig)}/{image_id}") or {}
    assert headers[manifests.STATIC] == "True"
    assert rig.store.size(url) == len(CONTENT)
    assert _in_ranges(rig, url, len(CONTENT)) == CONTENT
    rig.store.delete(url)
    rig.kept.clear()
    assert _names(rig) == []


def test_an_image_of_exactly_one_segment_is_one_object(rig: Rig):
    image_id = new_id()
    rig.put(CONTENT[: MB - 1], image_id)
    assert _names(rig) == [image_id]


def test_a_cluster_without_static_manifests():
    with _rig(by_prefix=True) as rig:
        image_id = new_id()
        url = rig.put(CONTENT, image_id)
        headers = _account(rig).head(f"/{_container(rig)}/{image_id}") or {}
        assert headers[manifests.BY_PREFIX] == f"{_container(rig)}/{image_id}.a1b2."
        assert rig.store.size(url) == len(CONTENT)
        assert _in_ranges(rig, url, len(CONTENT)) == CONTENT
        with pytest.raises(Duplicate):
            rig.store.writer(image_id, None, "try2")
        rig.store.delete(url)
        rig.kept.clear()
        assert _names(rig) == []


def test_very_many_segments_have_manifests_of_their_own(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(manifests, "_MOST_SEGMENTS", 2)
    image_id = new_id()
    url = rig.put(CONTENT, image_id)
    parts = [name for name in _names(rig) if ".part" in name]
    assert parts == [f"{image_id}.a1b2.part{number:05}" for number in (1, 2, 3)]
    assert _in_ranges(rig, url, len(CONTENT)) == CONTENT
    rig.store.delete(url)
    rig.kept.clear()
    assert _names(rig) == []
    url = rig.put(CONTENT, image_id)
    assert rig.store.sweep(image_id, "a1b2") is True
    rig.kept.clear()
    assert _names(rig) == []


@pytest.mark.parametrize("by_prefix", [False, True])
def test_what_another_attempt_or_glance_left_is_not_in_an_image(by_prefix: bool):
    with _rig(by_prefix=by_prefix) as rig:
        image_id = new_id()
        rig.put(b"creates the container")
        left = [f"{image_id}-00001", f"{image_id}.dead.00001", f"{image_id}.dead.00003"]
        for name in left:
            _put(rig, name, b"leftover")
        url = rig.put(CONTENT, image_id)
        assert rig.get(url) == CONTENT
        listed = {(one.image_id, one.attempt): one.size for one in rig.store.objects()}  # pyright: ignore[reportAttributeAccessIssue]
        assert listed[image_id, None] == len(CONTENT)
        assert listed[image_id, "dead"] == 16
        assert rig.store.sweep(image_id, "dead") is True
        assert rig.get(url) == CONTENT
        rig.kept.add(left[0])


def test_a_large_object_of_glance(rig: Rig):
    """Segments and manifest as store-formats 7.3 describes them."""
    image_id = new_id()
    rig.put(b"creates the container", other := new_id())
    for number in range(5):
        _put(rig, f"{image_id}-{number + 1:05}", CONTENT[number * MB : (number + 1) * MB])
    _put(rig, image_id, b"", **{"X-Object-Manifest": f"{_container(rig)}/{image_id}-"})
    url = rig.url(image_id)
    assert rig.store.size(url) == len(CONTENT)
    assert _in_ranges(rig, url, len(CONTENT)) == CONTENT
    listed = {one.image_id: one.size for one in rig.store.objects()}  # pyright: ignore[reportAttributeAccessIssue]
    assert listed == {other: 21, image_id: len(CONTENT)}
    assert rig.store.sweep(image_id, "a1") is False
    rig.store.delete(url)
    assert _names(rig) == [other]


def test_segments_that_vanish_before_the_commit(rig: Rig):
    image_id = new_id()
    writer = rig.begin(image_id, CONTENT)
    while not (segments := [name for name in _names(rig) if name.endswith(".00001")]):
        pass
    _account(rig).request("DELETE", f"/{_container(rig)}/{segments[0]}")
    with pytest.raises(StoreUnavailable, match="all of the data"):
        writer.commit()
    writer.abort()
    assert _names(rig) == []


# ---------------------------------------------------------------------------------------- access and connections


def test_a_container_that_nobody_created():
    with _rig(swift_store_create_container_on_put=False) as rig:
        with pytest.raises(AccessDenied, match="swift_store_create_container_on_put"):
            rig.store.writer(new_id(), None, "try1")
        with pytest.raises(DataNotFound):
            rig.store.size(rig.url(new_id()))
        assert list(rig.store.objects()) == []  # pyright: ignore[reportAttributeAccessIssue]


def test_the_credentials_of_a_location(rig: Rig):
    """An image in the account of another user at the same identity service."""
    theirs = swift.build(swift.options(swift_store_user="test2:tester3", swift_store_key=Secret("testing3")))
    url = theirs.put(b"theirs")
    assert rig.get(url) == b"theirs"
    with pytest.raises(AccessDenied):
        rig.store.size(url.replace("testing3", "testing4"))
    theirs.store.delete(url)
    assert theirs.remove is not None
    theirs.remove()
    theirs.store.close()


def test_temporary_urls(rig: Rig):
    url = rig.put(CONTENT)
    account = _account(rig)
    account.request("POST", "", {"X-Account-Meta-Temp-Url-Key": ""})
    assert rig.store.presigned_url(url, 60) is None  # pyright: ignore[reportAttributeAccessIssue]
    account.request("POST", "", {"X-Account-Meta-Temp-Url-Key": "signing"})
    account._kept.clear()
    try:
        signed = rig.store.presigned_url(url, 60)  # pyright: ignore[reportAttributeAccessIssue]
        with urllib.request.urlopen(signed) as answer:
            assert answer.read() == CONTENT
        for wrong in (signed.replace("sig=", "sig=0"), rig.store.presigned_url(url, -1)):  # pyright: ignore[reportAttributeAccessIssue]
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(wrong)
            assert caught.value.code == 401
            caught.value.close()
        with pytest.raises(DataNotFound):
            rig.store.presigned_url(rig.url(new_id()), 60)  # pyright: ignore[reportAttributeAccessIssue]
    finally:
        account.request("POST", "", {"X-Account-Meta-Temp-Url-Key": ""})


def test_a_connection_that_breaks_while_an_image_is_read(rig: Rig):
    content = noise(24 * MB)
    reader = rig.store.reader(rig.put(content), 10)
    digest = hashlib.sha256(content[:10])
    breaks = 0
    while part := reader.read(1 << 20):
        digest.update(part)
        if breaks < 3:
            with suppress(OSError):  # it is broken already, and the reader has data that arrived before
                reader._stream._connection._sock.shutdown(socket.SHUT_RDWR)  # pyright: ignore[reportAttributeAccessIssue]
                breaks += 1
    reader.close()
    assert breaks == 3
    assert digest.digest() == hashlib.sha256(content).digest()


def test_an_image_that_changes_while_it_is_read_is_not_mixed(rig: Rig):
    image_id = new_id()
    content = noise(24 * MB)
    reader = rig.store.reader(url := rig.put(content, image_id))
    reader.read(1000)
    rig.store.delete(url)
    rig.put(content[::-1], image_id)
    reader._stream._connection._sock.shutdown(socket.SHUT_RDWR)  # pyright: ignore[reportAttributeAccessIssue]

    def rest() -> None:
        while reader.read(1 << 20):
            pass

    with pytest.raises(StoreUnavailable, match="changed"):
        rest()
    reader.close()


def test_kept_connections_that_the_server_has_closed_are_replaced(rig: Rig):
    url = rig.put(b"data")
    assert isinstance(rig.store, SingleTenantStore)
    for idle in rig.store.connections._idle.values():
        for connection in idle:
            connection._sock.shutdown(socket.SHUT_RDWR)
    assert rig.get(url) == b"data"
    assert rig.get(rig.put(CONTENT)) == CONTENT


def test_locations_of_other_clusters_are_refused_without_a_request(rig: Rig):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        port = server.getsockname()[1]
        for url in (
            f"swift+http://test%3Atester:testing@127.0.0.1:{port}/auth/v1.0/glance/image",
            f"swift+http://127.0.0.1:{port}/v1/AUTH_test/glance/image",
        ):
            with pytest.raises(ForeignLocation):
                rig.store.reader(url)
        with pytest.raises(TimeoutError):
            server.accept()
