"""Files with the digests of other files, such as ``SHA256SUMS``: reading one from a user's URL, and its forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote, urlsplit

from glimpse.domain.digests import IN_HEX, LENGTHS, ExpectedDigest, algorithm_of, from_pair
from glimpse.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Maximum size of a file of checksums in bytes: more than 10,000 lines of SHA-256.
LONGEST_FILE: Final = 1 << 20

_BY_LENGTH: Final = {length: name for name, length in LENGTHS.items()}
#: Lines of GNU's programs: digest, a space, a space or a mark of the mode, the name. A backslash in front means that
#: the name is escaped.
_GNU_LINE: Final = re.compile(r"(\\?)([0-9A-Fa-f]{32,128}) [ *](.+)")
#: Lines of BSD's programs, and of ``openssl dgst``, which writes fewer spaces and ``SHA2-256`` for SHA256.
_BSD_LINE: Final = re.compile(r"(\\?)([A-Za-z0-9-]{1,32}) ?\((.+)\) ?= ([0-9A-Fa-f]{32,128})")
#: No line with a digest of 32 digits and a name is shorter.
_SHORTEST_LINE: Final = 32 + 3
#: Characters of a name in messages.
_SHOWN: Final = 80
_ESCAPES: Final = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


class _Source(Protocol):
    def next_batch(self) -> bytes | None: ...


def file_name_of(url: str) -> str:
    """Return the name under which a file of checksums lists the data at ``url``: the last segment of its path.

    :raises Invalid: the path ends with a slash, or there is none.
    """
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if not name:
        raise Invalid("'method.uri' ends without the name of a file, so 'method.checksum_uri' cannot be used.")
    return name


def read_text(source: _Source, check: Callable[[], None]) -> str:
    """Return the text that ``source`` sends to its end; its errors, and those of ``check`` between parts, are raised.

    :raises Invalid: it is no text, or longer than :data:`LONGEST_FILE`. The message continues a sentence.
    """
    parts: list[bytes] = []
    size = 0
    while (batch := source.next_batch()) is not None:
        check()
        size += len(batch)
        if size > LONGEST_FILE:
            raise Invalid(f"it has more than {LONGEST_FILE} bytes.")
        parts.append(batch)
    found = b"".join(parts)
    if b"\0" in found:
        raise Invalid("it is not a text.")
    # names may be in any encoding
    return found.decode("utf-8-sig", errors="replace")


def from_sums(text: str, file_name: str) -> ExpectedDigest:
    """Return the digest of ``file_name`` in the text of a file such as ``SHA256SUMS``, in the forms of GNU and BSD.

    Lines in other forms, such as comments and signatures, are passed over. Names are compared without their
    directories only if no line has exactly this name. Of several algorithms the strongest is taken. A text that
    consists of a digest only is the digest of any file.

    :raises Invalid: no line is about the file, or two lines contradict each other. The message continues a sentence.
    """
    if IN_HEX.fullmatch(bare := text.strip()) and (algorithm := _BY_LENGTH.get(len(bare) // 2)):
        return from_pair(f"{algorithm}:{bare}")
    exact: list[ExpectedDigest] = []
    similar: list[ExpectedDigest] = []
    for name, digest in _lines(text):
        if name.removeprefix("./") == file_name:
            exact.append(digest)
        elif name.rpartition("/")[2] == file_name:
            similar.append(digest)
    found = exact or similar
    strongest = next((name for name in LENGTHS if any(one.algorithm == name for one in found)), None)
    values = {one for one in found if one.algorithm == strongest}
    if not values:
        raise Invalid(f"it has no digest of {_shown(file_name)}.")
    if len(values) > 1:
        raise Invalid(f"it has several different digests of {_shown(file_name)}.")
    return values.pop()


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")


def _lines(text: str) -> Iterator[tuple[str, ExpectedDigest]]:
    for line in text.split("\n"):
        if len(line) >= _SHORTEST_LINE and (found := _of_line(line.removesuffix("\r"))) is not None:
            yield found


def _of_line(line: str) -> tuple[str, ExpectedDigest] | None:
    """Return the name and the digest in a line; None if it is of another form or algorithm."""
    if found := _GNU_LINE.fullmatch(line):
        escaped, value, name = found.groups()
        algorithm = _BY_LENGTH.get(len(value) // 2) if len(value) % 2 == 0 else None
    elif found := _BSD_LINE.fullmatch(line):
        escaped, named, name, value = found.groups()
        algorithm = algorithm_of(named)
        if algorithm is not None and len(value) != 2 * LENGTHS[algorithm]:
            return None
    else:
        return None
    if algorithm is None:
        return None
    if escaped:
        name = re.sub(r"\\[\\nr]", lambda one: _ESCAPES[one[0]], name)
    return name, ExpectedDigest(algorithm, value.lower())
