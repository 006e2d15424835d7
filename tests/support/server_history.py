"""The past of sites, from what real servers exposed at two moments."""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_MINUTE = 60.0


@dataclass(frozen=True)
class Past:
    """Series of one site from some hours ago until now, or until it was no longer seen.

    Attributes:
        labels: Those that its collector adds.
        before: What was exposed at the beginning.
        after: What was exposed at the end; in between, values are on a straight line.
        hours: The beginning and the end, in hours before now.
        step: Minutes from one sample to the next.
    """

    labels: Mapping[str, str]
    before: str
    after: str
    hours: tuple[float, float] = (2, 0)
    step: float = 2
    more: Mapping[str, float] = field(default_factory=dict)

    def samples(self, now: float) -> Iterator[tuple[str, str]]:
        """Yield lines of the text format, with the names of their metrics; those of a series in the order of time."""
        begin, end = (now - hours * 3600 for hours in self.hours)
        first = dict(_read(self.before))
        count = int((end - begin) / (self.step * _MINUTE))
        for (name, labels), value in [*_read(self.after), *(((name, ""), value) for name, value in self.more.items())]:
            start = first.get((name, labels), value)
            text = ",".join(filter(None, (labels, *(f'{key}="{text}"' for key, text in self.labels.items()))))
            for number in range(count + 1):
                part = number / count
                at = begin + part * (end - begin)
                yield name, f"{name}{{{text}}} {start + part * (value - start)} {at:.3f}"


def _read(exposition: str) -> list[tuple[tuple[str, str], float]]:
    return [((name, labels), float(value)) for name, labels, value in _SAMPLE.findall(exposition)]


def write_blocks(folder: Path, pasts: Iterable[Past], now: float) -> None:
    """Write the pasts into the storage of a Prometheus, `folder`/data."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {}
    for past in pasts:
        for name, line in past.samples(now):
            lines.setdefault(name, []).append(line)
    (folder / "history").write_text("\n".join([*(line for each in lines.values() for line in each), "# EOF\n"]))
    create = ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "history", folder / "data"]
    subprocess.run(create, check=True, capture_output=True)
