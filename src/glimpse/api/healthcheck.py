"""``/healthcheck``: answers with one ``stat``, never waits for storage (images-api 1.6)."""

from __future__ import annotations

from pathlib import Path

from glimpse.api.request import Reply

PAGE = "<!doctype html><html><head><title>Health</title></head><body><h1>{}</h1></body></html>"


def is_healthcheck(path: str) -> bool:
    """Tell whether ``path`` is the health check or below it."""
    return path == "/healthcheck" or path.startswith("/healthcheck/")


def health(method: str, accept: str | None, disable_file: Path) -> Reply:
    """Build the response; create ``disable_file`` to take a node out of service."""
    disabled = disable_file.exists()
    reason = "DISABLED BY FILE" if disabled else "OK"
    status = 503 if disabled else 200
    if method == "HEAD":
        return Reply(503 if disabled else 204)
    if accept is not None and "application/json" in accept:
        body = f'{{"detailed": false, "reasons": ["{reason}"]}}'
        return Reply(status, body.encode(), ((b"content-type", b"application/json"),))
    if accept is not None and "text/html" in accept:
        return Reply(status, PAGE.format(reason).encode(), ((b"content-type", b"text/html; charset=UTF-8"),))
    return Reply(status, reason.encode(), ((b"content-type", b"text/plain; charset=UTF-8"),))
