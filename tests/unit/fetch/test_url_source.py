"""Reading a URL to its end, from real servers on loopback that break off, lie, change their data and stay silent."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

import pytest

from glimpse.errors import Invalid, LimitExceeded, Unavailable
from glimpse.fetch.entity import Entity
from glimpse.fetch.fetcher import Fetcher, FetchOptions, RedirectRefused
from glimpse.fetch.rules import UrlRules
from glimpse.fetch.url_source import ReadLimits, SourceChanged, SourceRefused, SourceUnavailable, UrlSource
from glimpse.settings.model import UriFilter
from tests.support.scripted_server import head, scripted
from tests.support.web_server import WebServer, serving
from tests.unit.fetch.test_fetcher import Names

BODY = random.Random(1).randbytes(3_000_000)
SMALL = b"0123456789" * 10
TAG = '"v1"'
#: a time, and one a day later at which the response was sent
MODIFIED, SENT = "Mon, 02 Mar 2026 10:00:00 GMT", "Tue, 03 Mar 2026 10:00:00 GMT"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as made:
        made.files["a"] = BODY
        made.files["small"] = SMALL
        yield made


class Pauses(list[float]):
    """Keeps the pauses instead of waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def source(
    url: str,
    *,
    pause: Callable[[float], None] | None = None,
    names: Names | None = None,
    hosts: tuple[str, ...] = ("localhost",),
    fetch: dict[str, object] | None = None,
    **limits: object,
) -> UrlSource:
    rules = UrlRules(UriFilter(allowed_hosts=hosts, allowed_ports=()), names or Names(localhost="127.0.0.1"))
    fetcher = Fetcher(rules, FetchOptions(**{"connect_timeout": 20.0, "read_timeout": 20.0, **(fetch or {})}))  # type: ignore[arg-type]
    made = ReadLimits(**{"size_cap": 1 << 30, **limits})  # type: ignore[arg-type]
    return UrlSource(fetcher, url, made, pause=Pauses() if pause is None else pause)


def read(one: UrlSource) -> bytes:
    with one:
        data = b"".join(iter(one.next_batch, None))
        assert one.next_batch() is None
    assert one.position == len(data)
    return data


class TestWholeBodies:
    def test_a_body_in_batches(self, server: WebServer) -> None:
        one = source(server.url("files", "a"))
        assert one.open().total == len(BODY)
        batches = list(iter(one.next_batch, None))
        assert b"".join(batches) == BODY
        assert all(batches)
        assert len(server.requests) == 1

    def test_no_body(self, server: WebServer) -> None:
        server.files["empty"] = b""
        assert read(source(server.url("files", "empty"))) == b""

    def test_a_body_without_a_length(self, server: WebServer) -> None:
        one = source(server.url("chunked", "a"))
        assert one.open().total is None
        assert read(one) == BODY
        assert one.entity.total == len(BODY)

    def test_a_body_of_which_nobody_knows_the_end(self, server: WebServer) -> None:
        with pytest.raises(SourceRefused, match="neither how long"):
            read(source(server.url("unmarked", "a")))

    def test_redirects(self, server: WebServer) -> None:
        assert read(source(server.url("redirect", "302") + "?to=/files/a")) == BODY

    def test_no_encoding_is_asked_for_and_none_is_taken(self) -> None:
        with scripted([head(Content_Length=3, Content_Encoding="gzip"), b"abc"]) as server:
            with pytest.raises(SourceRefused, match="Content-Encoding"):
                read(source(server.url))
            assert server.fields(0)["accept-encoding"] == "identity"
            assert "authorization" not in server.fields(0)


