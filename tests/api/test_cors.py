"""CORS headers for browsers (images-api 5.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from glimpse.settings.load import Sources, load
from glimpse.settings.model import Cors, Limits
from glimpse.stores.all import DRIVERS
from tests.support.counting import Counting
from tests.support.wire import Wire, settings_in, wired

DASHBOARD = "https://dashboard.example.net"
OTHER = "https://other.example.net"

EXPOSED = "X-Image-Meta-Checksum,X-Auth-Token,X-Subject-Token,X-Service-Token,X-OpenStack-Request-ID"
SENT = {
    "access-control-allow-origin": DASHBOARD,
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": EXPOSED,
    "vary": "Origin",
}

Start = Callable[..., Wire]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A service with these ``[cors]``."""
    with ExitStack() as stack:

        def enter(cors: Cors, **parts: object) -> Wire:
            return stack.enter_context(wired(settings_in(tmp_path, cors=cors, **parts)))

        yield enter


@pytest.fixture
def dashboard(start: Start) -> Wire:
    """A service that one origin may use."""
    return start(Cors(allowed_origin=(DASHBOARD,)))


def cors_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("access-control-") or name == "vary"}


def preflight(wire: Wire, method: str, names: str | None = None, origin: str = DASHBOARD) -> dict[str, str]:
    fields = {"Origin": origin, "Access-Control-Request-Method": method}
    if names is not None:
        fields["Access-Control-Request-Headers"] = names
    answer = wire("OPTIONS", "/v2/images/x/file", headers=fields, identity=False)
    assert (answer.status, answer.body) == (200, b"")
    return cors_headers(answer.headers)


def test_answers_to_an_allowed_origin_may_be_read(dashboard: Wire) -> None:
    for path in ("/v2/images", "/v2/schemas/member", "/versions", "/"):
        assert cors_headers(dashboard("GET", path, headers={"Origin": DASHBOARD}).headers) == SENT
    long = dashboard("GET", "/v2/schemas/image", headers={"Origin": DASHBOARD}).headers
    assert cors_headers(long) == {**SENT, "vary": "Accept-Encoding, Origin"}


@pytest.mark.parametrize("fields", [{}, {"Origin": OTHER}, {"Origin": "null"}, {"Origin": f"{DASHBOARD}:8080"}])
def test_others_are_told_nothing(dashboard: Wire, fields: dict[str, str]) -> None:
    assert cors_headers(dashboard("GET", "/v2/images", headers=fields).headers) == {}
    fields = {**fields, "Access-Control-Request-Method": "GET"}
    assert cors_headers(dashboard("OPTIONS", "/v2/images", headers=fields).headers) == {}


def test_refusals_may_be_read_too(start: Start) -> None:
    wire = start(Cors(allowed_origin=(DASHBOARD,)), limits=Limits(image_size_cap=10))
    image_id = wire.create()["id"]
    origin = {"Origin": DASHBOARD}
    for answer, status in (
        (wire.upload(image_id, b"x" * 11, origin), 413),
        (wire("GET", "/v2/images", headers=origin, identity=False), 401),
        (wire("GET", "/v2/nothing", headers=origin), 404),
        (wire("PUT", "/v2/images", b"", origin), 405),
    ):
        assert answer.status == status
        assert cors_headers(answer.headers) == SENT


def test_a_download_may_be_read(dashboard: Wire) -> None:
    image_id = dashboard.create()["id"]
    assert dashboard.upload(image_id, b"data", {"Origin": DASHBOARD}).status == 204
    answer = dashboard("GET", f"/v2/images/{image_id}/file", headers={"Origin": DASHBOARD})
    assert (answer.status, answer.body) == (200, b"data")
    assert cors_headers(answer.headers) == SENT


def test_the_preflight_of_an_upload_by_horizon(dashboard: Wire) -> None:
    assert preflight(dashboard, "PUT", "x-auth-token,content-type") == {
        **SENT,
        "access-control-max-age": "3600",
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "x-auth-token,content-type",
    }


