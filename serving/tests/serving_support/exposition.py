"""A strict reader of Prometheus' text format 0.0.4: it takes nothing that a scraper might read in another way."""

import re
from dataclasses import dataclass, field
from itertools import pairwise

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_UNESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    """One metric: `samples` by suffix of the name and labels."""

    kind: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


class Exposition:
    """All metrics of one scrape."""

    def __init__(self, text: str) -> None:
        """Read them; anything odd is an AssertionError."""
        self.families: dict[str, Family] = {}
        assert text.endswith("\n")
        name = ""
        lines = iter(text.removesuffix("\n").split("\n"))
        for line in lines:
            if line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                assert name not in self.families
                assert re.fullmatch(_NAME, name)
                kind = next(lines).removeprefix(f"# TYPE {name} ")
                assert kind in ("counter", "gauge", "histogram")
                assert name.endswith("_total") == (kind == "counter")
                self.families[name] = Family(kind)
            else:
                self._sample(name, line)
        for family in self.families.values():
            if family.kind == "histogram":
                _check_histogram(family)

    def value(self, name: str, suffix: str = "", **labels: str) -> float:
        """Return the value of the one series of a metric that has these labels, `class_` being `class`."""
        wanted = {(key.removesuffix("_"), value) for key, value in labels.items()}
        family = self.families[name]
        (value,) = [sample for (end, own), sample in family.samples.items() if end == suffix and wanted <= own]
        return value

    def values(self, name: str, label: str, suffix: str = "", **labels: str) -> dict[str, float]:
        """Return the values of all series of a metric that have these labels, by one more label."""
        wanted = set(labels.items())
        samples = self.families[name].samples.items()
        return {dict(own)[label]: value for (end, own), value in samples if end == suffix and wanted <= own}

    def counted(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return those of `values` that are not 0."""
        return {key: value for key, value in self.values(name, label, **labels).items() if value}

    def _sample(self, name: str, line: str) -> None:
        matched = _SAMPLE.fullmatch(line)
        assert matched, line
        family = self.families[name]
        suffix = matched[1].removeprefix(name)
        assert suffix in (("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)), line
        key = suffix, _labels(matched[2] or "")
        assert key not in family.samples, line
        value = float(matched[3])
        assert value >= 0 or family.kind != "counter"
        family.samples[key] = value


def _labels(text: str) -> Labels:
    labels: dict[str, str] = {}
    position = 0
    while position < len(text):
        matched = _LABEL.match(text, position)
        assert matched, text
        assert matched[1] not in labels, text
        labels[matched[1]] = re.sub(r"\\.", lambda escaped: _UNESCAPED[escaped[0]], matched[2])
        position = matched.end()
    return frozenset(labels.items())


def _check_histogram(family: Family) -> None:
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (suffix, labels), value in family.samples.items():
        if suffix == "_bucket":
            (bound,) = [text for key, text in labels if key == "le"]
            series.setdefault(labels - {("le", bound)}, []).append((float(bound), value))
    assert {("_count", labels) for labels in series} == {key for key in family.samples if key[0] == "_count"}
    assert {key for key in family.samples if key[0] == "_sum"} <= {("_sum", labels) for labels in series}
    for labels, buckets in series.items():
        assert all(low < high and fewer <= more for (low, fewer), (high, more) in pairwise(buckets))
        assert buckets[-1] == (float("inf"), family.samples["_count", labels])