class TestRefusals:
    @pytest.mark.parametrize("status", [204, 206, 301, 304, 400, 401, 403, 404, 410])
    def test_a_status_that_will_not_pass(self, server: WebServer, status: int) -> None:
        pauses = Pauses()
        with pytest.raises(SourceRefused, match=f"The source answers {status} [A-Z]"):
            read(source(server.url("status", str(status)), pause=pauses))
        assert pauses == []

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
    def test_a_status_that_may_pass(self, server: WebServer, status: int) -> None:
        pauses = Pauses()
        with pytest.raises(SourceUnavailable, match=f"The source answers {status} [A-Z]"):
            read(source(server.url("status", str(status)), pause=pauses, tries=3, first_pause=0.5, longest_pause=1.5))
        assert pauses == [0.5, 1.0, 1.5]

    def test_the_source_says_when(self) -> None:
        busy = [head("503 Busy", Retry_After="7", Content_Length=0)]
        very_busy = [head("429 Slow down", Retry_After="86400", Content_Length=0)]
        until = [head("503 Busy", Retry_After="Mon, 02 Mar 2099 10:00:00 GMT", Content_Length=0)]
        nonsense = [head("503 Busy", Retry_After="soon", Content_Length=0)]
        pauses = Pauses()
        with scripted(busy, very_busy, until, nonsense, [head(Content_Length=3), b"abc"]) as server:
            assert read(source(server.url, pause=pauses)) == b"abc"
        assert pauses == [7.0, 60.0, 60.0, 8.0]

    def test_what_the_source_says_is_cut_and_cleaned(self) -> None:
        with scripted(
            [head(f"404 {'x' * 500}\x07", Content_Length=0)], [head("404 a\xe9b", Content_Length=0)]
        ) as server:
            with pytest.raises((SourceRefused, SourceUnavailable)) as failure:
                read(source(server.url, tries=0))
            assert len(str(failure.value)) < 200
            with pytest.raises(SourceRefused, match=r"answers 404 ab\."):
                read(source(server.url))

    def test_too_long_a_body_is_not_read(self) -> None:
        never = threading.Event()
        with scripted([head(Content_Length=101), never]) as server:
            with pytest.raises(LimitExceeded, match="101 bytes or more, image_size_cap allows 100"):
                source(server.url, size_cap=100).open()
            never.set()

    def test_too_long_a_body_without_a_length(self, server: WebServer) -> None:
        one = source(server.url("chunked", "a"), size_cap=len(BODY) - 1)
        with pytest.raises(LimitExceeded):
            read(one)
        assert read(source(server.url("chunked", "a"), size_cap=len(BODY))) == BODY

    def test_a_huge_head(self) -> None:
        with scripted([head(X=1 << 20, Y="y" * (1 << 20))]) as server, pytest.raises(SourceUnavailable):
            read(source(server.url, tries=0))

    @pytest.mark.parametrize("length", ["-1", "1e3", "10, 11", "9" * 30])
    def test_a_length_that_is_none(self, length: str) -> None:
        with (
            scripted([head(Content_Length=length), b"abc"]) as server,
            pytest.raises((SourceUnavailable, SourceRefused, LimitExceeded)),
        ):
            read(source(server.url, tries=0))

    def test_a_url_that_is_not_allowed(self, server: WebServer) -> None:
        with pytest.raises(Invalid):
            read(source(server.url("files", "a", "127.0.0.1")))
        assert server.requests == []

    def test_messages_have_neither_credentials_nor_foreign_hosts(self, server: WebServer) -> None:
        own = server.url("status", "404").replace("//", "//user:hush@")
        names = Names(localhost="127.0.0.1", inner_example="127.0.0.9")
        there = server.url("redirect", "302") + "?to=http://inner.example:1/"
        gone = server.url("redirect", "302") + "?to=http://metadata.internal/"
        for url in (own, there, gone):
            with pytest.raises((Invalid, SourceUnavailable)) as failure:
                read(source(url, names=names, hosts=("localhost", "inner.example"), tries=0))
            assert not any(word in str(failure.value) for word in ("hush", "inner", "metadata", "127.0.0"))


def broken(start: int, end: int, **fields: object) -> list[bytes]:
    """A part of SMALL that ends at ``end``, although it announces the rest."""
    return [rest(start, **fields)[0], SMALL[start:end]]


