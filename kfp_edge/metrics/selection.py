"""Which metrics of a run are shown at a glance."""

from collections.abc import Mapping

from kfp_edge.metrics.catalog import find_metric, is_over_folds

#: Metrics of single classes are shown for so many classes.
_MAX_CLASSES = 2


def select_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics to show at a glance, sorted by name; the reports list the others.

    These are metrics over folds, and of many classes those of single ones.
    """
    of_classes = {name for name in metrics if (metric := find_metric(name)) is not None and metric.name != name}
    classes = {name.partition("(")[2] for name in of_classes}
    omitted = {name for name in metrics if is_over_folds(name)}
    omitted |= of_classes if len(classes) > _MAX_CLASSES else set()
    return {name: value for name, value in sorted(metrics.items()) if name not in omitted}
