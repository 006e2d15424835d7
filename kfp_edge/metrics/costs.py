"""The cost of a row: of a missed positive, and of a false alarm."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kfp_edge.metrics.intervals import Interval, measure_share
from kfp_edge.ml.arrays import Int64s, Mask


@dataclass(frozen=True)
class Costs:
    """What mistakes cost, both in the same unit."""

    missed: float
    false_alarm: float

    def measure(self, truth: Mask, alarm: Mask) -> float:
        """Return the mean cost of n > 0 rows, given whether each is positive, and predicted so; both of shape [n]."""
        return self.missed * float((truth & ~alarm).mean()) + self.false_alarm * float((alarm & ~truth).mean())

    def measure_interval(self, truth: Mask, alarm: Mask, clusters: Int64s | None) -> Interval:
        """Return the interval of the mean cost.

        It combines those of the two shares of mistakes (Zou and Donner, Statistics in Medicine 27, 2008), which stays
        right where one of them has not occurred.

        Args:
            truth: Whether a row is positive, shape [n].
            alarm: Whether it is predicted so, shape [n].
            clusters: A number for each row, shape [n], the same for rows that depend on each other.
        """
        below = above = 0.0
        for cost, mistakes in ((self.missed, truth & ~alarm), (self.false_alarm, alarm & ~truth)):
            share, interval = float(mistakes.mean()), measure_share(mistakes, clusters)
            below += (cost * (share - interval.low)) ** 2
            above += (cost * (interval.high - share)) ** 2
        mean = self.measure(truth, alarm)
        return Interval(max(mean - float(np.sqrt(below)), 0.0), mean + float(np.sqrt(above)))

    def find_cost_without_model(self, truth: Mask) -> float:
        """Return the mean cost of a row where alarms are raised always, or never, whichever costs less."""
        positive = float(truth.mean())
        return min(self.missed * positive, self.false_alarm * (1 - positive))


def read_costs(asked: Mapping[str, float]) -> Costs | None:
    """Return the costs for which a threshold was chosen; None where it was chosen for something else."""
    if "missed_cost" not in asked:
        return None
    return Costs(asked["missed_cost"], asked["false_alarm_cost"])
