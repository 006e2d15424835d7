"""The metric that a search optimizes."""

from kfp_edge.errors import ParameterError
from kfp_edge.metrics.catalog import METRICS, Direction, Metric, find_metric
from kfp_edge.metrics.gates import list_tasks
from kfp_edge.suggestions import suggest_or


def check_tuning_metric(name: str, task: str) -> None:
    """Refuse a metric that no search can optimize.

    Args:
        name: The metric, such as `average_precision` or `recall(Fail)`.
        task: The task; "" where it is not known.

    Raises:
        ParameterError: there is no such metric, another task has it, or neither more nor less of it is better.
    """
    metric = find_metric(name)
    known = sorted(each.name for each in METRICS.values() if task in ("", *each.tasks) and can_be_optimized(each))
    if metric is None or metric.name not in known:
        hint = suggest_or(name, known, f"choose one of {', '.join(known)}.")
        reason = "which is no metric" if metric is None else _explain(metric, task)
        raise ParameterError(f"tune_metric is {name!r}, {reason}; {hint}")


def is_lower_better(name: str) -> bool:
    """Return whether a search minimizes a metric."""
    metric = find_metric(name)
    return metric is not None and metric.direction is Direction.LOWER


def can_be_optimized(metric: Metric) -> bool:
    """Return whether more or less of a metric makes a better model."""
    return metric.has_mean and not metric.has_gates_both_ways


def _explain(metric: Metric, task: str) -> str:
    if not can_be_optimized(metric):
        return "of which neither more nor less makes a better model"
    return f"which is measured for {list_tasks(metric.tasks)} only, and the task is {task}"
