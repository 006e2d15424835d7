"""What the servers of a model counted in a window, and the rows of its training, from the Prometheus API."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from kfp_edge.drift.counts import MISSING, UNSEEN, Bins, Kind, Reference, SiteCounts, Variable, WindowCounts
from kfp_edge.drift.families import BUCKET, CLASSES, COUNTED, MISSING_VALUES, REFERENCES, UNKNOWN_CATEGORIES, Family
from kfp_edge.drift.increases import Key, Times, format_seconds, match, match_any, read_increases
from kfp_edge.errors import MetricsError, ParameterError
from kfp_edge.ml.arrays import Float64s, Int64s
from kfp_edge.ml.bundle import Histogram
from kfp_edge.ml.bundle import Reference as BundleReference
from kfp_edge.prometheus import Prometheus
from kfp_edge.suggestions import suggest_or

#: Parts of a window: of a week, four for each day.
PARTS = 28
#: What names a site where no other label does; without it, all servers are those of one site.
SITE_LABEL = "site"
#: Windows before it that show how much windows differ without drift.
EARLIER_WINDOWS = 8
#: Sites in one query.
_SITES_AT_A_TIME = 50
_BELOW, _ABOVE = "below training", "above training"


@dataclass(frozen=True)
class _SiteVersion:
    site: str
    ring: str
    version: str


class DriftMetrics:
    """The metrics of one model."""

    def __init__(self, prometheus: Prometheus, model: str, site_label: str = SITE_LABEL) -> None:
        """Prepare queries; nothing is sent.

        Args:
            prometheus: Where the metrics are.
            model: The name of the model.
            site_label: The label that names the site of a series.
        """
        self._prometheus = prometheus
        self._model = model
        self._site_label = site_label

    def find_versions(self, start: datetime, end: datetime) -> tuple[str, ...]:
        """Return the versions that are in use at the end of a window.

        Raises:
            MetricsError: no server reported the model, or the metrics cannot be read.
            ParameterError: the metrics do not have the label that names the site.
        """
        times = Times(start, end, PARTS)
        site_versions = self._find_site_versions(times)
        if site_versions and self._site_label != SITE_LABEL and not any(each.site for each in site_versions):
            raise ParameterError(
                f"site_label is {self._site_label!r}, and no server of the model {self._model} has a label of that "
                f"name; the usual one is {SITE_LABEL}."
            )
        if not site_versions:
            raise MetricsError(
                f"no server reported the model {self._model} between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} "
                f"UTC; {self._suggest_other(end)}"
            )
        current = self._find_site_versions(Times(times.end_of(PARTS - 1), end, 1))
        return tuple(sorted({each.version for each in current or site_versions}))

    def read_reference(self, version: str, start: datetime, end: datetime) -> Reference | None:
        """Return the training of a version, as its servers publish it; None if they do not.

        Raises:
            MetricsError: the metrics cannot be read.
        """
        counts: dict[Variable, dict[str, int]] = defaultdict(dict)
        missing: dict[Variable, int] = {}
        numeric = set()
        for family, name in REFERENCES.items():
            selector = f"{name}{{{match('model', self._model)}, {match('version', version)}}}"
            by = f"max by ({', '.join(family.labels)})"
            for sample in self._prometheus.query(f"{by} (last_over_time({selector}[{_range(start, end)}]))", end):
                labels = dict(sample.labels)
                variable = family.variable_of(labels)
                if family is MISSING_VALUES:
                    missing[variable] = round(sample.value)
                    continue
                counts[variable][family.bin_of(labels)] = round(sample.value)
                if family.bin == BUCKET:
                    numeric.add(variable)
        if not counts:
            return None
        variables = {
            variable: _numeric_bins(by_bin, missing.get(variable, 0))
            if variable in numeric
            else _category_bins(by_bin, missing.get(variable, 0))
            for variable, by_bin in counts.items()
        }
        return Reference(version, dict(sorted(variables.items())))

    def read_window(self, references: Mapping[str, Reference], start: datetime, end: datetime) -> WindowCounts:
        """Return what the servers with these versions counted between two times, in parts.

        Raises:
            MetricsError: the metrics cannot be read.
        """
        return self._read(references, Times(start, end, PARTS), is_exact=True)

    def read_history(self, references: Mapping[str, Reference], start: datetime, end: datetime) -> WindowCounts:
        """Return what they counted in the windows before the one between two times, each of which is a part.

        Rows near the start and the end of a server are left out.

        Raises:
            MetricsError: the metrics cannot be read.
        """
        times = Times(start - EARLIER_WINDOWS * (end - start), start, EARLIER_WINDOWS)
        return self._read(references, times, is_exact=False)

    def _read(self, references: Mapping[str, Reference], times: Times, *, is_exact: bool) -> WindowCounts:
        site_versions = [each for each in self._find_site_versions(times) if each.version in references]
        names = sorted({each.site for each in site_versions})
        sites = []
        for first in range(0, len(names), _SITES_AT_A_TIME):
            chunk = names[first : first + _SITES_AT_A_TIME]
            counted = self._read_sites(chunk, references, times, is_exact)
            sites += [
                SiteCounts(each.site, each.ring, each.version, counted[each.site, each.version])
                for each in site_versions
                if each.site in chunk and (each.site, each.version) in counted
            ]
        return WindowCounts(times.start, times.end, tuple(sites))

    def _find_site_versions(self, times: Times) -> list[_SiteVersion]:
        by = f"group by ({self._site_label}, ring, version)"
        seen = f"last_over_time(kfp_edge_model_info{{{match('model', self._model)}}}[{_range(times.start, times.end)}])"
        rings: dict[tuple[str, str], str] = {}
        for sample in self._prometheus.query(f"{by} ({seen})", times.end):
            key = sample.labels.get(self._site_label, ""), sample.labels.get("version", "")
            rings[key] = max(rings.get(key, ""), sample.labels.get("ring", ""))
        return [_SiteVersion(site, ring, version) for (site, version), ring in sorted(rings.items())]

    def _suggest_other(self, end: datetime) -> str:
        """Return what to do where nothing was found: another model, another window or another server."""
        samples = self._prometheus.query("group by (model) (kfp_edge_model_info)", end)
        models = sorted({sample.labels.get("model", "") for sample in samples})
        if self._model in models:
            return "it has been there for a few minutes only: wait, or shorten drift_window."
        if not models:
            return (
                "Prometheus has no model at that time: check the parameters prometheus, drift_window and drift_until."
            )
        known = f"Prometheus has {', '.join(models)}: check model_name."
        return suggest_or(self._model, models, known)

    def _read_sites(
        self, sites: Sequence[str], references: Mapping[str, Reference], times: Times, is_exact: bool
    ) -> dict[tuple[str, str], dict[Variable, Int64s]]:
        matchers = f"{match('model', self._model)}, {match_any(self._site_label, sites)}"
        parts: dict[tuple[str, str], dict[Variable, Int64s]] = defaultdict(dict)
        for family in COUNTED:
            counters = read_increases(self._prometheus, family, matchers, times, is_exact=is_exact)
            for server, increases in counters.items():
                labels = dict(server)
                site, version = labels.get(self._site_label, ""), labels.get("version", "")
                if version not in references:
                    continue
                for variable, rows in _by_variable(family, increases).items():
                    bins = references[version].variables.get(variable)
                    if bins is not None:
                        counted = _count_bins(family, rows, bins, f"{site or 'a site'}: {variable}")
                        before = parts[site, version].get(variable)
                        parts[site, version][variable] = counted if before is None else before + counted
        return dict(parts)


def bundle_reference(reference: BundleReference, version: str) -> Reference:
    """Return the training of a version as its bundle has it."""
    variables = {
        Variable(Kind.FEATURE, name): _histogram_bins(each)
        if isinstance(each, Histogram)
        else _category_bins(each.counts, each.missing)
        for name, each in reference.features.items()
    }
    if reference.outputs is not None:
        for name, histogram in reference.outputs.values.items():
            variables[Variable(Kind.OUTPUT, name)] = _histogram_bins(histogram)
        if reference.outputs.classes:
            variables[CLASSES.variable_of({})] = _category_bins(reference.outputs.classes, 0)
    return Reference(version, dict(sorted(variables.items())))


def _histogram_bins(histogram: Histogram) -> Bins:
    # none of the values of training is below or above the edges
    counts = [0, *histogram.counts, 0] if histogram.edges else [0]
    labels = _label_ranges(histogram.edges)
    return Bins((*labels, MISSING), np.array([*counts, histogram.missing], np.int64), True)


def _numeric_bins(by_bound: Mapping[str, int], missing: int) -> Bins:
    bounds = sorted(by_bound, key=float)
    counts = np.diff([by_bound[bound] for bound in bounds], prepend=0)
    labels = _label_ranges([float(bound) for bound in bounds[:-1]])
    return Bins((*labels, MISSING), np.array([*counts, missing], np.int64), True)


def _category_bins(counts: Mapping[str, int], missing: int) -> Bins:
    names = sorted(counts)
    return Bins((*names, UNSEEN, MISSING), np.array([*(counts[name] for name in names), 0, missing], np.int64), False)


def _label_ranges(bounds: Sequence[float]) -> Iterator[str]:
    """Yield a text for each range between bounds, for that below and that above all of them."""
    if not bounds:
        yield "any number"
        return
    texts = _write_bounds(bounds)
    yield _BELOW
    yield from (low if low == high else f"{low} to {high}" for low, high in pairwise(texts))
    yield _ABOVE


def _write_bounds(bounds: Sequence[float]) -> list[str]:
    """Return bounds with as few digits as tell them apart, at least four."""
    for digits in range(4, 18):
        rounded = [float(f"{bound:.{digits}g}") for bound in bounds]
        if len(set(rounded)) == len(set(bounds)):
            break
    return [f"{bound:.{max(digits, 6)}g}" for bound in rounded]


def _by_variable(family: Family, increases: Mapping[Key, Float64s]) -> dict[Variable, dict[str, Float64s]]:
    """Return the increases by variable and bin."""
    variables: dict[Variable, dict[str, Float64s]] = defaultdict(dict)
    for key, rows in increases.items():
        labels = dict(zip(family.labels, key, strict=True))
        variables[family.variable_of(labels)][labels.get(family.bin, "")] = rows
    return variables


def _count_bins(family: Family, rows: Mapping[str, Float64s], bins: Bins, where: str) -> Int64s:
    """Return rows of shape [parts, bins] in the bins of training."""
    counted = np.zeros((len(next(iter(rows.values()))), len(bins.labels)))
    if not family.bin:
        counted[:, -2 if family is UNKNOWN_CATEGORIES else -1] = rows[""]
    elif family.bin == BUCKET:
        bounds = sorted(rows, key=float)
        if len(bounds) != len(bins.labels) - 1:
            raise MetricsError(
                f"{where} is counted in {len(bounds)} bins, and its training in {len(bins.labels) - 1}; give the "
                "bundle of the version that is served."
            )
        cumulative = np.stack([rows[bound] for bound in bounds], axis=1)
        counted[:, :-1] = np.diff(cumulative, axis=1, prepend=0)
    else:
        columns = {label: index for index, label in enumerate(bins.labels[:-2])}
        for name, increases in rows.items():
            counted[:, columns.get(name, len(bins.labels) - 2)] += increases
    return np.maximum(counted, 0).round().astype(np.int64)


def _range(start: datetime, end: datetime) -> str:
    """Return a period of PromQL, in steps within which every series has a sample."""
    step = max(1.0, min(300.0, (end - start).total_seconds() / PARTS))
    return f"{format_seconds(end - start)}:{round(step)}s"
