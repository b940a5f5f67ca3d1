"""Medians of the store benchmark, as a table and as JSON."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

GIB = 1 << 30
MIB = 1 << 20
#: What is measured: two services, a plain client, and the same when it also computes the digests of an upload.
GLIMPSE, GLANCE, PLAIN, DIGESTS = _TARGETS = ("Glimpse", "Glance", "plain", "with digests")
#: Glimpse's goals: times Glance's speed, unless this part of the plain client's speed is reached; MiB above idle for a
#: transfer, and for each further stream of a parallel download.
TIMES_AS_FAST, OF_LIMIT = 1.5, 0.8
MEMORY, MEMORY_OF_STREAM = 64, 16


@dataclass(frozen=True)
class Figure:
    """One transfer. ``memory`` is the peak of the server above idle in bytes, None for a plain client."""

    backend: str
    way: str
    target: str
    round: int
    bytes: int
    seconds: float
    cpu: float
    memory: int | None = None

    @property
    def rate(self) -> float:
        """MiB per second."""
        return self.bytes / MIB / self.seconds

    @property
    def cost(self) -> float:
        """CPU seconds per GiB."""
        return self.cpu / (self.bytes / GIB)


@dataclass(frozen=True)
class Median:
    """Median of some rounds, with the lowest and the highest value."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Median | None:
        """Return the median, None without values."""
        return cls(statistics.median(values), min(values), max(values)) if values else None


class Report:
    """All figures of a run. ``remarks`` say why a service has no figure for a way."""

    def __init__(self, streams: int) -> None:
        self.figures: list[Figure] = []
        self.remarks: dict[tuple[str, str, str], str] = {}
        self._streams = streams

    def table(self, backend: str) -> str:
        """Return the table of one backend."""
        ways = list(dict.fromkeys(figure.way for figure in self.figures if figure.backend == backend))
        head = f"{backend:<17}{'MiB/s':^56}{'':7}{'CPU s per GiB':^42}{'MiB above idle':^17}"
        names = f"{'':<17}" + "".join(f"{name:>14}" for name in _TARGETS) + f"{'ratio':>7}"
        names += "".join(f"{name:>14}" for name in _TARGETS[:3])
        names += f"{GLIMPSE:>9}{GLANCE:>8}  goals missed"
        lines = [head, names]
        lines += [self._line(backend, way) for way in ways]
        remarks = [
            f"  {target}, {way}: {text}" for (where, way, target), text in self.remarks.items() if where == backend
        ]
        return "\n".join(lines + remarks)

    def save(self, path: Path, **about: object) -> None:
        """Write all figures, and what is known ``about`` the run."""
        remarks = [
            {"backend": backend, "way": way, "target": target, "remark": text}
            for (backend, way, target), text in self.remarks.items()
        ]
        document = {**about, "figures": list(map(asdict, self.figures)), "remarks": remarks}
        path.write_text(json.dumps(document, indent=1) + "\n")

    def _line(self, backend: str, way: str) -> str:
        rates = {name: self._median(backend, way, name, "rate") for name in _TARGETS}
        costs = {name: self._median(backend, way, name, "cost") for name in _TARGETS[:3]}
        memory = {name: self._memory(backend, way, name) for name in _TARGETS[:2]}
        ours, theirs = rates[GLIMPSE], rates[GLANCE]
        text = f"{way:<17}" + "".join(f"{_text(rate, 0):>14}" for rate in rates.values())
        text += f"{f'{ours.middle / theirs.middle:.2f}' if ours and theirs else '-':>7}"
        text += "".join(f"{_text(cost, 2):>14}" for cost in costs.values())
        for used, width in zip(memory.values(), (9, 8), strict=True):
            text += f"{'-' if used is None else f'{used:.0f}':>{width}}"
        return f"{text}  {', '.join(self._missed(way, rates, costs, memory[GLIMPSE])) or 'none'}"

    def _missed(
        self, way: str, rates: dict[str, Median | None], costs: dict[str, Median | None], memory: float | None
    ) -> list[str]:
        missed: list[str] = []
        ours, theirs, limit = rates[GLIMPSE], rates[GLANCE], rates[DIGESTS] or rates[PLAIN]
        if ours and theirs and ours.middle < TIMES_AS_FAST * theirs.middle:
            share = ours.middle / limit.middle if limit else 0
            if share < OF_LIMIT:
                missed.append(f"speed ({share:.0%} of the plain client's)")
        cost, other = costs[GLIMPSE], costs[GLANCE]
        if cost and other and cost.middle > other.middle:
            missed.append("CPU")
        allowed = MEMORY + (MEMORY_OF_STREAM * (self._streams - 1) if way == "ranges" else 0)
        if memory is not None and memory > allowed:
            missed.append("memory")
        return missed

    def _median(self, backend: str, way: str, target: str, name: str) -> Median | None:
        return Median.of([float(getattr(figure, name)) for figure in self._of(backend, way, target)])

    def _memory(self, backend: str, way: str, target: str) -> float | None:
        found = [figure.memory / MIB for figure in self._of(backend, way, target) if figure.memory is not None]
        return max(found, default=None)

    def _of(self, backend: str, way: str, target: str) -> list[Figure]:
        return [one for one in self.figures if (one.backend, one.way, one.target) == (backend, way, target)]


def _text(median: Median | None, digits: int) -> str:
    if median is None:
        return "-"
    spread = max(median.high - median.middle, median.middle - median.low)
    return f"{median.middle:.{digits}f} ±{spread / (median.middle or 1):.0%}"
