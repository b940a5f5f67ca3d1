"""Removes secrets and control characters from log text (ARCHITECTURE.md, Data safety, rule 7)."""

from __future__ import annotations

import re
from unicodedata import category
from urllib.parse import unquote_plus

MASK = "***"

# Lengths are bounded where a hostile line could make a pattern start at every character.
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

# The beginning of one parameter of a query, also of a query that is percent-encoded inside another one.
_PARAMETER = re.compile(r"(?:[?&;]|%3f|%26|%3b)([^\s=&;?'\"<>]{1,128}?)(?:=|%3d)", re.IGNORECASE)
_VALUE = re.compile(r"[^\s&;'\"<>]*")

# Names of parameters with a secret value: tokens, signatures (of S3, Swift, Azure and others), passwords, keys.
_SECRET_NAME = re.compile(
    r"token|signature$|(?:^|[-_.])sig$|passw|passphrase|passcode|pwd|secret|credential|authorization|jwt"
    r"|(?:api|access|private|encryption|auth)[-_.]?key|session[-_.]?id|^(?:auth|key|sas)$"
)

#: Categories of Unicode that a log line shows as escapes: control and format characters (direction marks, zero widths,
#: tags), surrogates, characters of private use or without a meaning, separators of lines and paragraphs.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def redacted(text: str) -> str:
    """Mask tokens, passwords, passwords in URLs and secret query values in ``text``."""
    text = _SECRETS.sub(_mask, text)
    return _without_secret_parameters(text) if "=" in text or "%3" in text else text


def one_line(text: str) -> str:
    """Escape control and format characters in ``text``, so that one line cannot imitate another."""
    return text if text.isprintable() else "".join([_escape(char) if _hidden(char) else char for char in text])


def printable_json(text: str) -> str:
    """Do the same for an encoded JSON document, where such characters occur only in strings and JSON can escape
    them.
    """
    return text if text.isprintable() else "".join([_json_escape(char) if _hidden(char) else char for char in text])


def _mask(found: re.Match[str]) -> str:
    kept = found["url"] or found["header"] or found["name"]
    return f"{kept}{MASK}"


def _without_secret_parameters(text: str) -> str:
    parts: list[str] = []
    done = 0
    for found in _PARAMETER.finditer(text):
        value = _VALUE.match(text, found.end())
        if value is None or found.start() < done or not _SECRET_NAME.search(unquote_plus(found[1]).lower()):
            continue
        parts += (text[done : found.end()], MASK)
        done = value.end()
    return "".join((*parts, text[done:])) if parts else text


def _hidden(char: str) -> bool:
    return not char.isprintable() and category(char) in _HIDDEN


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
