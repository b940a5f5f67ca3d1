"""Contract of stores that are read and never written; data come to them behind their back, on a real server.

To put a driver under it, add a function to ``RIGS``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glimpse.errors import (
    AccessDenied,
    DataNotFound,
    DeletionDenied,
    ForeignLocation,
    RangeNotSatisfiable,
    StoreReadOnly,
    StoreUnavailable,
)
from glimpse.settings.model import Stores, StoreSettings, UriFilter
from glimpse.stores.base import Store, StoreMisconfigured
from glimpse.stores.http import HttpOptions, HttpStore
from glimpse.stores.multi import StoreSet
from tests.contract.stores.rigs.base import drained, new_id
from tests.support.images.content import noise
from tests.support.needs import unavailable
from tests.support.web_server import WebServer, certificate, serving

CONTENT = noise(3000) + bytes(20_000) + noise(7001, "behind the hole")
SIZE = len(CONTENT)
LOCAL = UriFilter(allowed_hosts=("localhost", "127.0.0.1"), allowed_ports=())


@dataclass
class ReadRig:
    """``put`` places data where the store finds them and returns the location."""

    store: Store
    put: Callable[[bytes], str]
    #: a location where nothing is
    missing: str

    def get(self, url: str, offset: int = 0, length: int | None = None, *, batch: int = 1 << 20) -> bytes:
        """Read a range; the reader must deliver what it announces."""
        return drained(self.store.reader(url, offset, length), batch)


def _http(server: WebServer, kind: str, options: HttpOptions) -> ReadRig:
    def put(data: bytes) -> str:
        name = new_id()
        server.files[name] = data
        return server.url(kind, name)

    return ReadRig(HttpStore("web", options, LOCAL), put, server.url(kind, "nothing"))


def http_with_ranges(_base: Path, stack: ExitStack) -> ReadRig:
    return _http(stack.enter_context(serving()), "files", HttpOptions())


def http_without_ranges(_base: Path, stack: ExitStack) -> ReadRig:
    return _http(stack.enter_context(serving()), "norange", HttpOptions())


def http_without_head(_base: Path, stack: ExitStack) -> ReadRig:
    return _http(stack.enter_context(serving()), "nohead", HttpOptions())


def https(base: Path, stack: ExitStack) -> ReadRig:
    context, authority = certificate(base)
    server = stack.enter_context(serving(context=context))
    return _http(server, "files", HttpOptions(https_ca_certificates_file=str(authority)))


def _nginx(directory: str, variable: str = "GLIMPSE_TEST_HTTP_URL") -> ReadRig:
    """A server of the field, where the environment names one: its URL, and the directory that it serves."""
    url, root = os.environ.get(variable), os.environ.get("GLIMPSE_TEST_HTTP_ROOT")
    if not url or not root:
        unavailable(f"{variable} and GLIMPSE_TEST_HTTP_ROOT name no server")

    def put(data: bytes) -> str:
        name = new_id()
        (Path(root) / name).write_bytes(data)
        return f"{url}/{directory}/{name}"

    authority = os.environ.get("GLIMPSE_TEST_HTTPS_CA", "") if url.startswith("https:") else ""
    options = HttpOptions(https_ca_certificates_file=authority)
    return ReadRig(HttpStore("web", options, LOCAL), put, f"{url}/{directory}/nothing")


def nginx(_base: Path, _stack: ExitStack) -> ReadRig:
    return _nginx("files")


def nginx_without_ranges(_base: Path, _stack: ExitStack) -> ReadRig:
    return _nginx("norange")


def nginx_redirecting(_base: Path, _stack: ExitStack) -> ReadRig:
    return _nginx("redirect")


def nginx_with_tls(_base: Path, _stack: ExitStack) -> ReadRig:
    return _nginx("files", "GLIMPSE_TEST_HTTPS_URL")


RIGS: tuple[Callable[[Path, ExitStack], ReadRig], ...] = (
    http_with_ranges,
    http_without_ranges,
    http_without_head,
    https,
    nginx,
    nginx_without_ranges,
    nginx_redirecting,
    nginx_with_tls,
)


@pytest.fixture(params=RIGS, ids=lambda build: build.__name__)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadRig]:
    with ExitStack() as stack:
        yield request.param(tmp_path, stack)


@pytest.fixture
def url(rig: ReadRig) -> str:
    return rig.put(CONTENT)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_range_within_the_data_is_read_exactly(rig: ReadRig, url: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, SIZE - 1))
    length = data.draw(st.none() | st.integers(0, SIZE - offset))
    end = SIZE if length is None else offset + length
    assert rig.get(url, offset, length, batch=data.draw(st.sampled_from((1 << 20, 1021)))) == CONTENT[offset:end]


@pytest.mark.parametrize(
    ("offset", "length"), [(SIZE, None), (SIZE, 0), (SIZE + 1, None), (0, SIZE + 1), (SIZE - 1, 2)]
)
def test_a_range_that_is_not_within_the_data_is_refused_with_their_size(
    rig: ReadRig, url: str, offset: int, length: int | None
) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        rig.store.reader(url, offset, length)
    assert caught.value.size == SIZE


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1), (-1, 1)])
def test_negative_ranges_are_refused(rig: ReadRig, url: str, offset: int, length: int | None) -> None:
    with pytest.raises(RangeNotSatisfiable):
        rig.store.reader(url, offset, length)


def test_ranges_of_empty_data(rig: ReadRig) -> None:
    empty = rig.put(b"")
    assert rig.get(empty, 0, 0) == b""
    for offset, length in ((0, 1), (1, None), (1, 0)):
        with pytest.raises(RangeNotSatisfiable):
            rig.store.reader(empty, offset, length)


def test_two_readers_are_independent(rig: ReadRig, url: str) -> None:
    first, second = rig.store.reader(url), rig.store.reader(url, 5)
    first.read(10)
    assert second.read(10) == CONTENT[5:15]
    first.close()
    first.close()
    assert second.read(10) == CONTENT[15:25]
    second.close()


def test_size(rig: ReadRig, url: str) -> None:
    assert rig.store.size(f"  {url}\n") == SIZE


def test_nothing_there(rig: ReadRig) -> None:
    for operation in (rig.store.reader, rig.store.size):
        with pytest.raises(DataNotFound):
            operation(rig.missing)


def test_nothing_is_written_or_deleted(rig: ReadRig, url: str) -> None:
    assert not rig.store.writable
    with pytest.raises(StoreReadOnly):
        rig.store.writer(new_id(), None, "a1")
    with pytest.raises(DeletionDenied):
        rig.store.delete(url)
    assert rig.store.sweep(new_id(), "a1") is False
    assert rig.get(url) == CONTENT


def test_locations_of_others_are_refused(rig: ReadRig) -> None:
    for foreign in ("", "image", "://image", "rbd://pool/image", "file:///etc/passwd", "/etc/passwd"):
        for operation in (rig.store.reader, rig.store.size, rig.store.delete):
            with pytest.raises(ForeignLocation):
                operation(foreign)


class TestServersOfAllKinds:
    """What only the driver for web servers has to bear (store-formats 6)."""

    @pytest.fixture
    def server(self) -> Iterator[WebServer]:
        with serving() as made:
            made.files["a"] = CONTENT
            yield made

    @pytest.fixture
    def store(self) -> HttpStore:
        return HttpStore("web", HttpOptions(), LOCAL)

    def rig(self, store: HttpStore) -> ReadRig:
        return ReadRig(store, lambda _data: "", "")

    def test_a_server_that_does_not_tell_the_length(self, server: WebServer, store: HttpStore) -> None:
        assert store.size(server.url("chunked", "a")) is None
        assert self.rig(store).get(server.url("chunked", "a")) == CONTENT
        assert self.rig(store).get(server.url("chunked", "a"), 3000) == CONTENT[3000:]
        assert self.rig(store).get(server.url("chunked", "a"), 0, SIZE) == CONTENT
        assert self.rig(store).get(server.url("chunked", "a"), 3000, 100) == CONTENT[3000:3100]
        with pytest.raises(StoreUnavailable, match="ended before the range"):
            self.rig(store).get(server.url("chunked", "a"), SIZE + 1)

    def test_the_length_of_such_data_is_known_at_their_end(self, server: WebServer, store: HttpStore) -> None:
        reader = store.reader(server.url("chunked", "a"))
        assert reader.length is None
        while reader.read(1 << 20):
            assert reader.length is None
        assert reader.length == SIZE
        reader.close()

    def test_a_server_whose_data_end_with_the_connection(self, server: WebServer, store: HttpStore) -> None:
        """The end cannot be told from a connection that broke."""
        for operation in (store.size, store.reader):
            with pytest.raises(AccessDenied, match="nor where they end"):
                operation(server.url("unmarked", "a"))
        assert self.rig(store).get(server.url("unmarked", "a"), 0, SIZE) == CONTENT

    def test_a_chunked_answer_that_breaks_off(self, server: WebServer, store: HttpStore) -> None:
        with pytest.raises(StoreUnavailable):
            self.rig(store).get(server.url("cutchunked", "a"))

    def test_a_server_that_breaks_off(self, server: WebServer, store: HttpStore) -> None:
        with pytest.raises(StoreUnavailable):
            self.rig(store).get(server.url("cut", "a"))

    def test_a_broken_download_is_resumed_at_the_byte_reached(self, server: WebServer, store: HttpStore) -> None:
        for offset, length in ((0, None), (3000, None), (3000, SIZE - 5000)):
            server.breaks = 3
            end = SIZE if length is None else offset + length
            assert self.rig(store).get(server.url("broken", "a"), offset, length, batch=999) == CONTENT[offset:end]
            assert server.breaks == 0

    def test_but_not_for_ever(self, server: WebServer, store: HttpStore) -> None:
        server.breaks = 100
        with pytest.raises(StoreUnavailable, match="closed the connection early"):
            self.rig(store).get(server.url("broken", "a"))
        assert server.breaks == 96

    @pytest.mark.parametrize("tag", ['W/"v1"', '"v2"'])
    def test_data_that_are_not_certainly_the_same_are_not_resumed(
        self, server: WebServer, store: HttpStore, tag: str
    ) -> None:
        server.breaks = 1
        if tag.startswith("W/"):
            server.tag = tag
        reader = store.reader(server.url("broken", "a"))
        server.tag = tag
        with pytest.raises(StoreUnavailable, match="closed the connection early"):
            drained(reader)

    def test_a_server_that_sends_another_part(self, server: WebServer, store: HttpStore) -> None:
        with pytest.raises(StoreUnavailable):
            store.reader(server.url("wrong", "a"), 10, 10)

    def test_credentials_of_the_location(self, server: WebServer, store: HttpStore) -> None:
        own = server.url("secret", "a").replace("//", "//user:secret@")
        assert store.size(own) == SIZE
        assert self.rig(store).get(own, 10, 10) == CONTENT[10:20]
        with pytest.raises(AccessDenied):
            store.size(server.url("secret", "a"))

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, AccessDenied),
            (401, AccessDenied),
            (403, AccessDenied),
            (404, DataNotFound),
            (410, DataNotFound),
            (500, StoreUnavailable),
            (503, StoreUnavailable),
            (408, StoreUnavailable),
            (425, StoreUnavailable),
            (429, StoreUnavailable),
            (204, AccessDenied),
        ],
    )
    def test_statuses(self, server: WebServer, store: HttpStore, status: int, kind: type[Exception]) -> None:
        for operation in (store.size, store.reader):
            with pytest.raises(kind) as caught:
                operation(server.url("status", str(status)))
            assert type(caught.value) is kind

    def test_redirects(self, server: WebServer, store: HttpStore) -> None:
        good = server.url("redirect", "302") + "?to=" + quote(server.url("files", "a"))
        assert store.size(good) == SIZE
        assert self.rig(store).get(good, 5, 5) == CONTENT[5:10]
        bad = server.url("redirect", "302") + "?to=" + quote("http://169.254.169.254/latest/meta-data")
        for operation in (store.size, store.reader):
            with pytest.raises(AccessDenied):
                operation(bad)

    def test_the_rules_hold_for_reading(self, server: WebServer) -> None:
        strict = HttpStore("web", HttpOptions(), UriFilter())
        for operation in (strict.size, strict.reader):
            with pytest.raises(AccessDenied):
                operation(server.url("files", "a"))
        assert server.requests == []

    def test_certificates(self, tmp_path: Path) -> None:
        context, authority = certificate(tmp_path)
        with serving(context=context) as server:
            server.files["a"] = CONTENT
            url = server.url("files", "a")
            assert HttpStore("web", HttpOptions(), LOCAL).size(url) == SIZE
            with pytest.raises(StoreUnavailable):
                HttpStore("web", HttpOptions(https_insecure=False), LOCAL).size(url)
            known = HttpOptions(https_insecure=True, https_ca_certificates_file=str(authority))
            assert HttpStore("web", known, LOCAL).size(url) == SIZE
            # with a file of certificates https_insecure has no effect
            other = certificate(tmp_path, "127.0.0.1")[1]
            distrusting = HttpOptions(https_insecure=True, https_ca_certificates_file=str(other))
            with pytest.raises(StoreUnavailable):
                HttpStore("web", distrusting, LOCAL).size(url)

    def test_a_file_of_certificates_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(StoreMisconfigured):
            HttpStore("web", HttpOptions(https_ca_certificates_file=str(tmp_path / "none")), LOCAL)
        broken = tmp_path / "broken"
        broken.write_text("nothing")
        with pytest.raises(StoreUnavailable):
            HttpStore("web", HttpOptions(https_ca_certificates_file=str(broken)), LOCAL).size("https://localhost/")

    def test_in_a_set_of_stores_it_serves_both_schemes(self, server: WebServer) -> None:
        entries = (StoreSettings(id="web", kind="http", options=HttpOptions()),)
        stores = StoreSet(Stores(default="web", stores=entries, named=True, uri_filter=LOCAL))
        assert stores.by_id("web").size(server.url("files", "a")) == SIZE
