"""The two log formats (configuration 12): classic lines, and JSON objects."""

from __future__ import annotations

import json
import logging
import re
import time
from datetime import UTC, datetime
from typing import Any
from unicodedata import category
from urllib.parse import unquote_plus

import msgspec

from glimpse.context import CALLER, Context

# ------------------------ Removes secrets and control characters from log text (ARCHITECTURE.md, Data safety, rule 7)

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


_PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "caller", "taskName"}
_ENCODE = msgspec.json.Encoder(enc_hook=str).encode


class ClassicFormatter(logging.Formatter):
    """``2026-01-01 10:12:26.465 9743 INFO glimpse.api [None req-… user project - - - -] text``.

    A traceback follows on separate lines with the same prefix.
    """

    def __init__(self) -> None:
        super().__init__()
        #: the last formatted second; replaced as a whole, because many threads log
        self._second = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        beginning = f"{self._time(record)} {record.process} {record.levelname} {record.name} "
        caller: Context | None = getattr(record, "caller", None) or CALLER.get()
        message = one_line(redacted(record.getMessage()))
        line = f"{beginning}{_identity(caller)} {message}"
        if record.exc_info or record.stack_info:
            return "\n".join((line, *(beginning + part for part in _trace_lines(self, record))))
        return line

    def _time(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        known = self._second
        if known[0] != second:
            known = (second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second)))
            self._second = known
        return f"{known[1]}.{int(record.msecs):03d}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line, with the values of ``extra`` as members."""

    def format(self, record: logging.LogRecord) -> str:
        caller: Context | None = getattr(record, "caller", None) or CALLER.get()
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "request_id": caller.request_id if caller else None,
            "user": caller.user_id if caller else None,
            "project": caller.project_id if caller else None,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info or record.stack_info:
            entry["exception"] = "\n".join(_trace_lines(self, record))
        for name, value in vars(record).items():
            if name not in _PLAIN_FIELDS and name not in entry:
                entry[name] = redacted(value) if isinstance(value, str) else value
        return printable_json(_json(entry))


def _json(entry: dict[str, Any]) -> str:
    try:
        return _ENCODE(entry).decode()
    except UnicodeEncodeError:
        # lone surrogates cannot be encoded in UTF-8; as escapes they are valid JSON
        return json.dumps(entry, default=str)


def _identity(caller: Context | None) -> str:
    if caller is None:
        return "[-]"
    # global request id, then id, user, project, domain, system scope, user domain, project domain
    return one_line(
        f"[None {caller.request_id} {caller.user_id or '-'} {caller.project_id or '-'} "
        f"{caller.domain_id or '-'} {caller.system_scope or '-'} - -]"
    )


def _trace_lines(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    text = "" if not record.exc_info else formatter.formatException(record.exc_info)
    if record.stack_info:
        text = f"{text}\n{record.stack_info}" if text else record.stack_info
    return [one_line(line) for line in redacted(text).split("\n")]