def test_a_preflight_needs_an_allowed_method_and_allowed_headers(dashboard: Wire) -> None:
    assert "access-control-allow-headers" not in preflight(dashboard, "GET")
    assert preflight(dashboard, "GET")["access-control-allow-methods"] == "GET"
    assert preflight(dashboard, "TRACE") == {}
    assert preflight(dashboard, "put") == {}
    assert preflight(dashboard, "PUT", "x-auth-token, x-image-meta-store") == {}
    assert preflight(dashboard, "PUT", " Accept , PRAGMA,") != {}
    assert preflight(dashboard, "PUT", "x-auth-token", origin=OTHER) == {}


def test_options_without_a_preflight_is_200_and_empty(dashboard: Wire) -> None:
    for fields in ({}, {"Origin": DASHBOARD}, {"Access-Control-Request-Method": "GET"}):
        answer = dashboard("OPTIONS", "/v2/images", headers=fields, identity=False)
        assert (answer.status, answer.body, cors_headers(answer.headers)) == (200, b"", {})


def test_any_origin_is_answered_with_the_asterisk(start: Start) -> None:
    wire = start(Cors(allowed_origin=("*", DASHBOARD), allow_credentials=False, expose_headers=(), max_age=0))
    headers = wire("GET", "/v2/images", headers={"Origin": OTHER}).headers
    assert cors_headers(headers) == {"access-control-allow-origin": "*", "vary": "Origin"}
    headers = wire("GET", "/v2/images", headers={"Origin": DASHBOARD}).headers
    assert headers["access-control-allow-origin"] == DASHBOARD
    assert "access-control-max-age" not in preflight(wire, "GET")


def test_a_long_list_varies_by_both(dashboard: Wire) -> None:
    for number in range(100):
        dashboard.create(name=f"{number} {'x' * 200}")
    headers = {"Origin": DASHBOARD, "Accept-Encoding": "gzip"}
    answer = dashboard("GET", "/v2/images?limit=100", headers=headers)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding, Origin"
    assert answer.headers["access-control-allow-origin"] == DASHBOARD


def test_without_an_origin_nothing_of_it_runs(tmp_path: Path) -> None:
    counting = Counting()
    counting.install()
    try:
        with wired(settings_in(tmp_path)) as wire, counting.count() as counted:
            headers = wire("GET", "/v2/images", headers={"Origin": DASHBOARD}).headers
    finally:
        counting.remove()
    assert cors_headers(headers) == {}
    assert "api/app.py" in counted.files
    assert "api/cors.py" not in counted.files


def settings_of(directory: Path, text: str) -> tuple[Cors, dict[str, Cors]]:
    (directory / "glance-api.conf").write_text(text)
    sources = Sources(config_files=(directory / "glance-api.conf",), environ={"HOME": str(directory)})
    settings = load(sources, DRIVERS).settings
    return settings.cors, dict(settings.more_cors)


def test_the_section_is_read_from_the_loaded_files(tmp_path: Path) -> None:
    """images-api 5.6: the configuration that was loaded decides."""
    assert settings_of(tmp_path, "[DEFAULT]\n") == (Cors(), {})
    cors, more = settings_of(
        tmp_path,
        f"[cors]\nallowed_origin = {DASHBOARD}, *\nmax_age = 60\nallow_headers = X-Auth-Token,X-Image-Meta-Store\n"
        f"[cors.other]\nallowed_origin = {OTHER}\nallow_credentials = false\n[cors.empty]\nallow_methods = GET\n",
    )
    headers = ("X-Auth-Token", "X-Image-Meta-Store")
    assert cors == Cors(allowed_origin=(DASHBOARD, "*"), max_age=60, allow_headers=headers)
    assert more == {
        "cors.empty": Cors(max_age=60, allow_headers=headers, allow_methods=("GET",)),
        "cors.other": Cors(allowed_origin=(OTHER,), max_age=60, allow_headers=headers, allow_credentials=False),
    }


def test_each_group_has_its_own_rules(start: Start) -> None:
    own = Cors(allowed_origin=(f"{OTHER}/",), allow_methods=("GET",), allow_headers=("X-Image-Meta-Store",))
    wire = start(Cors(allowed_origin=(DASHBOARD,)), more_cors={"cors.other": own})
    assert preflight(wire, "PUT", origin=OTHER) == {}
    assert preflight(wire, "GET", "X-Image-Meta-Store", origin=OTHER)["access-control-allow-origin"] == OTHER
    assert preflight(wire, "PUT")["access-control-allow-origin"] == DASHBOARD
    assert preflight(wire, "GET", "X-Image-Meta-Store") == {}