def rest(start: int, **fields: object) -> list[bytes]:
    """SMALL from ``start`` on; a field of None is left out."""
    length = len(SMALL) - start
    if not start:
        whole: dict[str, object] = {"Content_Length": length, "ETag": TAG, **fields}
        return [head("200 OK", **whole), SMALL]
    part = f"bytes {start}-{len(SMALL) - 1}/{len(SMALL)}"
    given: dict[str, object] = {"Content_Length": length, "Content_Range": part, "ETag": TAG, **fields}
    return [head("206 Partial Content", **{name: value for name, value in given.items() if value}), SMALL[start:]]


class TestResuming:
    def test_at_the_byte_reached(self) -> None:
        with scripted(broken(0, 30), broken(30, 31), broken(31, 90), rest(90)) as server:
            assert read(source(server.url)) == SMALL
            assert "range" not in server.fields(0)
            asked = [(server.fields(index)["range"], server.fields(index)["if-range"]) for index in (1, 2, 3)]
        assert asked == [("bytes=30-", TAG), ("bytes=31-", TAG), ("bytes=90-", TAG)]

    def test_what_was_read_is_delivered_before_the_pause(self) -> None:
        pauses = Pauses()
        with scripted(broken(0, 30), rest(30)) as server, source(server.url, pause=pauses) as one:
            assert one.next_batch() == SMALL[:30]
            assert pauses == []
            assert one.next_batch() == SMALL[30:]
            assert pauses == [1.0]

    def test_pauses_grow_and_end(self) -> None:
        pauses = Pauses()
        with scripted(broken(0, 30)) as server:
            with pytest.raises(SourceUnavailable, match=r"beyond byte 30: .* try 4"):
                read(source(server.url, pause=pauses, tries=3))
            assert len(server.requests) == 4
        assert pauses == [1.0, 2.0, 4.0]

    def test_progress_counts_anew(self, server: WebServer) -> None:
        """Each answer breaks off after a third of its bytes: the first breaks bring more than 1 MiB together."""
        pauses = Pauses()
        server.files["b"] = BODY * 2
        server.breaks = 4
        assert read(source(server.url("broken", "b"), pause=pauses, tries=2)) == BODY * 2
        assert pauses == [1.0, 1.0, 2.0, 1.0]

    def test_single_bytes_are_no_progress(self) -> None:
        with (
            scripted(*(broken(at, at + 1) for at in range(9))) as server,
            pytest.raises(SourceUnavailable, match="beyond byte 4"),
        ):
            read(source(server.url, tries=3))

    def test_an_exception_of_the_pause_ends_it(self) -> None:
        def stop(_seconds: float) -> None:
            raise KeyboardInterrupt

        with scripted(broken(0, 30)) as server, pytest.raises(KeyboardInterrupt):
            read(source(server.url, pause=stop))

    def test_a_body_without_a_length_and_without_an_end(self, server: WebServer) -> None:
        with pytest.raises(SourceUnavailable, match="does not identify its data"):
            read(source(server.url("cutchunked", "a")))
        cut = [head(Transfer_Encoding="chunked", ETag=TAG), b"1e\r\n", SMALL[:30], b"\r\n"]
        with scripted(cut, rest(30)) as scripts:
            one = source(scripts.url)
            assert read(one) == SMALL
            assert one.entity.total == len(SMALL)

    def test_by_the_time_of_the_last_change(self) -> None:
        old = {"ETag": 'W/"weak"', "Last_Modified": MODIFIED, "Date": SENT}
        for again in ({"ETag": None}, {"ETag": 'W/"weak"', "Last_Modified": MODIFIED}):
            with scripted(broken(0, 30, **old), rest(30, **again)) as server:
                assert read(source(server.url)) == SMALL
                assert server.fields(1)["if-range"] == MODIFIED
        with (
            scripted(broken(0, 30, **old), rest(30, ETag=None, Last_Modified=SENT)) as server,
            pytest.raises(SourceChanged),
        ):
            read(source(server.url))

    @pytest.mark.parametrize(
        "fields",
        [{"ETag": 'W/"weak"'}, {"ETag": "v1"}, {"ETag": ""}, {"ETag": "", "Last_Modified": MODIFIED},
         {"ETag": "", "Last_Modified": MODIFIED, "Date": MODIFIED}, {"ETag": "", "Last_Modified": "x", "Date": SENT},
         {"ETag": "", "Last_Modified": f"{MODIFIED} \xe9", "Date": SENT}],
    )  # fmt: skip
    def test_not_without_a_strong_validator(self, fields: dict[str, object]) -> None:
        with scripted(broken(0, 30, **fields), rest(30)) as server:
            with pytest.raises(SourceUnavailable, match=r"beyond byte 30: .* cannot be resumed"):
                read(source(server.url))
            assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "other",
        [rest(0, ETag='"v2"'), rest(30, ETag='"v2"'), rest(30, ETag='W/"v1"'), rest(30, ETag=None), rest(31),
         rest(30, Content_Range="bytes 30-99/101"), rest(30, Content_Range="bytes 30-98/99"),
         rest(30, Content_Range="bytes 29-99/100"), rest(30, Content_Range="bytes 30-100/100"),
         rest(30, Content_Length=3),
         [head("416 Range Not Satisfiable", Content_Length=0)]],
    )  # fmt: skip
    def test_other_data_are_noticed(self, other: list[bytes]) -> None:
        with (
            scripted(broken(0, 30), other) as server,
            pytest.raises(SourceChanged, match=r"changed while they were read.* byte 30"),
        ):
            read(source(server.url))

    @pytest.mark.parametrize(
        "other",
        [rest(0), rest(30, Content_Range=None), rest(30, Content_Range="bytes 30-99/*"),
         rest(30, Content_Range="lines 1-2/3")],
    )  # fmt: skip
    def test_servers_that_cannot_send_the_rest(self, other: list[bytes]) -> None:
        with scripted(broken(0, 30), other) as server:
            with pytest.raises(SourceUnavailable, match="cannot be resumed") as failure:
                read(source(server.url))
            assert not isinstance(failure.value, SourceChanged)

    def test_a_part_of_the_rest_is_taken(self) -> None:
        part = [
            head("206 Partial Content", Content_Length=20, Content_Range="bytes 30-49/100", ETag=TAG), SMALL[30:50],
        ]  # fmt: skip
        with scripted(broken(0, 30), part, rest(50)) as server:
            assert read(source(server.url)) == SMALL

    def test_more_than_was_announced(self) -> None:
        more = [
            head("206 Partial Content", Transfer_Encoding="chunked", Content_Range="bytes 30-99/100", ETag=TAG),
            b"50\r\n" + SMALL[:80] + b"\r\n0\r\n\r\n",
        ]
        with scripted(broken(0, 30), more) as server, pytest.raises(SourceChanged, match="more than the 100 bytes"):
            read(source(server.url))

    def test_refused_meanwhile(self) -> None:
        with (
            scripted(broken(0, 30), [head("403 Forbidden", Content_Length=0)]) as server,
            pytest.raises(SourceRefused, match="403 Forbidden when asked for the data from byte 30"),
        ):
            read(source(server.url))

    def test_busy_meanwhile(self) -> None:
        pauses = Pauses()
        with scripted(broken(0, 30), [head("503 Busy", Retry_After=9, Content_Length=0)], rest(30)) as server:
            assert read(source(server.url, pause=pauses)) == SMALL
        assert pauses == [1.0, 9.0]

    def test_a_redirect_in_the_middle_is_checked(self) -> None:
        for target in ("http://169.254.169.254/latest/", "http://127.0.0.1:1/", "file:///etc/passwd"):
            with (
                scripted(broken(0, 30), [head("302 Found", Location=target, Content_Length=0)]) as server,
                pytest.raises(RedirectRefused),
            ):
                read(source(server.url))

    def test_a_redirect_in_the_middle_may_lead_to_another_server(self) -> None:
        with scripted(rest(30)) as other:
            with scripted(broken(0, 30), [head("302 Found", Location=other.url, Content_Length=0)]) as server:
                assert read(source(server.url)) == SMALL
            assert other.fields(0)["range"] == "bytes=30-"

    def test_a_name_that_means_the_host_itself_by_then(self) -> None:
        """The second resolution is checked like the first one, and only its address is used."""
        names = Names(mirror_example="127.0.0.1|127.0.0.2")
        with scripted(broken(0, 30)) as server:
            url = f"http://mirror.example:{server.port}/"
            with pytest.raises(SourceUnavailable, match="cannot be reached"):
                read(source(url, names=names, hosts=("mirror.example",), tries=1))
            assert len(server.requests) == 1
        assert names.asked == ["mirror.example"] * 2


