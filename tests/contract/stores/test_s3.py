"""S3 stores on real servers: what the contract of all stores does not ask."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import msgspec
import pytest

from glimpse.errors import AccessDenied, DataNotFound, Duplicate, ForeignLocation, StoreUnavailable
from glimpse.settings.model import Secret
from glimpse.stores.s3.client import Client
from glimpse.stores.s3.options import S3Options
from glimpse.stores.s3.store import S3Store
from tests.contract.stores.rigs import s3 as servers
from tests.contract.stores.rigs.base import new_id
from tests.support.cutting_relay import CuttingRelay
from tests.support.images.content import noise
from tests.support.needs import unavailable
from tests.support.relay import Relay

MIB = 1 << 20
CONTENT = noise(24 * MIB + 17)

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


@pytest.fixture(params=["radosgw", "swift"])
def chosen(request: pytest.FixtureRequest) -> S3Options:
    """A store on each server, with a bucket that does not exist yet."""
    if not os.environ.get(servers.NEEDS):
        unavailable(f"{servers.NEEDS} names no server; dev/rigs starts one")
    build = {"radosgw": servers.radosgw_options, "swift": servers.swift_options}[request.param]
    return build(servers.new_bucket())


@pytest.fixture
def outside(chosen: S3Options) -> Iterator[servers.Outside]:
    """The bucket, which must be empty at the end."""
    bucket = servers.Outside(chosen)
    bucket.create()
    yield bucket
    left = bucket.keys()
    bucket.remove()
    assert left == []


@pytest.fixture
def store(chosen: S3Options, outside: servers.Outside) -> Iterator[S3Store]:
    store = S3Store("objects", chosen, servers.PATIENT)
    yield store
    store.close()


def through(port: int, chosen: S3Options) -> S3Store:
    """A store that reaches the server through a relay."""
    return S3Store("objects", changed(chosen, s3_store_host=f"http://127.0.0.1:{port}"), servers.PATIENT)


def changed(options: S3Options, **fields: Any) -> S3Options:
    return msgspec.structs.replace(options, **fields)


def address(options: S3Options) -> tuple[str, int]:
    parts = urlsplit(options.s3_store_host or "")
    return parts.hostname or "", parts.port or 80


def put(store: S3Store, content: bytes = CONTENT, image_id: str | None = None, attempt: str = "try1") -> str:
    writer = store.writer(image_id or new_id(), len(content), attempt)
    writer.write(content)
    return writer.commit().url


def get(store: S3Store, url: str) -> bytes:
    reader = store.reader(url)
    try:
        return b"".join(iter(lambda: reader.read(MIB), b""))
    finally:
        reader.close()


# ------------------------------------------------------------------------------------------------ What processes leave

_DYING = """
import os, signal, sys
import msgspec
from glimpse.settings.options import from_text
from glimpse.stores.s3.options import S3Options
from glimpse.stores.s3.store import S3Store
store = S3Store("objects", from_text(msgspec.json.decode(sys.argv[1]), S3Options))
writer = store.writer(sys.argv[2], None, "dead")
for _ in range(25):
    writer.write(bytes(1 << 20))
if sys.argv[3] == "committed":
    writer.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["writing", "committed"])
