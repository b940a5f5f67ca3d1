"""Content inspection against a real ``qemu-img``: nothing that is let in names, opens or needs another file.

Real and built images are changed in thousands of ways. What inspection lets in under any ``disk_format`` is given to
``qemu-img info`` and ``qemu-img convert``, which probe its format, in limited processes whose every ``open`` is traced.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from glimpse.errors import UnsupportedContent
from glimpse.settings.model import Formats
from glimpse.transfer.inspect import Inspection
from tests.support.images import HOSTILE, VALID, noise
from tests.support.images.attacks import ATTACKS, CANARY, descriptor_when_told
from tests.support.images.by_qemu import STAND_ALONE, write_all
from tests.support.images.mutations import is_described, mutated
from tests.support.needs import unavailable

PACKAGES = "qemu-utils, strace"
CASES = 2000
SEED = 20261130
WORKERS = 2
MIB = 1 << 20
#: Limits of one qemu-img: processor time in seconds, address space, size of a file that it writes.
LIMITS = ["prlimit", "--cpu=20", f"--as={2048 * MIB}", f"--fsize={256 * MIB}"]
#: Largest disk that is converted.
LARGEST_DISK = 64 * MIB
SECRET = noise(64 * 1024, "the content of the canary")
LENIENT = Formats(require_image_format_match=False)
OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]*)"')
#: The C library counts processors when threads contend.
PROCESSORS = "/sys/devices/system/cpu/"
NAMES_OF_FILES = frozenset({"backing-filename", "full-backing-filename", "data-file", "backing-filename-format"})


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What qemu-img writes, by name."""
    missing = [name for name in ("qemu-img", "strace", "prlimit") if shutil.which(name) is None]
    if missing:
        unavailable(f"{', '.join(missing)} not found: install {PACKAGES}")
    return write_all(tmp_path_factory.mktemp("seeds"))


def refusal(image: bytes, disk_format: str, formats: Formats) -> str | None:
    """Why the image is refused; None if it is let in."""
    inspection = Inspection(disk_format, "bare", formats)
    for start in range(0, len(image), MIB):
        inspection.feed(image[start : start + MIB])
    try:
        inspection.finish(len(image))
    except UnsupportedContent as exc:
        return str(exc)
    return None


def let_in(image: bytes, disk_format: str) -> bool:
    """Whether any way of the three lets it in: as itself, as raw, and where mismatches may pass."""
    tries = ((disk_format, Formats()), ("raw", Formats()), ("own", LENIENT))
    return any(refusal(image, name, formats) is None for name, formats in tries)


@dataclass
class Oracle:
    """A directory with an image and a canary, and qemu-img at work in it."""

    place: Path
    formats: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    converted: int = 0

    def __post_init__(self) -> None:
        self.place.mkdir()
        (self.place / CANARY).write_bytes(SECRET)
        self._image = self.place / "image"
        self._image.write_bytes(bytes(MIB))
        #: what qemu-img opens of the system, whatever the image is
        self._usual: set[str] = set()
        self._usual = self._qemu_img("info", "--output=json", "image")[1]

    def _qemu_img(self, *arguments: str) -> tuple[subprocess.CompletedProcess[bytes], set[str]]:
        """Run it and return how it ended, and the paths that it tried to open beyond the usual ones."""
        trace = self.place / "trace"
        command = [*LIMITS, "strace", "-f", "--seccomp-bpf", "-e", "trace=open,openat", "-o", "trace", "qemu-img"]
        ended = subprocess.run([*command, *arguments], cwd=self.place, capture_output=True, check=False, timeout=120)
        opened = set(OPENED.findall(trace.read_text(errors="replace")))
        return ended, {path for path in opened - self._usual if not path.startswith(PROCESSORS)}

    def look_at(self, name: str, image: bytes, *told: str) -> None:
        """Let qemu-img say what the image is, and convert it; note every fault. ``told`` is what it is told."""
        self._image.write_bytes(image)
        info, opened = self._qemu_img("info", *told, "--output=json", "image")
        self._check(f"info of {name}", image, info, opened - {"image"})
        if info.returncode != 0:
            self.formats["not opened"] += 1
            return
        found: dict[str, Any] = json.loads(info.stdout)
        self.formats[found["format"]] += 1
        if named := list(_named(found)):
            self._fault(f"info of {name} names {named}", image)
        if found["virtual-size"] > LARGEST_DISK:
            return
        output = self.place / "output"
        output.unlink(missing_ok=True)
        convert, opened = self._qemu_img("convert", *told, "-O", "raw", "image", "output")
        self._check(f"convert of {name}", image, convert, opened - {"image", "output"})
        self.converted += convert.returncode == 0
        if output.exists() and SECRET[:64] in output.read_bytes():
            self._fault(f"convert of {name} copies the canary", image)

    def _check(self, what: str, image: bytes, ended: subprocess.CompletedProcess[bytes], opened: set[str]) -> None:
        said = ended.stderr.decode(errors="replace")
        if opened:
            self._fault(f"{what} opens {sorted(opened)}", image)
        if CANARY in said:
            self._fault(f"{what} speaks of another file: {said}", image)
        if ended.returncode < 0 or ended.returncode >= 128:
            self._fault(f"{what} ends by a signal ({ended.returncode}): {said}", image)
        if "allocate" in said.lower():
            self._fault(f"{what} allocates beyond its limit: {said}", image)

    def _fault(self, what: str, image: bytes) -> None:
        number = len(self.faults)
        (self.place / f"fault-{number}").write_bytes(image)
        self.faults.append(f"{what} [{self.place / f'fault-{number}'}]")


