"""Base URL as the client sees it, including behind a proxy: scheme, host and path prefix (images-api 1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """The scheme, host with port, and path prefix that the client used."""

    scheme: str
    host: str
    prefix: str


def host_url(scope: Mapping[str, Any], headers: Mapping[str, str], *, trust_proxy: bool) -> str:
    """``scheme://host``, for the Location of a new image."""
    origin = origin_of(scope, headers, trust_proxy=trust_proxy)
    return f"{origin.scheme}://{origin.host}"


def base_url(scope: Mapping[str, Any], headers: Mapping[str, str], *, trust_proxy: bool) -> str:
    """``scheme://host/prefix`` without a trailing slash, for links to versions."""
    origin = origin_of(scope, headers, trust_proxy=trust_proxy)
    return f"{origin.scheme}://{origin.host}{origin.prefix}"


def origin_of(scope: Mapping[str, Any], headers: Mapping[str, str], *, trust_proxy: bool) -> Origin:
    """Read the origin from the request, and from proxy headers if ``enable_proxy_headers_parsing`` is on."""
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
    """Return the client address from the proxy headers. Use it only in log lines: clients can forge it."""
    forwarded = headers.get("forwarded")
    if forwarded:
        return _first_element(forwarded).get("for")
    return headers.get("x-forwarded-for")


def path_of(target: str) -> str:
    """Return the path of a request target without a leading slash: a URL, ``*``, or nothing (RFC 9112, 3.2)."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        return target
    return f"/{rest.partition('/')[2]}"


def _server_name(scope: Mapping[str, Any]) -> str:
    server = scope.get("server") or ("localhost", None)
    return server[0] if server[1] is None else f"{server[0]}:{server[1]}"


def _first_element(forwarded: str) -> dict[str, str]:
    """Parse the first element of a ``Forwarded`` header (RFC 7239)."""
    pairs = (pair.partition("=") for pair in forwarded.split(",", 1)[0].split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
