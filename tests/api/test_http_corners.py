"""HTTP/1.1 at its edges, on real sockets and both servers: every request has an answer of the right kind, none a 500.

The service believes identity headers; ``ADMIN`` are those of an administrator. No traceback may be in its log.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.support.raw_http import HOST, JSON_PATCH, OCTETS, Answer, Api, RawConnection, exchange
from tests.support.service import Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ADMIN = {
    "X-Identity-Status": "Confirmed", "X-User-Id": "u", "X-Project-Id": "p", "X-Roles": "admin,member,reader",
}  # fmt: skip
NO_IMAGE = "ac9e5a10-6a5a-4b2f-b8a3-0a5a3a3a3a3a"
SECONDS = 20.0
LARGE = 20 << 20


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of a server."""
    options = {"glimpse": {"auth": "headers", "server": request.param}}
    with Service(tmp_path_factory.mktemp(request.param), options=options) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Api:
    """Requests of an administrator."""
    return Api(service.port, ADMIN)


def ask(service: Service, head: bytes, body: bytes = b"", method: str = "GET") -> Answer:
    """Send these bytes, with an administrator's headers between, and read the answer."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in ADMIN.items()).encode()
    with RawConnection(service.port, timeout=SECONDS) as connection:
        connection.send(head + fields + b"\r\n" + body)
        return connection.answer(method)


def get(service: Service, target: bytes, *lines: bytes, version: bytes = b"1.1", host: bytes | None = b"h") -> Answer:
    named = () if host is None else (b"Host: " + host,)
    return ask(service, b"\r\n".join([b"GET " + target + b" HTTP/" + version, *named, *lines, b""]))


def alive(service: Service) -> bool:
    return Api(service.port, ADMIN).call("GET", "/v2/images?limit=1").status == 200


# ------------------------------------------------------------------------------------------------------- methods


def test_unknown_methods(api: Api) -> None:
    for method in ("FOO", "TRACE", "PROPFIND", "get"):
        known = api.call(method, "/v2/images")
        assert (known.status, known.headers["allow"]) == (405, "GET, POST")
        assert api.call(method, "/v2/nothing").status == 501
        assert api.call(method, "/versions").status == 200
        assert api.call(method, "/").status == 300
    assert api.call("DELETE", "/v2/nothing").status == 404


def test_head_has_the_headers_of_its_answer_and_no_body(service: Service) -> None:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=SECONDS)
    for path, status in (
        ("/", 300), ("/versions", 200), ("/healthcheck", 204), ("/v2/images", 405), (f"/v2/images/{NO_IMAGE}", 405),
        (f"/v2/images/{NO_IMAGE}/file", 404), ("/v2/nothing", 404), ("/v2/schemas/image", 405), ("/v2", 302),
    ):  # fmt: skip
        answer = exchange(connection, "HEAD", path, headers=ADMIN)
        assert (answer.status, answer.body) == (status, b""), path
        if status == 405:
            assert "GET" in answer.headers["allow"]
        if status in {300, 404, 405}:
            assert int(answer.headers["content-length"]) > 0
    assert exchange(connection, "GET", "/versions").status == 200
    connection.close()


def test_options_is_200_anywhere(api: Api, service: Service) -> None:
    for path in ("/", "/v2/images", f"/v2/images/{NO_IMAGE}/file", "/v3/x", "*"):
        answer = Api(service.port).call("OPTIONS", path)
        assert (answer.status, answer.body) == (200, b""), path
    assert api.call("OPTIONS", "/v2/images", b"x" * 100_000).status == 200


# --------------------------------------------------------------------------------- refusals before the body is sent


@pytest.mark.parametrize(
    ("method", "target", "media_type", "status"),
    [
        ("PUT", f"/v2/images/{NO_IMAGE}/file", "application/octet-stream", 404),
        ("PUT", "ACTIVE", "application/octet-stream", 409),
        ("PUT", f"/v2/images/{NO_IMAGE}/file", "text/plain", 415),
        ("PATCH", f"/v2/images/{NO_IMAGE}", "application/json", 415),
        ("POST", f"/v2/images/{NO_IMAGE}/actions/deactivate", "text/plain", 400),
        ("POST", "/v2/nothing", "text/plain", 404),
        ("PUT", "/v2/images", "text/plain", 405),
        ("PUT", "/images/x/file", "application/octet-stream", 404),
        ("PUT", "/v1/images/x/file", "application/octet-stream", 300),
    ],
)
def test_who_waits_for_100_continue_is_refused_without_one(
    service: Service, api: Api, method: str, target: str, media_type: str, status: int
) -> None:
    if target == "ACTIVE":
        target = f"/v2/images/{api.new()}/file"
        assert api.call("PUT", target, b"data", OCTETS).status == 204
    with RawConnection(service.port, timeout=SECONDS) as connection:
        fields = {"Content-Type": media_type, "Content-Length": LARGE, "Expect": "100-continue"}
        connection.head(method, target, {**ADMIN, **fields})
        assert connection.interim().startswith(f"HTTP/1.1 {status} ".encode())


def test_who_waits_and_is_welcome_is_told_so(service: Service, api: Api) -> None:
    image_id = api.new()
    for method, path, fields, body, status in (
        ("PUT", f"/v2/images/{image_id}/file", OCTETS, b"data", 204),
        ("POST", "/v2/images", {}, b'{"name": "x"}', 201),
        ("PATCH", f"/v2/images/{image_id}", {"Content-Type": JSON_PATCH}, b"[]", 200),
    ):
        with RawConnection(service.port, timeout=SECONDS) as connection:
            length = {"Content-Length": len(body), "Expect": "100-continue"}
            connection.head(method, path, {**ADMIN, **fields, **length})
            assert connection.interim().startswith(b"HTTP/1.1 100 ")
            connection.send(body)
            assert connection.answer(method).status == status


REFUSED_LARGE = {
    "no body taken": ("POST", f"/v2/images/{NO_IMAGE}/actions/deactivate", {}, 400),
    "media type": ("PATCH", f"/v2/images/{NO_IMAGE}", {"Content-Type": "application/json"}, 415),
    "data of another type": ("PUT", f"/v2/images/{NO_IMAGE}/file", {"Content-Type": "text/plain"}, 415),
    "unknown image": ("PUT", f"/v2/images/{NO_IMAGE}/file", OCTETS, 404),
    "unknown path": ("PUT", "/v2/nothing", OCTETS, 404),
    "wrong method": ("PUT", "/v2/images", OCTETS, 405),
    "without version": ("PUT", f"/images/{NO_IMAGE}/file", OCTETS, 404),
    "another version": ("PUT", f"/v1/images/{NO_IMAGE}/file", OCTETS, 300),
    "too large": ("POST", "/v2/images", {}, 413),
    "long request id": ("POST", "/v2/images", {"X-OpenStack-Request-ID": "x" * 65}, 431),
    "without identity": ("PUT", f"/v2/images/{NO_IMAGE}/file", {**OCTETS, "X-Identity-Status": "Invalid"}, 401),
}


@pytest.mark.parametrize("case", REFUSED_LARGE)
def test_a_refusal_reaches_a_client_that_sends_everything_first(service: Service, case: str) -> None:
    """http.client as it is: it fails when the connection is closed while it sends."""
    method, path, fields, status = REFUSED_LARGE[case]
    for body in (bytes(LARGE), iter([bytes(1 << 20)] * 20)):
        connection = http.client.HTTPConnection(HOST, service.port, timeout=SECONDS)
        chunked = {"Transfer-Encoding": "chunked"} if not isinstance(body, bytes) else {}
        connection.request(method, path, body, {**ADMIN, **fields, **chunked}, encode_chunked=bool(chunked))
        answer = connection.getresponse()
        assert (answer.status, len(answer.read())) == (status, int(answer.headers["content-length"]))
        connection.close()


@pytest.mark.parametrize("case", REFUSED_LARGE)
def test_a_refusal_reaches_requests(service: Service, case: str) -> None:
    method, path, fields, status = REFUSED_LARGE[case]
    url = f"{service.url}{path}"
    for body in (bytes(LARGE), iter([bytes(1 << 20)] * 20)):
        with requests.request(method, url, data=body, headers={**ADMIN, **fields}, timeout=SECONDS) as answer:
            assert answer.status_code == status


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_a_refusal_reaches_curl(service: Service, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(bytes(LARGE))
    for expect in ("", "100-continue"):
        for method, path, fields, status in REFUSED_LARGE.values():
            headers = [f"-H{name}: {value}" for name, value in {**ADMIN, "Expect": expect, **fields}.items()]
            ended = subprocess.run(
                ["curl", "-sS", "-m", str(SECONDS), "-o", tmp_path / "answer", "-w", "%{http_code}", "-X", method,
                 "--data-binary", f"@{data}", *headers, f"{service.url}{path}"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (ended.returncode, ended.stdout, ended.stderr) == (0, str(status), ""), path


@pytest.mark.parametrize("case", [case for case in REFUSED_LARGE if case != "too large"])
def test_a_refusal_reaches_a_client_that_stops_in_the_middle(service: Service, case: str) -> None:
    """It sends a part, waits for the answer, and never sends the rest."""
    method, path, fields, status = REFUSED_LARGE[case]
    with RawConnection(service.port, timeout=SECONDS) as connection:
        connection.head(method, path, {**ADMIN, **fields, "Content-Length": LARGE})
        connection.send(bytes(100_000))
        assert connection.answer(method).status == status


def test_a_connection_goes_on_after_a_refused_body(service: Service) -> None:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=SECONDS)
    connection.connect()
    socket = connection.sock
    for case in ("no body taken", "media type", "unknown path", "without version", "without identity"):
        method, path, fields, status = REFUSED_LARGE[case]
        assert exchange(connection, method, path, bytes(500_000), {**ADMIN, **fields}).status == status
        assert connection.sock is socket, case
    connection.close()


BODYLESS = {
    "GET": ["/v2/images", "/v2/images/ID", "/v2/images/ID/file", "/v2/images/ID/members", "/v2/images/ID/members/p",
            "/v2/images/ID/locations", "/v2/images/ID/tasks", "/v2/schemas/image", "/v2/info/import", "/v2/info/stores",
            "/v2/openapi.json", "/v2/metadefs/namespaces", "/v2/metadefs/namespaces/x/objects",
            "/v2/metadefs/namespaces/x/tags", "/v2/metadefs/namespaces/x/properties/p", "/v2/metadefs/resource_types"],
    "DELETE": ["/v2/images/ID", "/v2/images/ID/members/p", "/v2/images/ID/tags/t", "/v2/stores/s/ID",
               "/v2/metadefs/namespaces/x", "/v2/metadefs/namespaces/x/properties/p"],
}  # fmt: skip


@pytest.mark.parametrize("method", BODYLESS)
def test_a_body_is_refused_by_every_get_and_delete(service: Service, api: Api, method: str) -> None:
    image_id = api.new()
    for template in BODYLESS[method]:
        path = template.replace("ID", image_id)
        for fields, body in (
            (b"Content-Length: 2\r\n", b"{}"),
            (b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
            (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        ):
            head = f"{method} {path} HTTP/1.1\r\nHost: h\r\n".encode() + fields
            assert ask(service, head, body).status == 400, path
        assert ask(service, f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n".encode()).status != 400, (
            path
        )


@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "deflate, chunked", "br, chunked", "gzip", "identity", "x, chunked", "chunked, gzip"]
)
def test_unknown_transfer_codings_are_not_stored(service: Service, api: Api, coding: str) -> None:
    """What servers refuse themselves is a 400 and a closed connection, as RFC 9112, section 6.3 asks."""
    image_id = api.new()
    chunked = b"4\r\ndata\r\n0\r\n\r\n"
    for method, path, media_type in (
        ("PUT", f"/v2/images/{image_id}/file", "application/octet-stream"),
        ("POST", "/v2/images", "application/json"),
        ("PATCH", f"/v2/images/{image_id}", JSON_PATCH),
    ):
        head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {media_type}\r\nTransfer-Encoding: {coding}\r\n"
        status = ask(service, head.encode(), chunked).status
        assert status == 501 if coding.endswith(", chunked") else status in {400, 501}, path
    assert api.show(image_id)["status"] == "queued"
    assert api.upload(image_id, iter([b"data"])).status == 204


def test_codings_on_several_lines_are_one_list(service: Service, api: Api) -> None:
    image_id = api.new()
    head = (
        f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\n"
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
    )
    assert ask(service, head.encode(), b"4\r\ndata\r\n0\r\n\r\n").status in {400, 501}
    assert api.show(image_id)["status"] == "queued"


def test_double_slashes_are_one(service: Service, api: Api) -> None:
    image_id = api.new()
    for target in (f"/v2/images/{image_id}//file", f"//v2//images//{image_id}///file"):
        assert api.call("PUT", target, b"data", OCTETS).status in {204, 409}
        assert api.call("GET", target).body == b"data"
    assert api.call("GET", f"/v2/images//{image_id}").json["id"] == image_id
    assert api.call("GET", "/v2/images/").status == 404


# ------------------------------------------------------------------------------------------- targets and encodings


@pytest.mark.parametrize(
    ("target", "statuses"),
    [
        (b"/v2/images/%ff", {404}),
        (b"/v2/images/%ff/file", {404}),
        (b"/v2/images/%c3%28", {404}),
        (b"/v2/images/%00", {404}),
        (b"/v2/images/%ed%a0%80", {404}),
        (b"/v2/images/%F0%9F%92%BE", {404}),
        (b"/v2/images/%", {400, 404}),
        (b"/v2/images/%zz", {400, 404}),
        (b"/v2/images/%2f", {404}),
        (b"/v2/images/" + b"x" * 5000, {404}),
        (b"/v2/schemas/%ff", {404}),
        (b"/v2/info/%ff", {404}),
        (b"/%ff", {404}),
        (b"/v2%ff/images", {300}),
        (b"/v2/images?%ff", {400}),
        (b"/v2/images?name=%c3%28", {400}),
        (b"/v2/images?name=%ed%a0%80", {400}),
        (b"/v2/images?marker=%ff", {400}),
        (b"/v2/images?limit=%F0%9F%92%BE", {400}),
        (b"/v2/images?name=%F0%9F%92%BE", {200, 400}),
        (b"/v2/images?name=%00", {400}),
        (b"/v2/images?&&=&a&=b&%3d", {200}),
        (b"/v2/images?limit=1%00", {400}),
        (b"/v2/images?limit=\xd9\xa1", {400}),
        (b"/v2/images?name=\xc3\xa9", {200, 400}),
        (b"/v2/images?name=\xff", {400}),
        (b"/v2/images/\xff", {400, 404}),
        (b"/v2/images/\xc3\xa9", {400, 404}),
        (b"/v2/images#fragment", {200, 400, 404}),
        (b"//v2/images", {200}),
        (b"/v2//images", {200}),
        (b"/v2///images?limit=1", {200}),
        (b"//v2//schemas//image", {200}),
        (b"/v2/images//", {404}),
        (b"/v2/images/", {404}),
        (b"v2/images", {200, 300, 400}),
    ],
)
def test_broken_targets(service: Service, target: bytes, statuses: set[int]) -> None:
    assert get(service, target).status in statuses
    assert alive(service)


def test_tags_in_the_path(service: Service, api: Api) -> None:
    image_id = api.new()
    for tag, status in (("%c3%a9", 204), ("%ff", 400), ("%00", 400), ("%ed%a0%80", 400), ("%F0%9F%92%BE", 400)):
        assert api.call("PUT", f"/v2/images/{image_id}/tags/{tag}").status == status, tag
    assert api.show(image_id)["tags"] == ["é"]
    for member, status in (("%ff", 404), ("%00", 404), ("%F0%9F%92%BE", 404)):
        assert api.call("GET", f"/v2/images/{image_id}/members/{member}").status == status, member


@pytest.mark.parametrize(
    "line",
    [
        b"X-Anything: \xff\xfe", b"Accept: \xff", b"Accept: " + b"a/b," * 2000, b"Accept-Encoding: \xff;q=\xff",
        b"Range: bytes=\xb2-\xb3", b"If-Range: \xff", b"Content-Range: \xff", b"X-OpenStack-Image-Size: \xb2",
        b"X-Image-Meta-Store: \xff", b"Origin: \xff", b"Forwarded: for=\xff;;=,=", b"X-Forwarded-For: \xff",
        b"User-Agent: \xff", b"Cookie: \xff", b"Expect: something-else", b"Expect: 100-continue",
        b"Upgrade: websocket\r\nConnection: upgrade", b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
        b"Connection: \xff", b"TE: trailers", b"Accept: ;;;,,,q=",
        b"Content-Type: \xff", b"X-Tab: a\tb", b"X-Empty:",
    ],
)  # fmt: skip
def test_odd_header_values_change_nothing(service: Service, line: bytes) -> None:
    assert get(service, b"/v2/images", line).status == 200
    assert get(service, b"/v2/images/" + NO_IMAGE.encode(), line).status == 404
    assert get(service, f"/v2/images/{NO_IMAGE}/file".encode(), line).status in {400, 404}


def test_identity_headers_are_not_guessed_at(service: Service) -> None:
    for line in (b"X-Roles: \xff", b"X-Project-Id: \xc3\xa9", b"X-Identity-Status: Confirmed"):
        assert get(service, b"/v2/images", line).status == 401


def test_control_characters_in_headers_are_refused(service: Service) -> None:
    for character in (b"\x00", b"\x01", b"\x7f", b"\x1b"):
        status = get(service, b"/v2/images", b"X-OpenStack-Request-ID: a" + character + b"b").status
        assert status in {200, 400}
    assert alive(service)


@pytest.mark.parametrize("size", [1000, 16_384, 60_000, 200_000, 600_000])
def test_long_targets(service: Service, size: int) -> None:
    for target in (b"/v2/images?name=" + b"x" * size, b"/v2/images/" + b"x" * size, b"/v2/images?" + b"a&" * size):
        with RawConnection(service.port, timeout=SECONDS) as connection:
            fields = "".join(f"{name}: {value}\r\n" for name, value in ADMIN.items()).encode()
            try:
                connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n")
                status = connection.answer().status
            except (ConnectionError, http.client.BadStatusLine):
                status = None  # closed: allowed for what no client sends
        assert status in ({200, 400, 404} if size <= 16_384 else {200, 400, 404, 414, 431, None})
    assert alive(service)


def test_many_filters_are_answered(service: Service) -> None:
    for query in (
        "&".join(f"tag={number}" for number in range(2000)),
        "&".join(f"p{number}=x" for number in range(2000)),
        "id=in:" + ",".join("x" for _ in range(30_000)),
        "&".join(["sort_key=name"] * 2000),
    ):
        assert get(service, f"/v2/images?{query}".encode()).status in {200, 400, 414}, query[:20]


@pytest.mark.parametrize("size", [16_384, 65_536])
def test_long_header_values(service: Service, size: int) -> None:
    assert get(service, b"/v2/images", b"X-Auth-Token: " + b"t" * size).status == 200
    assert get(service, b"/v2/images", b"Accept: " + b"x" * size).status == 200


def test_too_many_headers(service: Service) -> None:
    many = [b"X-Header-%d: x" % number for number in range(150)]
    assert get(service, b"/v2/images", *many).status in {200, 431}
    assert alive(service)


def test_a_whole_url_as_the_target(service: Service) -> None:
    base = f"http://{HOST}:{service.port}".encode()
    assert get(service, base + b"/v2/images?limit=0").json["images"] == []
    assert get(service, base + b"/versions").status == 200
    assert get(service, base + b"/").status == 300
    assert get(service, base).status == 300
    assert get(service, b"HTTPS://other.example/v2/nothing").status == 404
    assert get(service, b"ftp://other.example/v2/images").status in {300, 400, 404, 200}
    body = b'{"name": "x"}'
    head = b"POST " + base + b"/v2/images HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n" % len(body)
    assert ask(service, head, body, "POST").status == 201


def test_connect_and_asterisk_lead_nowhere(service: Service) -> None:
    for line in (b"CONNECT example.net:443 HTTP/1.1", b"GET * HTTP/1.1", b"PRI * HTTP/2.0"):
        with RawConnection(service.port, timeout=SECONDS) as connection:
            connection.send(line + b"\r\nHost: h\r\n\r\n")
            received = connection.socket.recv(64)
            assert received == b"" or received.startswith((b"HTTP/1.1 3", b"HTTP/1.1 4", b"HTTP/1.1 501")), received
    assert alive(service)


# ------------------------------------------------------------------------------------- headers twice, and not at all


def test_headers_that_come_twice(service: Service, api: Api) -> None:
    assert get(service, b"/v2/images", b"Host: other").status in {200, 400}
    assert get(service, b"/v2/images", b"Accept: text/html", b"Accept: application/json").status == 200
    assert get(service, b"/v2/images", b"X-OpenStack-Request-ID: a", b"X-OpenStack-Request-ID: b").status == 200
    image_id = api.new()
    path = f"/v2/images/{image_id}/file".encode()
    head = b"PUT " + path + b" HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\n"
    assert ask(service, head + b"Content-Length: 4\r\nContent-Length: 5\r\n", b"data", "PUT").status == 400
    assert ask(service, head + b"Content-Length: -1\r\n", b"", "PUT").status == 400
    assert ask(service, head + b"Content-Length: 4x\r\n", b"data", "PUT").status == 400
    assert ask(service, head + b"Transfer-Encoding: gzip\r\n", b"data", "PUT").status in {400, 501}
    assert api.show(image_id)["status"] == "queued"
    types = b"Content-Type: text/plain\r\nContent-Length: 4\r\n"
    assert ask(service, head + types, b"data", "PUT").status in {204, 415}
    ranges = (b"Range: bytes=0-0", b"Range: bytes=1-1")
    assert get(service, path, *ranges).status in {204, 206, 400, 416}


def test_without_a_host(service: Service) -> None:
    """RFC 9112, section 3.2 wants 400 of a server; one that guesses must answer all the same."""
    assert get(service, b"/v2/images", host=None).status in {200, 400}
    assert get(service, b"/versions", host=b"").status in {200, 400}
    old = get(service, b"/versions", version=b"1.0", host=None)
    assert old.status == 200
    assert old.json["versions"][0]["links"][0]["href"].startswith("http://")
    body = b"{}"
    created = ask(service, b"POST /v2/images HTTP/1.0\r\nContent-Length: 2\r\n", body, "POST")
    assert created.status == 201
    assert created.headers["location"].startswith("http://")
    assert created.headers["location"].endswith(f"/v2/images/{created.json['id']}")


@pytest.mark.parametrize("host", [b"\xff", b"a b", b"<script>", b"a:99999", b"[::1", b'x"y', b"evil.example/path?"])
def test_odd_hosts_stay_in_their_links(service: Service, host: bytes) -> None:
    answer = get(service, b"/versions", host=host)
    assert answer.status in {200, 400}
    if answer.status == 200:
        assert json.loads(answer.body)["versions"]
    created = ask(service, b"POST /v2/images HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 2\r\n", b"{}", "POST")
    assert created.status in {201, 400}


# ----------------------------------------------------------------------------------------------------- request ids


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        (b"req-" + NO_IMAGE.encode(), f"req-{NO_IMAGE}"),
        (NO_IMAGE.encode(), f"req-{NO_IMAGE}"),
        (b"x" * 64, f"req-{'x' * 64}"),
        (b"a b", "req-a b"),
        (b"", None), (b"req-", None), (b"\xff", None), ("é".encode(), None), ("日本".encode(), None), (b"a\tb", None),
    ],
)  # fmt: skip
def test_a_request_id_comes_back_where_it_can(service: Service, sent: bytes, returned: str | None) -> None:
    for target, status in ((b"/v2/images", 200), (b"/v2/nothing", 404)):
        answer = get(service, target, b"X-OpenStack-Request-ID: " + sent)
        shown = answer.headers["x-openstack-request-id"]
        assert answer.status == status
        assert shown == returned if returned is not None else (len(shown), shown[:4]) == (40, "req-")


def test_a_long_request_id_is_431_and_stays_out_of_the_answer(service: Service) -> None:
    """images-api 5.2: 431."""
    for length in (65, 10_000):
        answer = get(service, b"/v2/images", b"X-OpenStack-Request-ID: " + b"x" * length)
        assert answer.status == 431
        assert len(answer.headers["x-openstack-request-id"]) == 40


# --------------------------------------------------------------------------------------------------- behind a proxy

SPOOFED = {
    "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Prefix": "/evil", "Forwarded": "for=6.6.6.6;host=evil.example;proto=https",
}  # fmt: skip


def test_forwarded_headers_are_nothing_by_themselves(service: Service, api: Api) -> None:
    plain = api.call("GET", "/versions").json
    assert api.call("GET", "/versions", headers=SPOOFED).json == plain
    location = api.call("POST", "/v2/images", b"{}", SPOOFED).headers["location"]
    assert location.startswith(f"http://{HOST}:{service.port}/v2/images/")
    assert api.call("GET", "/v2", headers=SPOOFED).headers["location"] == f"http://{HOST}:{service.port}/v2/"
    assert "6.6.6.6" not in service.log


def test_forwarded_headers_count_where_they_are_believed(tmp_path: Path) -> None:
    options = {
        "glimpse": {"auth": "headers"},
        "oslo_middleware": {"enable_proxy_headers_parsing": True},
    }
    with Service(tmp_path, options=options) as service:
        api = Api(service.port, ADMIN)
        forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "img.example.net", "X-Forwarded-For": "9.8.7.6"}
        prefixed = {**forwarded, "X-Forwarded-Prefix": "/image/"}
        for headers, base in (
            (forwarded, "https://img.example.net"),
            (prefixed, "https://img.example.net/image"),
            ({**forwarded, "Forwarded": 'proto=http;host="a.example:81";for=1.2.3.4, host=b'}, "http://a.example:81"),
            ({"X-Forwarded-Host": "only.example"}, "http://only.example"),
        ):
            links = api.call("GET", "/versions", headers=headers).json["versions"][0]["links"]
            assert links == [{"rel": "self", "href": f"{base}/v2/"}]
            assert api.call("GET", "/v2", headers=headers).headers["location"] == f"{base}/v2/"
        location = api.call("POST", "/v2/images", b"{}", prefixed).headers["location"]
        # Glance drops the prefix here, and clients are used to it
        assert location.startswith("https://img.example.net/v2/images/")
        shown = api.call("GET", "/v2/images?limit=1", headers=prefixed).json
        assert shown["first"] == "/v2/images?limit=1"
        assert shown["images"][0]["self"].startswith("/v2/images/")
        odd = "/".join(quote(chr(number)) for number in range(33, 127))
        for name in (*prefixed, "Forwarded"):
            assert api.call("GET", "/v2/images", headers={name: odd}).status == 200
            assert api.call("POST", "/v2/images", b"{}", {name: odd}).status == 201
        assert '9.8.7.6 "GET /versions"' in service.log
        assert '1.2.3.4 "GET /versions"' in service.log


def test_the_public_endpoint_is_in_the_links_of_versions_only(tmp_path: Path) -> None:
    options = {
        "DEFAULT": {"public_endpoint": "https://public.example.net/image"},
        "glimpse": {"auth": "headers"},
    }
    with Service(tmp_path, options=options) as service:
        api = Api(service.port, ADMIN)
        for path in ("/", "/versions"):
            versions = api.call("GET", path, headers=SPOOFED).json["versions"]
            assert {one["links"][0]["href"] for one in versions} == {"https://public.example.net/image/v2/"}
        location = api.call("POST", "/v2/images", b"{}").headers["location"]
        assert location.startswith(f"http://{HOST}:{service.port}/v2/images/")