def _named(told: Any) -> Iterator[str]:
    """Every other file that stands in what qemu-img says about an image."""
    if isinstance(told, dict):
        for key, value in told.items():
            if key in NAMES_OF_FILES or (key == "filename" and value != "image"):
                yield f"{key}={value}"
            yield from _named(value)
    elif isinstance(told, list):
        for value in told:
            yield from _named(value)


def test_what_qemu_writes_into_one_file_is_let_in_and_all_else_is_not(seeds: dict[str, bytes]) -> None:
    for name, (_, _, disk_format) in STAND_ALONE.items():
        if disk_format is None:
            assert not let_in(seeds[name], "vmdk"), name
        else:
            assert refusal(seeds[name], disk_format, Formats()) is None, name
    for name in ("qcow2-snapshot", "qcow2-encrypted"):
        assert refusal(seeds[name], "qcow2", Formats()) is None, name
    assert refusal(seeds["luks-encrypted"], "raw", Formats()) is None
    for name, image in seeds.items():
        if "backed" in name or name == "qcow2-data-file":
            assert not let_in(image, name.split("-")[0]), name


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.followed])
def test_the_oracle_sees_that_qemu_follows_an_attack(seeds: dict[str, bytes], tmp_path: Path, name: str) -> None:
    """What is refused is refused for a reason, and the oracle would not miss it."""
    oracle = Oracle(tmp_path / "place")
    oracle.look_at(name, ATTACKS[name].build())
    assert oracle.faults


@pytest.mark.timeout(120)
def test_the_oracle_sees_that_qemu_follows_a_text_that_it_is_told_to_be_a_vmdk(
    seeds: dict[str, bytes], tmp_path: Path
) -> None:
    oracle = Oracle(tmp_path / "place")
    oracle.look_at("text", descriptor_when_told(), "-f", "vmdk")
    assert oracle.faults


@pytest.mark.timeout(900)
def test_nothing_that_is_let_in_names_opens_or_needs_another_file(
    seeds: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = {"told": descriptor_when_told()} | {
        sample.name: sample.build() for sample in (*VALID.values(), *HOSTILE.values())
    }
    attacks = {name: attack.build() for name, attack in ATTACKS.items()}
    everything = {**{f"qemu {name}": image for name, image in seeds.items()}, **built, **attacks}
    harmless = {
        name: everything[name] for name in (*VALID, *(f"qemu {name}" for name, of in STAND_ALONE.items() if of[2]))
    }
    own = {sample.name: sample.disk_format for sample in (*VALID.values(), *HOSTILE.values())}
    oracles = [Oracle(tmp_path / f"place-{number}") for number in range(WORKERS)]

    def work(number: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        for index, (name, image) in enumerate(cases()):
            if index % WORKERS != number:
                continue
            if let_in(image, own.get(name, name.removeprefix("qemu ").split("-")[0])):
                counts["let in"] += 1
                oracles[number].look_at(name, image)
            else:
                counts["refused"] += 1
            if is_described(image) and refusal(image, "vmdk", LENIENT) is None:
                counts["let in as vmdk"] += 1
                oracles[number].look_at(f"{name}, told to be a VMDK", image, "-f", "vmdk")
        return counts

    def cases() -> Iterator[tuple[str, bytes]]:
        yield from everything.items()
        yield from mutated(everything, CASES, SEED)
        yield from mutated(harmless, CASES, SEED)

    with ThreadPoolExecutor(WORKERS) as pool:
        counts = sum(pool.map(work, range(WORKERS)), Counter[str]())
    formats = sum((oracle.formats for oracle in oracles), Counter[str]())
    faults = [fault for oracle in oracles for fault in oracle.faults]
    with capsys.disabled():
        print(
            f"\nimages shown to inspection: {counts['let in'] + counts['refused']};"
            f" let in: {counts['let in']}; refused: {counts['refused']};"
            f" let in as VMDK where mismatches may pass: {counts['let in as vmdk']}"
            f"\nlet in, as qemu-img takes them: {dict(formats.most_common())};"
            f" converted: {sum(oracle.converted for oracle in oracles)}; faults: {len(faults)}"
        )
    assert not faults, "\n".join(faults[:20])
    assert counts["let in"] > CASES // 10
    assert formats.keys() >= {"raw", "qcow2", "vmdk", "vpc", "vdi", "vhdx"}