def test_what_a_killed_process_left_is_swept(chosen: S3Options, store: S3Store, outside: servers.Outside, when: str):
    image_id = new_id()
    options = msgspec.json.encode(msgspec.structs.asdict(chosen), enc_hook=str).decode()
    done = subprocess.run([sys.executable, "-c", _DYING, options, image_id, when], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert outside.keys()
    assert store.sweep(image_id, "other") is False
    assert store.sweep(image_id, "dead") is True
    assert outside.keys() == []
    assert store.sweep(image_id, "dead") is False


def test_an_upload_that_was_started_and_not_marked_is_swept(store: S3Store, outside: servers.Outside):
    image_id = new_id()
    live = store.writer(image_id, None, "live")
    live.write(b"live")
    client_of(store).create_upload(image_id, "dead")
    assert len(outside.keys()) == 3
    assert store.sweep(image_id, "dead") is True
    url = live.commit().url
    assert get(store, url) == b"live"
    store.delete(url)


def test_an_attempt_that_was_swept_between_its_last_look_and_the_completion_leaves_nothing(
    store: S3Store, outside: servers.Outside, monkeypatch: pytest.MonkeyPatch
):
    image_id = new_id()
    writer = store.writer(image_id, None, "slow")
    writer.write(b"data")
    complete = Client.complete_upload

    def completed_while_it_is_swept(client: Client, key: str, upload_id: str, parts: Any) -> None:
        # the sweep removes the marker; the server completes what it was completing
        client.delete(f".glimpse/{image_id}/slow")
        complete(client, key, upload_id, parts)

    monkeypatch.setattr(Client, "complete_upload", completed_while_it_is_swept)
    with pytest.raises(StoreUnavailable, match="swept"):
        writer.commit()
    writer.abort()
    assert outside.keys() == []


def client_of(store: S3Store) -> Client:
    return store._client


# ------------------------------------------------------------------------------------------------- Broken connections


@pytest.mark.parametrize("delivered", [True, False])
def test_a_connection_that_breaks_at_the_completion(
    chosen: S3Options, store: S3Store, outside: servers.Outside, delivered: bool
):
    with CuttingRelay(address(chosen)) as relay:
        relayed = through(relay.port, chosen)
        image_id = new_id()
        writer = relayed.writer(image_id, len(CONTENT), "try1")
        writer.write(CONTENT)
        relay.cut_at(b"<CompleteMultipartUpload", delivered=delivered)
        writer.commit()
        assert relay.cuts == 1
        relayed.close()
    url = store.url_prefixes[0] + image_id
    assert get(store, url) == CONTENT
    store.delete(url)


def test_a_completion_of_which_nobody_knows_the_end_leaves_nothing_or_all(
    chosen: S3Options, store: S3Store, outside: servers.Outside
):
    with CuttingRelay(address(chosen)) as relay:
        relayed = through(relay.port, chosen)
        image_id = new_id()
        writer = relayed.writer(image_id, 4, "try1")
        writer.write(b"data")
        relay.cut_at(b" /", times=3)
        relay.cut_at(b"<CompleteMultipartUpload", times=5, delivered=True)
        try:
            writer.commit()
        except StoreUnavailable:
            relay.cut_at(b"never")
            writer.abort()
            with pytest.raises(DataNotFound):
                store.size(store.url_prefixes[0] + image_id)
        else:
            assert get(store, store.url_prefixes[0] + image_id) == b"data"
            store.delete(store.url_prefixes[0] + image_id)
        relayed.close()


@pytest.mark.parametrize("times", [1, 3])
def test_a_read_goes_on_at_the_byte_reached(chosen: S3Options, store: S3Store, times: int):
    content = noise(40 * MIB)
    url = put(store, content)
    with Relay(address(chosen)) as relay:
        relayed = through(relay.port, chosen)
        reader = relayed.reader(relayed.url_prefixes[0] + url.rpartition("/")[2])
        found = bytearray()
        for _ in range(times):
            found += reader.read(MIB)
            relay.down()
            relay.up()
        while part := reader.read(MIB):
            found += part
        reader.close()
        relayed.close()
    assert found == content
    store.delete(url)


def test_a_read_does_not_go_on_in_another_object(chosen: S3Options, store: S3Store):
    image_id = new_id()
    url = put(store, noise(40 * MIB), image_id)
    with Relay(address(chosen)) as relay:
        relayed = through(relay.port, chosen)
        reader = relayed.reader(relayed.url_prefixes[0] + image_id)
        reader.read(MIB)
        store.delete(url)
        put(store, noise(40 * MIB, "other"), image_id)
        relay.down()
        relay.up()

        def rest() -> None:
            while reader.read(MIB):
                pass

        with pytest.raises(StoreUnavailable, match="replaced"):
            rest()
        reader.close()
        relayed.close()
    store.delete(url)


def test_a_part_whose_connection_breaks_is_sent_again(chosen: S3Options, store: S3Store):
    with CuttingRelay(address(chosen)) as relay:
        relayed = through(relay.port, chosen)
        image_id = new_id()
        writer = relayed.writer(image_id, len(CONTENT), "try1")
        relay.cut_at(b"partNumber=2", times=2)
        writer.write(CONTENT)
        writer.commit()
        assert relay.cuts == 2
        relayed.close()
    url = store.url_prefixes[0] + image_id
    assert get(store, url) == CONTENT
    store.delete(url)


# ------------------------------------------------------------------------------------------ Buckets, keys, certificates


def test_a_bucket_that_is_not_there(chosen: S3Options):
    store = S3Store("objects", chosen, servers.PATIENT)
    url = store.url_prefixes[0] + new_id()
    calls: tuple[Callable[[], object], ...] = (
        lambda: store.writer(new_id(), 5, "try1"),
        lambda: store.reader(url),
        lambda: store.size(url),
        lambda: store.delete(url),
        lambda: store.sweep(new_id(), "try1"),
        lambda: list(store.objects()),
        store.probe,
    )
    for call in calls:
        with pytest.raises(StoreUnavailable, match="bucket of store objects does not exist"):
            call()
    store.close()


def test_a_bucket_is_created_if_the_operator_wants_it(chosen: S3Options):
    store = S3Store("objects", changed(chosen, s3_store_create_bucket_on_put=True), servers.PATIENT)
    store.probe()
    url = put(store, b"data")
    assert get(store, url) == b"data"
    store.delete(url)
    servers.Outside(chosen).remove()
    store.close()


def test_the_probe_tells_whether_the_store_works(chosen: S3Options, store: S3Store):
    store.probe()
    wrong = S3Store("objects", changed(chosen, s3_store_secret_key=Secret("wrong")), servers.PATIENT)
    with pytest.raises(AccessDenied) as caught:
        wrong.probe()
    assert "wrong" not in str(caught.value)
    wrong.close()


def test_images_of_others_are_left_alone(store: S3Store, outside: servers.Outside):
    outside.swift("PUT", f"{outside.bucket}/not-an-image")
    url = put(store, b"data")
    assert [found.url for found in store.objects()] == [url]
    assert store.delete(url) is None
    assert outside.keys() == ["not-an-image"]
    outside.swift("DELETE", f"{outside.bucket}/not-an-image")


def test_an_image_that_glance_wrote(chosen: S3Options, store: S3Store, outside: servers.Outside):
    """No metadata, and a location with the keys of that time (store-formats 10.1)."""
    image_id = new_id()
    outside.swift("PUT", f"{outside.bucket}/{image_id}")
    host = (chosen.s3_store_host or "").partition("://")[2]
    url = f"s3://old key:ol/d+secret@{host}/{outside.bucket}/{image_id}"
    assert store.size(url) == 0
    with pytest.raises(Duplicate):
        store.writer(image_id, None, "try1")
    assert store.sweep(image_id, "try1") is False
    with pytest.raises(ForeignLocation):
        store.size(url.replace(host, "elsewhere"))
    store.delete(url)


def test_a_presigned_url(store: S3Store):
    url = put(store, CONTENT)
    signed = store.presigned_url(url, 60)
    with urlopen(signed, timeout=30) as answer:
        assert answer.read() == CONTENT
    with pytest.raises(HTTPError, match="403"):
        urlopen(signed.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), timeout=30)
    store.delete(url)
    with pytest.raises(DataNotFound):
        store.presigned_url(url, 60)


