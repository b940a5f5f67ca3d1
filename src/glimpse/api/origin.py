"""Where the client believes to be: scheme, host and prefix of its request, also behind a proxy (images-api 1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """What the client used: scheme, host with its port, and the path prefix in front of the API."""

    scheme: str
    host: str
    prefix: str


def host_url(scope: Mapping[str, Any], headers: Mapping[str, str], *, trust_proxy: bool) -> str:
    """``scheme://host``, the beginning of the Location of a new image."""
    origin = origin_of(scope, headers, trust_proxy=trust_proxy)
    return f"{origin.scheme}://{origin.host}"


def base_url(scope: Mapping[str, Any], headers: Mapping[str, str], *, trust_proxy: bool) -> str:
    """``scheme://host/prefix`` without a slash at the end, the beginning of links to versions."""
    origin = origin_of(scope, headers, trust_proxy=trust_proxy)
    return f"{origin.scheme}://{origin.host}{origin.prefix}"


def origin_of(scope: Mapping[str, Any], headers: Mapping[str, str], *, trust_proxy: bool) -> Origin:
    """Read the origin from the request, and from its proxy headers where ``enable_proxy_headers_parsing`` is on."""
    scheme: str = scope["scheme"]
    host = headers.get("host") or _server_name(scope)
    prefix: str = scope.get("root_path", "")
    if not trust_proxy:
        return Origin(scheme, host, prefix)
    forwarded = headers.get("forwarded")
    if forwarded:
        fields = _first_element(forwarded)
    else:
        fields = {"proto": headers.get("x-forwarded-proto", ""), "host": headers.get("x-forwarded-host", "")}
    return Origin(
        fields.get("proto") or scheme,
        fields.get("host") or host,
        headers.get("x-forwarded-prefix", "").rstrip("/") + prefix,
    )


def forwarded_for(headers: Mapping[str, str]) -> str | None:
    """The address of the client as its proxy gives it; for log lines, nothing may rest on it."""
    forwarded = headers.get("forwarded")
    if forwarded:
        return _first_element(forwarded).get("for")
    return headers.get("x-forwarded-for")


def path_of(target: str) -> str:
    """The path of a request target that does not begin with a slash: a whole URL, ``*``, or nothing (RFC 9112, 3.2)."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        return target
    return f"/{rest.partition('/')[2]}"


def _server_name(scope: Mapping[str, Any]) -> str:
    server = scope.get("server") or ("localhost", None)
    return server[0] if server[1] is None else f"{server[0]}:{server[1]}"


def _first_element(forwarded: str) -> dict[str, str]:
    """The pairs of the first element of a ``Forwarded`` header (RFC 7239)."""
    pairs = (pair.partition("=") for pair in forwarded.split(",", 1)[0].split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
