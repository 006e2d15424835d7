"""The reference of a model as constant series, with which Prometheus measures drift without its bundle."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from kfp_edge_serving.models.bundle import LoadedBundle
from kfp_edge_serving.models.reference import ValueReference
from kfp_edge_serving.telemetry.bin_counts import BinCounts
from kfp_edge_serving.telemetry.series import HistogramSeries, format_labels
from kfp_edge_serving.telemetry.value_counts import CategoryCounts, FeatureCounts, OutputCounts

#: Name, type and help of each metric.
REFERENCE_FAMILIES = (
    ("input_feature_reference", "histogram", "Training rows with values of a feature, in the bins of training."),
    ("input_feature_bin", "histogram", "One value in each bin: the buckets of a feature have the numbers 1, 2, 3, ..."),
    ("input_category_reference", "gauge", "Training rows with a category of a feature."),
    ("input_missing_reference", "gauge", "Training rows in which a feature is missing."),
    ("output_value_reference", "histogram", "Held-out rows with answered numbers, in the bins of their deciles."),
    ("output_value_bin", "histogram", "One value in each bin: the buckets of an output have the numbers 1, 2, 3, ..."),
    ("output_class_reference", "gauge", "Held-out rows answered with a class."),
)


def format_reference(
    bundle: LoadedBundle,
    features: Iterable[FeatureCounts | CategoryCounts],
    outputs: Iterable[OutputCounts],
    classes: Iterable[str],
) -> dict[str, list[str]]:
    """Return the constant lines of a model by the names of their metrics.

    Args:
        bundle: The bundle of the model.
        features: How the values of each column are counted.
        outputs: How its numbers are counted.
        classes: The classes that it can predict.
    """
    lines: dict[str, list[str]] = {name: [] for name, _, _ in REFERENCE_FAMILIES}
    model = {"model": bundle.name, "version": bundle.version}
    for feature in features:
        column, reference = feature.column, feature.column.reference
        labels = {**model, "feature": column.name}
        if isinstance(feature, FeatureCounts):
            bins = feature.bins
            lines["input_feature_reference"] += _format_histogram("input_feature_reference", labels, bins, reference)
            lines["input_feature_bin"] += _format_numbers("input_feature_bin", labels, bins, reference)
        elif reference.missing is not None:
            counts = _complete(reference.frequencies, column.categories or ())
            lines["input_category_reference"] += _format_gauges("input_category_reference", labels, "category", counts)
        if reference.missing is not None:
            lines["input_missing_reference"].append(
                f"kfp_edge_input_missing_reference{format_labels(labels)} {reference.missing}"
            )
    for output in outputs:
        labels, bins = {**model, "output": output.name}, output.bins
        reference = bundle.reference.values[output.name]
        lines["output_value_reference"] += _format_histogram("output_value_reference", labels, bins, reference)
        lines["output_value_bin"] += _format_numbers("output_value_bin", labels, bins, reference)
    if bundle.reference.classes:
        counts = _complete(bundle.reference.classes, classes)
        lines["output_class_reference"] += _format_gauges("output_class_reference", model, "class", counts)
    return lines


def _complete(counts: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    """Return counts with 0 for names that they lack; the empty name is a missing value."""
    return {name: counts.get(name, 0) for name in sorted({*counts, *names} - {""})}


def _format_histogram(name: str, labels: Mapping[str, str], bins: BinCounts, reference: ValueReference) -> list[str]:
    if not reference.counts:
        return []
    # none of the values is below the first edge
    up_to_edge = np.cumsum((0, *reference.counts))
    series = HistogramSeries(f"kfp_edge_{name}", labels, bins.upper_bounds)
    return series.lines([*up_to_edge[bins.is_used].tolist(), int(up_to_edge[-1])])


def _format_numbers(name: str, labels: Mapping[str, str], bins: BinCounts, reference: ValueReference) -> list[str]:
    if not reference.counts:
        return []
    return HistogramSeries(f"kfp_edge_{name}", labels, bins.upper_bounds).lines(range(1, len(bins.cumulative) + 1))


def _format_gauges(name: str, labels: Mapping[str, str], label: str, counts: Mapping[str, int]) -> Iterator[str]:
    for value, count in counts.items():
        yield f"kfp_edge_{name}{format_labels({**labels, label: value})} {count}"