@pytest.mark.parametrize("chosen", ["radosgw"], indirect=True)
def test_keys_are_rotated(outside: servers.Outside, chosen: S3Options):
    store = S3Store("objects", chosen, servers.PATIENT)
    url = put(store, b"data")
    new = changed(chosen, s3_store_access_key=Secret("rotated"), s3_store_secret_key=Secret("ro/tated+secret="))
    arguments = ["--uid=glance", "--key-type=s3", "--access-key=rotated"]
    servers.radosgw_admin("key", "create", *arguments, "--secret-key=ro/tated+secret=")
    try:
        rotated = S3Store("objects", new, servers.PATIENT)
        assert get(rotated, url) == b"data"
        rotated.close()
    finally:
        servers.radosgw_admin("key", "rm", *arguments)
    store.delete(url)
    store.close()


def test_a_certificate_that_is_not_trusted():
    tls = os.environ.get("GLIMPSE_TEST_S3_TLS_URL") or unavailable("GLIMPSE_TEST_S3_TLS_URL names no server")
    store = S3Store("objects", servers.options(tls, "rigaccess", "rigsecretkey", "any"), servers.PATIENT)
    with pytest.raises(StoreUnavailable, match="its certificate cannot be verified"):
        store.probe()
    store.close()


def test_names_of_buckets_in_the_host_name(monkeypatch: pytest.MonkeyPatch):
    """radosgw answers for ``BUCKET.localhost``; the name need not resolve on every machine."""
    url = os.environ.get(servers.NEEDS) or unavailable(f"{servers.NEEDS} names no server; dev/rigs starts one")
    plain = servers.radosgw_options(servers.new_bucket())
    outside = servers.Outside(plain)
    outside.create()
    monkeypatch.setattr("glimpse.stores.connections.pool.socket.getaddrinfo", _to_loopback)
    host = f"http://localhost:{urlsplit(url).port}"
    store = S3Store("objects", changed(plain, s3_store_host=host, s3_store_bucket_url_format="virtual"))
    placed = put(store)
    assert placed.startswith(f"s3://localhost:{urlsplit(url).port}/{outside.bucket}/")
    assert get(store, placed) == CONTENT
    store.delete(placed)
    store.close()
    outside.remove()


