"""Fetching according to the rules, from a real server on loopback; resolvers simulate attacks on DNS."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from glimpse.errors import Invalid, Unavailable
from glimpse.fetch.fetcher import Fetched, Fetcher, FetchOptions, RedirectRefused
from glimpse.fetch.rules import UrlRules
from glimpse.settings.model import UriFilter
from tests.support.web_server import WebServer, certificate, serving

BODY = b"0123456789" * 100


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as made:
        made.files["a"] = BODY
        yield made


class Names:
    """A resolver whose answer for a name changes from one question to the next; the last one stays."""

    def __init__(self, **answers: str) -> None:
        self._answers = {name.replace("_", "."): text.split("|") for name, text in answers.items()}
        self.asked: list[str] = []

    def __call__(self, name: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
        self.asked.append(name)
        answers = self._answers.get(name, [""])
        text = answers.pop(0) if len(answers) > 1 else answers[0]
        return tuple(ipaddress.ip_address(one) for one in text.split())


def fetcher(names: Names | None = None, *, hosts: tuple[str, ...] = ("localhost",), **options: object) -> Fetcher:
    rules = UrlRules(UriFilter(allowed_hosts=hosts, allowed_ports=()), names or Names(localhost="127.0.0.1"))
    return Fetcher(rules, FetchOptions(**{"connect_timeout": 5.0, "read_timeout": 5.0, **options}))  # type: ignore[arg-type]


def body(answer: Fetched) -> bytes:
    with answer:
        return b"".join(answer.chunks())


def test_a_body_arrives_as_it_was_sent(server: WebServer) -> None:
    answer = fetcher().open("GET", server.url("files", "a"))
    assert answer.status == 200
    assert answer.headers["content-length"] == str(len(BODY))
    assert body(answer) == BODY
    assert body(fetcher().open("GET", server.url("chunked", "a"))) == BODY
    assert body(fetcher().open("GET", server.url("files", "a"), {"Range": "bytes=10-14"})) == BODY[10:15]


def test_the_server_sees_the_name_and_not_the_address(server: WebServer) -> None:
    fetcher().open("HEAD", server.url("files", "a")).close()
    assert server.requests == [("HEAD", "/files/a", f"localhost:{server.port}", None)]


def test_the_name_is_resolved_once(server: WebServer) -> None:
    """DNS rebinding: the second answer would be taken by whoever resolves again to connect."""
    names = Names(localhost="127.0.0.1|192.0.2.1")
    assert body(fetcher(names).open("GET", server.url("files", "a"))) == BODY
    assert names.asked == ["localhost"]


def test_a_name_that_comes_to_mean_the_host_itself_is_refused(server: WebServer) -> None:
    names = Names(evil_example="93.184.215.14|127.0.0.1")
    rules = UrlRules(UriFilter(allowed_ports=()), names)
    assert rules.check(server.url("files", "a", "evil.example"))
    with pytest.raises(Invalid):
        Fetcher(rules, FetchOptions()).open("GET", server.url("files", "a", "evil.example"))
    assert server.requests == []


def test_addresses_are_tried_in_turn(server: WebServer) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.2", server.port))
        assert body(fetcher(Names(localhost="127.0.0.2 127.0.0.1")).open("GET", server.url("files", "a"))) == BODY


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: WebServer, code: int) -> None:
    assert body(fetcher().open("GET", server.url("redirect", str(code)) + "?to=/files/a")) == BODY
    elsewhere = quote(server.url("files", "a"))
    assert body(fetcher().open("GET", server.url("redirect", str(code)) + f"?to={elsewhere}")) == BODY


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:{port}/files/a", "http://169.254.169.254/latest/meta-data/", "http://[::1]:{port}/files/a",
     "http://metadata.internal/", "file:///etc/passwd", "ftp://localhost/", "//127.0.0.1:{port}/files/a", "http://2130706433/",
     "http://localhost@127.0.0.1:{port}/files/a"],
)  # fmt: skip
def test_redirects_do_not_lead_where_urls_may_not(server: WebServer, target: str) -> None:
    names = Names(localhost="127.0.0.1", metadata_internal="169.254.169.254")
    start = server.url("redirect", "302") + "?to=" + quote(target.format(port=server.port))
    with pytest.raises(RedirectRefused):
        fetcher(names).open("GET", start)
    assert [path for _, path, _, _ in server.requests if path.startswith("/files")] == []


def test_a_name_may_change_between_redirects(server: WebServer) -> None:
    names = Names(localhost="127.0.0.1", evil_example="127.0.0.1|169.254.169.254")
    allowed = fetcher(names, hosts=("localhost", "evil.example"))
    # named by the operator, so each answer is taken; without that neither is
    start = server.url("redirect", "302", "evil.example") + "?to=" + quote(server.url("files", "a"))
    assert body(allowed.open("GET", start)) == BODY
    rules = UrlRules(UriFilter(allowed_ports=()), Names(evil_example="93.184.215.14|127.0.0.1"))
    rules.check(start)
    with pytest.raises(Invalid):
        Fetcher(rules, FetchOptions()).open("GET", start)


def test_there_is_an_end_of_redirects(server: WebServer) -> None:
    loop = server.url("redirect", "302") + "?to="
    chain = server.url("files", "a")
    for _ in range(6):
        chain = loop + quote(chain, safe="")
    with pytest.raises(RedirectRefused):
        fetcher(redirects=5).open("GET", chain)
    assert body(fetcher(redirects=6).open("GET", chain)) == BODY


def test_credentials_go_to_their_own_server_only(server: WebServer) -> None:
    own = server.url("secret", "a").replace("//", "//user:secret@")
    assert body(fetcher().open("GET", own)) == BODY
    with serving() as other:
        other.files["a"] = BODY
        start = server.url("redirect", "302").replace("//", "//user:secret@")
        answer = fetcher().open("GET", f"{start}?to={quote(other.url('secret', 'a'))}")
        assert answer.status == 401
        answer.close()
        assert other.requests[0][3] is None
        back = fetcher().open("GET", f"{start}?to=/secret/a")
        assert body(back) == BODY


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unavailable):
            fetcher().open("GET", f"http://localhost:{port}/")


def test_a_server_that_breaks_off(server: WebServer) -> None:
    answer = fetcher().open("GET", server.url("cut", "a"))
    with pytest.raises(Unavailable):
        body(answer)


def test_a_server_that_falls_silent() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://localhost:{silent.getsockname()[1]}/"
        with pytest.raises(Unavailable):
            fetcher(read_timeout=0.2).open("GET", url)


def test_a_server_that_speaks_something_else() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def greet() -> None:
            connection, _ = listening.accept()
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(Unavailable):
            fetcher().open("GET", f"http://localhost:{listening.getsockname()[1]}/")
        thread.join()


def test_tls_is_checked_against_the_name(tmp_path: Path) -> None:
    context, authority = certificate(tmp_path)
    with serving(context=context) as server:
        server.files["a"] = BODY
        url = server.url("files", "a")
        assert body(fetcher(ca_file=str(authority)).open("GET", url)) == BODY
        assert body(fetcher(verify=False).open("GET", url)) == BODY
        with pytest.raises(Unavailable):
            fetcher().open("GET", url)
        names = Names(other_example="127.0.0.1")
        with pytest.raises(Unavailable):
            fetcher(names, hosts=("other.example",), ca_file=str(authority)).open(
                "GET", server.url("files", "a", "other.example")
            )


class _Proxy(http.server.BaseHTTPRequestHandler):
    seen: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Host"]))
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"proxy")

    def log_message(self, *_: object) -> None:
        """Said nowhere."""


def test_a_proxy_is_given_the_address_that_was_checked() -> None:
    handler = type("Handler", (_Proxy,), {"seen": []})
    proxy = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=proxy.handle_request)
    thread.start()
    names = Names(mirror_example="192.0.2.1")
    through = fetcher(names, hosts=("mirror.example",), proxies={"http": f"127.0.0.1:{proxy.server_address[1]}"})
    assert body(through.open("GET", "http://mirror.example/a?b")) == b"proxy"
    thread.join()
    proxy.server_close()
    assert handler.seen == [("http://192.0.2.1:80/a?b", "mirror.example")] or handler.seen == [
        ("http://192.0.2.1/a?b", "mirror.example")
    ]


def test_the_environment_names_no_proxy(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert body(fetcher().open("GET", server.url("files", "a"))) == BODY


class TestSlowServers:
    """Total times, with limits that are far below what the servers would take: minutes."""

    def test_a_server_that_stays_silent_ends_with_the_time_to_open(self, server: WebServer) -> None:
        server.hush()
        with pytest.raises(Unavailable, match="sent nothing for too long"):
            fetcher(open_timeout=0.3).open("GET", server.url("mute", "a"))

    def test_a_head_in_drips_ends_with_the_time_to_open(self, server: WebServer) -> None:
        server.pause = 0.1
        with pytest.raises(Unavailable, match="sent nothing for too long"):
            fetcher(open_timeout=0.5).open("GET", server.url("drophead", "a"))

    def test_redirects_take_no_time_of_their_own(self, server: WebServer) -> None:
        server.hush()
        url = server.url("redirect", "302") + "?to=" + quote(server.url("mute", "a"))
        with pytest.raises(Unavailable, match=r"sent nothing for too long|in time"):
            fetcher(open_timeout=0.3).open("GET", url)

    def test_addresses_take_no_time_of_their_own(self, server: WebServer) -> None:
        with pytest.raises(Unavailable, match="in time"):
            fetcher(open_timeout=0.0).open("GET", server.url("files", "a"))

    def test_a_body_in_drips_ends_with_the_window_of_the_least_rate(self, server: WebServer) -> None:
        server.pause = 0.05
        answer = fetcher(least_rate=1024.0, rate_window=0.3).open("GET", server.url("drip", "a"))
        with pytest.raises(Unavailable, match="sends too slowly"):
            body(answer)

    def test_a_body_in_drips_may_take_its_time_without_a_least_rate(self, server: WebServer) -> None:
        server.pause = 0.001
        assert body(fetcher(least_rate=0.0, rate_window=0.01).open("GET", server.url("drip", "a"))) == BODY

    def test_a_reader_that_is_slow_itself_is_no_slow_server(self, server: WebServer) -> None:
        with fetcher(least_rate=1e6, rate_window=0.2).open("GET", server.url("files", "a")) as answer:
            time.sleep(0.5)
            assert b"".join(answer.chunks()) == BODY

    def test_the_time_to_open_is_not_that_of_the_body(self, server: WebServer) -> None:
        server.slow_part, server.pause = 100, 0.1
        with fetcher(open_timeout=0.5, least_rate=100.0).open("GET", server.url("slow", "a")) as answer:
            assert b"".join(answer.chunks()) == BODY
