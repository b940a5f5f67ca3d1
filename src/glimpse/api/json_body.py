"""Request bodies in JSON (images-api 0.2).

Of duplicate keys the last one wins. ``NaN`` and infinities are refused. The decoder limits nesting.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from glimpse.errors import Invalid, LimitExceeded

_LONE = "a string contains half of a surrogate pair (a \\u escape from d800 to dfff without its other half)"

#: An escape of a string: a whole surrogate pair, half of one, or any other.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

_decode = msgspec.json.Decoder().decode


def json_object(body: bytes, *, max_bytes: int) -> dict[str, Any]:
    """Decode a body that must be a JSON object.

    :raises Invalid: it is empty, not JSON, not UTF-8, nested too deeply, or not an object.
    :raises LimitExceeded: it is longer than ``max_bytes``.
    """
    value = json_value(body, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise Invalid("The request body must be a JSON object.")
    return value  # pyright: ignore[reportUnknownVariableType]  # keys are always text in JSON


def json_value(body: bytes, *, max_bytes: int) -> object:
    """Decode a body that may be any JSON value.

    :raises Invalid: it is empty, not JSON, not UTF-8, or nested too deeply.
    :raises LimitExceeded: it is longer than ``max_bytes``.
    """
    if len(body) > max_bytes:
        raise LimitExceeded(f"The request body has {len(body)} bytes; at most {max_bytes} are allowed.")
    if not body:
        raise Invalid("The request needs a JSON body.")
    try:
        return _decode(body)
    except UnicodeDecodeError:
        raise Invalid("The request body is not encoded in UTF-8.") from None
    except msgspec.DecodeError as error:
        reason = _LONE if has_lone_surrogate(body) else str(error)
        raise Invalid(f"The request body is not well-formed JSON: {reason}.") from None
    except RecursionError:
        raise Invalid("The request body is nested too deeply.") from None


def has_lone_surrogate(body: bytes) -> bool:
    """Tell whether JSON text has an escape for half of a surrogate pair, which the decoder reports as truncated
    text.
    """
    return any(match["half"] for match in _ESCAPE.finditer(body))
