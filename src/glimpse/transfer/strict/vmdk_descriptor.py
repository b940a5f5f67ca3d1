"""The text that describes a VMDK (VMware, Virtual Disk Format 5.0), by a fixed grammar.

Readers search this text in ways of their own: QEMU takes the first ``createType="`` and ``parentFileNameHint`` that
stand anywhere, in comments too. So such words may stand nowhere but where they belong.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from glimpse.transfer.strict.reading import Violation

CONVERT: Final = (
    "Convert the disk where all its files are, with qemu-img convert -O vmdk -o subformat=monolithicSparse,"
    " and upload the result."
)
#: How far the descriptor text is looked for; QEMU's probe reads 512 bytes, older ones 2,048.
_PROBE_BYTES: Final = 64 << 10
_VERSION_LINE: Final = re.compile(rb"version[ \t]*=[ \t]*[\"']?[0-9]+[\"']?[ \t\r\0]*\Z", re.IGNORECASE)
_BINARY: Final = re.compile(rb"[^\t-\r -~]")
_TITLE: Final = re.compile(rb"#[#\s]*disk[\s_]*descriptor[\s_]*file", re.IGNORECASE)

_FIELDS: Final = {
    "version": re.compile(r"[123]"),
    "encoding": re.compile(r'"[A-Za-z0-9._:-]{1,40}"'),
    "CID": re.compile(r"[0-9A-Fa-f]{1,8}"),
    "parentCID": re.compile(r"[Ff]{8}"),
    "isNativeSnapshot": re.compile(r'"no"'),
    "createType": re.compile(r'"(?:monolithicSparse|streamOptimized)"'),
}
_REQUIRED: Final = ("version", "CID", "parentCID", "createType")
_EXTENT: Final = re.compile(r'(?:RW|RDONLY|NOACCESS) ([1-9][0-9]{0,17}) SPARSE "([^"]{1,255})"')
_DDB: Final = re.compile(r'ddb\.([A-Za-z0-9_.-]+) ?= ?("(?:[^"\\]|\\.)*")')
#: VirtualBox writes these of every disk, as zeros when there is no parent.
_NO_PARENT: Final = re.compile(r'"[0{}-]*"')
_PARENT_KEYS: Final = frozenset({"uuid.parent", "uuid.parentmodification"})
_NO_NAME: Final = re.compile(r'[/\\:*?<>|%"]|\A[.~-]')


def is_descriptor(front: bytes) -> bool:
    """Whether a stream that begins with ``front`` is a descriptor on its own, for the most permissive reader.

    QEMU skips comments and blank lines and wants ``version=1`` then; other tools want the title, or a createType.
    """
    if front[:512].isascii() and not _BINARY.search(front[:512]) and b'createtype="' in front.lower():
        return True
    text = front[:_PROBE_BYTES].removeprefix(b"\xef\xbb\xbf")
    for line in text.split(b"\n"):
        stripped = line.strip()
        if stripped.startswith(b"#"):
            if _TITLE.match(stripped):
                return True
        elif stripped:
            return _VERSION_LINE.match(stripped) is not None
    return False


def refuse_descriptor() -> Violation:
    """A descriptor on its own: what it describes is in other files."""
    return _violation("it is a separate descriptor, whose data are in other files")


def check_descriptor(area: bytes) -> int:
    """Check the descriptor that fills ``area`` inside a VMDK; return the sectors of its extent.

    :raises Violation: it is not exactly what stand-alone disks have.
    """
    encoded, _, rest = area.partition(b"\0")
    if rest.strip(b"\0"):
        raise _violation("data follow the end of the descriptor")
    try:
        text = encoded.decode()
    except UnicodeDecodeError as exc:
        raise _violation("the descriptor is not UTF-8 text") from exc
    if not text.strip():
        raise _violation("there is no descriptor")
    _check_words(text.lower())
    fields: set[str] = set()
    extents: list[int] = []
    for line in text.split("\n"):
        _read_line(line.rstrip(" \t\r"), fields, extents)
    for name in _REQUIRED:
        if name not in fields:
            raise _violation(f"the descriptor has no {name}")
    if len(extents) != 1:
        raise _violation(f"the descriptor has {len(extents)} extents; a disk in one file has exactly 1")
    return extents[0]


def _check_words(lowered: str) -> None:
    if "parentfilenamehint" in lowered:
        raise Violation("vmdk", "parent", "the descriptor has a parentFileNameHint", CONVERT)
    for word in ("createtype", "parentcid"):
        if (number := lowered.count(word)) > 1:
            raise _violation(f"the word {word} occurs {number} times in the descriptor, but must occur once")


def _read_line(line: str, fields: set[str], extents: list[int]) -> None:
    if any(unicodedata.category(char) == "Cc" and char != "\t" for char in line):
        raise _violation("the descriptor contains control characters")
    if not line or line.startswith("#"):
        return
    if line.startswith("ddb."):
        _check_ddb(line)
        return
    name, equals, value = line.partition("=")
    if equals and name in _FIELDS:
        if not _FIELDS[name].fullmatch(value):
            raise _bad_field(name, value)
        if name in fields:
            raise _violation(f"the descriptor has {name} twice")
        fields.add(name)
        return
    extent = _EXTENT.fullmatch(line)
    if extent is None:
        raise _violation(f"the line {_quoted(line)} of the descriptor does not occur in disks of one file")
    if _NO_NAME.search(extent[2]):
        raise _violation(f"the extent {_quoted(extent[2])} is not a plain file name")
    extents.append(int(extent[1]))


def _check_ddb(line: str) -> None:
    entry = _DDB.fullmatch(line)
    if entry is None:
        raise _violation(f"the line {_quoted(line)} of the descriptor is not an entry of the disk database")
    key = entry[1].lower()
    if "parent" in key and not (key in _PARENT_KEYS and _NO_PARENT.fullmatch(entry[2])):
        raise Violation("vmdk", "parent", f"ddb.{entry[1][:60]} names a parent", CONVERT)


def _bad_field(name: str, value: str) -> Violation:
    if name == "parentCID":
        return Violation(
            "vmdk", "parent", f"parentCID is {_quoted(value)}; a disk without a parent has ffffffff", CONVERT
        )
    if name == "createType":
        return _violation(f"createType is {_quoted(value)}; allowed are monolithicSparse and streamOptimized")
    return _violation(f"{name} cannot be {_quoted(value)}")


def _violation(reason: str) -> Violation:
    return Violation("vmdk", "descriptor", reason, CONVERT)


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 60 else f"{text[:60]}…")
