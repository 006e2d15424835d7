"""Quality gates: the limits that metrics on held-out rows must reach, and the comparison with the champion.

A gate names any metric of `kfp_edge.ml.metrics`; a new gate metric is a new metric there.
"""

from collections.abc import Iterable, Mapping

from kfp_edge.errors import ParameterError
from kfp_edge.reports.check import Check
from kfp_edge.reports.html import format_number


def check_gates(metrics: Mapping[str, float], required: Mapping[str, float]) -> list[Check]:
    """Require every named metric to reach its minimum.

    Raises:
        ParameterError: a gate names a metric that was not measured.
    """
    for name in required:
        if name not in metrics:
            raise ParameterError(
                f"the gate {name!r} names a metric that was not measured; "
                f"name one of {', '.join(sorted(metrics))}, or give ingest the labels it needs."
            )
    return [
        Check(f"gate {name}", metrics[name] >= minimum, format_number(metrics[name]), f"at least {minimum:g}")
        for name, minimum in sorted(required.items())
    ]


def check_champion(
    metrics: Mapping[str, float], champion: Mapping[str, float], names: Iterable[str], margin: float
) -> list[Check]:
    """Require the challenger to be no more than `margin` below the champion, on the same rows, in each named metric."""
    return [
        Check(
            f"champion {name}",
            metrics[name] >= champion[name] - margin,
            format_number(metrics[name]),
            f"at least {format_number(champion[name])} of the champion, less {margin:g}",
        )
        for name in names
    ]


def select_champion_metrics(required: Mapping[str, float], metrics: Mapping[str, float]) -> list[str]:
    """Return the metrics to compare with the champion's: those that have gates.

    Without gates it is how well the model ranks, or how rarely it raises a false alarm.
    """
    if required:
        return sorted(required)
    ranking = next((name for name in ("roc_auc", "specificity") if name in metrics), None)
    return [ranking] if ranking else []
