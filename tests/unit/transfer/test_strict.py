"""The strict parsers: no accepted image refers to another file, or makes a program allocate or loop excessively."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from glimpse.errors import UnsupportedContent
from tests.support.images import VALID, patched, sparse_disk, vmdk_descriptor, vmdk_sparse, vmdk_stream
from tests.support.images.attacks import ATTACKS, HINT, Attack, descriptor_text, descriptor_when_told, sparse_with
from tests.support.images.catalogue import DISK
from tests.unit.transfer.test_inspect import LENIENT, STRICT, inspect

MIB = 1 << 20
#: Formats that the library inspects, and others.
FORMATS = ("raw", "vmdk", "qcow2", "vhd", "vhdx", "vdi", "iso", "ami", "ploop", "own")
attacks = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@attacks
def test_every_attack_is_refused_as_raw_and_told_by_its_check(attack: Attack) -> None:
    data = attack.build()
    for step in (977, 64 << 10, MIB):
        with pytest.raises(UnsupportedContent, match=f"unsafe: {attack.check}: "):
            inspect(data, "raw", LENIENT, step=step)


@attacks
def test_every_attack_is_refused_whatever_the_disk_format_is(attack: Attack) -> None:
    data = attack.build()
    for disk_format in FORMATS:
        for formats in (STRICT, LENIENT):
            with pytest.raises(UnsupportedContent):
                inspect(data, disk_format, formats)


@pytest.mark.parametrize("change", [lambda text: text, lambda text: text.replace(b"createType=", b"createType: ")])
def test_a_text_that_is_a_descriptor_to_who_is_told_so_is_refused_as_vmdk(change: Callable[[bytes], bytes]) -> None:
    text = change(descriptor_when_told())
    with pytest.raises(UnsupportedContent, match="vmdk check descriptor"):
        inspect(text, "vmdk", LENIENT)
    with pytest.raises(UnsupportedContent, match="it is raw, but disk_format is vmdk"):
        inspect(text, "vmdk")
    assert inspect(text, "raw") == len(text)


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(UnsupportedContent) as caught:
        inspect(sparse_with(HINT), "vmdk")
    assert str(caught.value) == (
        "The content is refused as unsafe: vmdk check parent: the descriptor has a parentFileNameHint. Convert the disk"
        " where all its files are, with qemu-img convert -O vmdk -o subformat=monolithicSparse, and upload the result."
    )


@pytest.mark.parametrize(
    "lines",
    [
        ["# Größe: 1 MiB", 'encoding="UTF-8"', 'ddb.comment = "Kunde Müller, 木"'],
        ['isNativeSnapshot="no"'],
        ['ddb.uuid.image="6c1a0b5e-0000-0000-0000-000000000001"'],
        [
            'ddb.uuid.parent="00000000-0000-0000-0000-000000000000"',
            'ddb.uuid.parentmodification="00000000-0000-0000-0000-000000000000"',
        ],
        ['ddb.comment=""', 'ddb.toolsVersion = "2147483647"', 'ddb.longContentID = "0123456789abcdef0123456789abcdef"'],
        ["", "#DDB", "\t", "# \ttab"],
    ],
)
def test_what_honest_writers_put_into_a_descriptor_is_let_in(lines: list[str]) -> None:
    assert inspect(sparse_with(*lines), "vmdk") == len(DISK)


@pytest.mark.parametrize(
    "extent",
    ['RW 2048 SPARSE "Web server (2).vmdk"', 'RDONLY 2048 SPARSE "call-me-stream.vmdk"', 'RW 2048 SPARSE "木"'],
)
def test_an_extent_may_have_any_plain_name(extent: str) -> None:
    assert inspect(sparse_with(RW=extent), "vmdk") == len(DISK)


def test_a_descriptor_with_windows_line_ends_is_let_in() -> None:
    descriptor = vmdk_descriptor(len(DISK)).replace(b"\n", b"\r\n")
    assert inspect(vmdk_sparse(DISK, descriptor=descriptor), "vmdk") == len(DISK)


def test_a_capacity_rounded_up_to_whole_grains_is_let_in() -> None:
    descriptor = vmdk_descriptor(len(DISK) - 3 * 512, create_type="streamOptimized")
    assert inspect(vmdk_stream(DISK, descriptor=descriptor), "vmdk") == len(DISK)


@pytest.mark.parametrize(
    "text",
    [
        b"#!/bin/sh\necho version=1\n",
        b"#cloud-config\nversion: 1\n",
        b"version one of a poem\n",
        b"version=1.2\n",
        b"# a comment and nothing else",
        b"\0version=1\n",
        b" " * 100_000,
        b"\n" * MIB,
        b"#\n" * MIB,
    ],
)
def test_other_text_is_raw(text: bytes) -> None:
    assert inspect(text, "raw") == len(text)


@pytest.mark.parametrize("name", [name for name in VALID if name.startswith(("qcow2", "vmdk", "vhd", "vdi", "luks"))])
def test_nothing_but_front_and_end_of_a_stream_is_kept(name: str) -> None:
    """The strict reading holds no reference to a batch behind the front."""
    from glimpse.transfer.inspect import FormatDetector

    detector = FormatDetector()
    detector.feed(VALID[name].build().ljust(4 * MIB, b"\0"))
    batch = bytes(MIB)
    references = sys.getrefcount(batch)
    for _ in range(8):
        detector.feed(batch)
    assert sys.getrefcount(batch) == references


def test_raw_data_do_not_import_the_strict_reading() -> None:
    script = (
        "import sys; from glimpse.transfer.inspect import FormatDetector as D; d = D(); d.feed(bytes(1 << 20));"
        " d.finish(); d.examine(); print(json.dumps([m for m in sys.modules if 'transfer.strict' in m]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", f"import json; {script}"], capture_output=True, check=True, text=True, timeout=60
    )
    assert json.loads(run.stdout) == []


def test_a_descriptor_of_many_lines_is_read_in_one_pass() -> None:
    """Half a MiB of the shortest lines: the text is decoded and searched once, not per line."""
    long = sparse_with("#" + "\n#" * 4000)
    assert inspect(long, "vmdk") == len(DISK)
    with pytest.raises(UnsupportedContent, match="vmdk check descriptor"):
        inspect(b"# \n" * 10_000 + descriptor_text(), "raw")


def test_a_sparse_disk_of_a_terabyte_is_let_in() -> None:
    """The size of the disk is limited by nothing but the tables that describe it, which must be in the data."""
    assert inspect(patched(VALID["qcow2-v3"].build(), 24, (1 << 40).to_bytes(8, "big")), "qcow2") == 1 << 40
    assert inspect(sparse_disk(), "raw") == MIB
