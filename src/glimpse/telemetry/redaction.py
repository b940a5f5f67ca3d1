"""Log text without secrets and without control characters (design, section 3, rule 7)."""

from __future__ import annotations

import re

MASK = "***"

# Lengths are bounded where a part could be tried from every character of a hostile line.
_SECRETS = re.compile(
    # user:password@ of a URL; a password that was not quoted may hold anything up to the last @
    r"(?P<url>://[^\s/:@'\"]{0,256}:)[^\s'\"]{0,512}(?=@)"
    # a header with a token, in the forms of headers, dictionaries and byte texts
    r"|(?P<header>(?:x-(?:auth|service|subject|storage)-token|authorization)"
    r"['\"]?\s{0,8}[:=,]\s{0,8}(?:b?['\"])?(?:(?:basic|bearer)\s{1,8})?)[^\s'\",;)}\]]+"
    # a named secret
    r"|(?P<name>(?:password|passwd|passcode|secret_key|access_key|secret|auth_?token)['\"]?\s{0,8}[:=]\s{0,8})"
    r"(?:b?'[^']*'|b?\"[^\"]*\"|[^\s'\",;&)}\]]+)",
    re.IGNORECASE,
)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def redacted(text: str) -> str:
    """``text`` with tokens, passwords and the passwords of URLs masked."""
    return _SECRETS.sub(_mask, text)


def _mask(found: re.Match[str]) -> str:
    kept = found["url"] or found["header"] or found["name"]
    return f"{kept}{MASK}"


def one_line(text: str) -> str:
    """``text`` with control characters written out, so that no line can pass for another."""
    return text if text.isprintable() else _CONTROL.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
