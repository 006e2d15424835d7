"""Which metrics of a run commands print."""

from collections.abc import Mapping

from kfp_edge.metrics.catalog import find_metric

#: Metrics of single classes are printed for so many classes.
_MAX_CLASSES = 2


def select_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics to print, sorted by name; of many classes without those of single ones, which reports list."""
    of_classes = {name for name in metrics if (metric := find_metric(name)) is not None and metric.name != name}
    classes = {name.partition("(")[2] for name in of_classes}
    omitted = of_classes if len(classes) > _MAX_CLASSES else set()
    return {name: value for name, value in sorted(metrics.items()) if name not in omitted}
