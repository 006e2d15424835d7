"""How many true values lie between the predicted quantiles: as many as were asked for, and as were measured."""

from collections.abc import Mapping, Sequence

from kfp_edge.metrics.measurement import Measurement
from kfp_edge.reports.check import Check
from kfp_edge.reports.numbers import format_number

#: Machines that differ or drift a little reach this multiple of the share of rows outside that was asked for.
_MAX_OUTSIDE_RATIO = 1.5


def check_coverage(gates: Mapping[str, object], measurement: Measurement, levels: Sequence[float]) -> list[Check]:
    """Require the quantiles to contain about as many true values as they should, unless a gate on that is named.

    The upper end of the 95 % interval of `coverage` must reach what is left where 1.5 times as many values as asked for
    lie outside.

    Args:
        gates: The named gates.
        measurement: What was measured on the held-out rows.
        levels: The share of the true values that should lie below each quantile, ascending; there may be none.
    """
    if not levels or "coverage" in gates:
        return []
    asked = levels[-1] - levels[0]
    lowest = max(1 - _MAX_OUTSIDE_RATIO * (1 - asked), 0.0)
    interval = measurement.intervals["coverage"]
    measured = f"{format_number(measurement.metrics['coverage'])} (95 % interval {interval})"
    reason = f"where {_MAX_OUTSIDE_RATIO:g} times as many true values lie outside"
    required = f"{asked:.4g}, as asked for with quantiles: the 95 % interval must reach {lowest:.4g}, {reason}"
    remedy = "hold out rows that resemble the training rows, or give more groups or a longer time to learn from"
    return [Check("gate coverage", interval.high >= lowest, measured, required, remedy)]