class TestTime:
    def test_silence_in_the_middle(self) -> None:
        silence = threading.Event()
        with scripted([*broken(0, 30), silence], rest(30)) as server:
            pauses = Pauses()

            def pause(seconds: float) -> None:
                pauses(seconds)
                silence.set()

            assert read(source(server.url, pause=pause, fetch={"read_timeout": 0.3})) == SMALL
            assert pauses == [1.0]

    def test_too_slow_a_body(self, server: WebServer) -> None:
        server.pause = 0.05
        with pytest.raises(SourceUnavailable, match="sends too slowly"):
            read(source(server.url("drip", "small"), fetch={"least_rate": 1e6, "rate_window": 0.2}))

    def test_a_slow_body_comes_in_small_batches(self, server: WebServer) -> None:
        server.pause, server.slow_part = 0.3, 10
        with source(server.url("slow", "small")) as one:
            batches = list(iter(one.next_batch, None))
        assert b"".join(batches) == SMALL
        assert len(batches) > 1

    def test_the_total_time(self, server: WebServer) -> None:
        server.pause = 0.05
        with pytest.raises(SourceUnavailable, match=r"within 0.3 seconds; \d+ bytes"):
            read(source(server.url("drip", "small"), time_limit=0.3))

    def test_pauses_are_part_of_the_total_time(self) -> None:
        pauses = Pauses()
        with scripted(broken(0, 30)) as server, pytest.raises(SourceUnavailable, match="within 20 seconds"):
            read(source(server.url, pause=pauses, time_limit=20.0, first_pause=60.0))
        assert pauses == []


