"""Complete responses for errors."""

from __future__ import annotations

import math
import re
from html import escape

import msgspec

from glimpse.api.errors import Refusal, status_of
from glimpse.api.request import Reply
from glimpse.errors import Busy, GlimpseError, RangeNotSatisfiable, TooManyAttempts

# ------------------ The bodies of error responses: HTML, JSON or plain text, depending on ``Accept`` (images-api 7.1)

#: Reason phrases (images-api 7.2). They are part of the bodies, so they keep the wording of older RFCs.
_REASONS = {
    300: "Multiple Choices",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    414: "Request URI Too Long",
    415: "Unsupported Media Type",
    416: "Request Range Not Satisfiable",
    417: "Expectation Failed",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

_HTML, _JSON = "text/html", "application/json"

#: One element of Accept: a media range, parameters, and among them the weight.
_RANGE = re.compile(r"\s*([!#$%&'*+.^_`|~\w-]+)/([!#$%&'*+.^_`|~\w-]+)\s*(?:;(.*))?", re.ASCII)
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class ErrorBody(msgspec.Struct, frozen=True):
    """A body and its Content-Type."""

    content_type: str
    body: bytes


def reason(status: int) -> str:
    """Return the reason phrase of a status; ``Unknown`` for a status that the service never sends."""
    return _REASONS.get(status, "Unknown")


def error_body(status: int, message: str, detail: str = "", *, accept: str | None = None) -> ErrorBody:
    """Build the body of an error; ``message`` and ``detail`` are plain text, ``accept`` is the request header."""
    title = f"{status} {reason(status)}"
    wanted = _negotiate(accept)
    if wanted == _HTML:
        return ErrorBody("text/html; charset=UTF-8", _html(title, message, detail).encode())
    if wanted == _JSON:
        text = f"{message} {detail}" if detail else message
        return ErrorBody(_JSON, msgspec.json.encode({"message": text, "code": title, "title": reason(status)}))
    return ErrorBody("text/plain; charset=UTF-8", _plain(title, message, detail).encode())


def _html(title: str, message: str, detail: str) -> str:
    return (
        f"<html>\n<head>\n<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f"{_text(message)}<br /><br />\n{_text(detail)}\n</body>\n</html>\n"
    )


def _text(plain: str) -> str:
    """Escape text for HTML, except quotes, because clients show it without decoding entities."""
    return escape(plain, quote=False)


def _plain(title: str, message: str, detail: str) -> str:
    return f"{title}\n\n{' '.join(message.splitlines())}\n\n {' '.join(detail.splitlines())}  "


def _negotiate(accept: str | None) -> str | None:
    """Choose ``text/html``, ``application/json``, or None for plain text; HTML wins if the weights are equal.

    An empty header gets HTML, unlike in Glance: openstacksdk sends it with uploads and patches, and shows only the
    text of HTML responses (docs/adr/0008).
    """
    if accept is not None and not accept.strip():
        return _HTML
    ranges = _weights(accept or "")
    html, json = _weight(ranges, _HTML), _weight(ranges, _JSON)
    if html > 0 and html >= json:
        return _HTML
    return _JSON if json > 0 else None


def _weights(accept: str) -> dict[str, float]:
    """Return the weight of each valid media range, in lower case; parameters other than ``q`` are ignored."""
    weights: dict[str, float] = {}
    for element in accept.split(","):
        match = _RANGE.fullmatch(element)
        if match is None:
            continue
        weight = 1.0
        for parameter in (match[3] or "").split(";"):
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "q":
                weight = float(value.strip()) if _WEIGHT.fullmatch(value.strip()) else 0.0
        media_range = f"{match[1]}/{match[2]}".lower()
        weights[media_range] = max(weight, weights.get(media_range, 0.0))
    return weights


def _weight(ranges: dict[str, float], offer: str) -> float:
    """Return the weight of the most specific range that matches ``offer``."""
    for media_range in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0


_INTERNAL = "The service failed to handle the request. The reason is in its log, under the request id."

#: The message of 415 is this general sentence; the reason is its detail (images-api 7.1).
_GENERAL = {415: "The media type or the content of the request is not supported here."}


class FailureReply:
    """``challenge`` is the value of WWW-Authenticate for 401, if any."""

    def __init__(self, challenge: str | None) -> None:
        self._challenge = challenge

    def to(self, error: GlimpseError | Refusal | None, accept: str | None) -> Reply:
        """Build the response to ``error`` in the format of ``accept``; None is a defect, whose cause is in the log."""
        if error is None:
            status, message = 500, _INTERNAL
        elif isinstance(error, Refusal):
            status, message = error.status, str(error)
        else:
            status, message = status_of(error), str(error)
        general = _GENERAL.get(status)
        made = error_body(status, general or message, message if general else "", accept=accept)
        headers = [(b"content-type", made.content_type.encode())]
        match error:
            case Refusal():
                headers.extend(error.headers)
            case RangeNotSatisfiable() if error.size is not None:
                headers.append((b"content-range", f"bytes */{error.size}".encode()))
            case Busy():
                headers.append((b"retry-after", str(error.retry_seconds).encode()))
            case TooManyAttempts():
                headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
            case _:
                pass
        if status == 401 and self._challenge:
            headers.append((b"www-authenticate", self._challenge.encode()))
        return Reply(status, made.body, tuple(headers))