def _to_loopback(_host: str, port: int, *_: object, **__: object) -> list[Any]:
    return [(2, 1, 6, "", ("127.0.0.1", port))]


def test_a_part_that_was_changed_on_its_way_is_refused(monkeypatch: pytest.MonkeyPatch):
    """Swift compares the checksum of each part."""
    if not os.environ.get("GLIMPSE_TEST_S3API_URL"):
        unavailable("GLIMPSE_TEST_S3API_URL names no server; dev/rigs starts one")
    chosen = changed(
        servers.swift_options(servers.new_bucket()),
        s3_store_enable_data_integrity_protection=True,
        s3_store_request_checksum_calculation="when_supported",
        s3_store_response_checksum_validation="when_supported",
    )
    outside = servers.Outside(chosen)
    outside.create()
    store = S3Store("objects", chosen, servers.PATIENT)
    url = put(store)
    assert get(store, url) == CONTENT
    store.delete(url)
    monkeypatch.setattr("glimpse.stores.s3.client.zlib.crc32", lambda _data: 1)
    writer = store.writer(new_id(), 4, "try1")
    with pytest.raises(AccessDenied, match="BadDigest"):
        writer.write(b"data")
    writer.abort()
    store.close()
    assert outside.keys() == []
    outside.remove()


def test_http_where_the_server_speaks_https_and_the_reverse():
    tls = os.environ.get("GLIMPSE_TEST_S3_TLS_URL") or unavailable("GLIMPSE_TEST_S3_TLS_URL names no server")
    plain = os.environ[servers.NEEDS]
    authorities = os.environ["GLIMPSE_TEST_S3_CA"]
    for url in (plain.replace("http:", "https:"), tls.replace("https:", "http:")):
        chosen = servers.options(url, "rigaccess", "rigsecretkey", "any", s3_store_cacert=authorities)
        store = S3Store("objects", chosen, servers.PATIENT)
        with pytest.raises((StoreUnavailable, AccessDenied)):
            store.probe()
        store.close()
