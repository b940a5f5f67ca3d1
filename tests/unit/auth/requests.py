"""Requests for authenticators."""

from __future__ import annotations

import base64

from starlette.datastructures import Headers

from glimpse.auth.base import Credentials


def request(*headers: tuple[str, str], peer: str | None = "127.0.0.1") -> Credentials:
    """A request with these headers, repeated ones too, in the form that the HTTP edge gives them."""
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return Credentials(Headers(raw=raw), peer)


def basic(name: str, password: str, **options: str | None) -> Credentials:
    """A request with a name and a password."""
    token = base64.b64encode(f"{name}:{password}".encode()).decode("ascii")
    return request(("Authorization", f"Basic {token}"), **options)