class TestOtherProcesses:
    def test_going_on(self) -> None:
        with scripted(rest(30)) as server:
            one = source(server.url)
            one.resume_at(30, Entity(tag=TAG, total=len(SMALL)))
            assert b"".join(iter(one.next_batch, None)) == SMALL[30:]
            assert server.fields(0)["if-range"] == TAG

    def test_nothing_is_left_to_read(self) -> None:
        with scripted() as server:
            one = source(server.url)
            one.resume_at(100, Entity(tag=TAG, total=100))
            assert one.next_batch() is None
            assert server.requests == []

    def test_from_the_start(self) -> None:
        for given, fits in ((Entity(tag=TAG, total=100), True), (Entity(tag='"v2"', total=100), False)):
            with scripted(rest(0)) as server:
                one = source(server.url)
                one.resume_at(0, given)
                if fits:
                    assert read(one) == SMALL
                else:
                    with pytest.raises(SourceChanged):
                        read(one)

    def test_without_a_validator(self) -> None:
        with scripted(rest(30)) as server:
            one = source(server.url)
            one.resume_at(30, Entity(total=100))
            with pytest.raises(SourceUnavailable, match="nothing identifies"):
                one.open()

    def test_not_in_the_middle(self, server: WebServer) -> None:
        one = source(server.url("files", "small"))
        with one:
            one.open()
            with pytest.raises(ValueError, match="byte 5"):
                one.resume_at(5, Entity(tag=TAG))
        for position in (-1, 101):
            with pytest.raises(ValueError, match="cannot be resumed"):
                source(server.url("files", "small")).resume_at(position, Entity(tag=TAG, total=100))


def test_nobody_there_is_temporary() -> None:
    with scripted() as server:
        url = server.url
    with pytest.raises(Unavailable, match="beyond byte 0: The server localhost cannot be reached"):
        read(source(url, tries=1))
