"""The disruption budget of a ring: how many sites of a group may change at once.

All sites of a ring follow one file, and get a release with one merge. So the budget limits what one merge may change: a
ring with more sites of a group than the budget has to be split into rings, which are then the batches of a rollout,
each with its own soak time. Nothing else would hold for sites that are offline and pull whenever they can.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from kfp_edge.fleet.contracts import DisruptionBudget, Site
from kfp_edge.fleet.units import format_share


@dataclass(frozen=True)
class ExceededBudget:
    """A group of which more sites would change at once than may."""

    group: str
    changing: int
    allowed: int
    limit: str

    def describe(self, ring: str) -> str:
        """Return what is wrong and what to do, without a subject."""
        rings = math.ceil(self.changing / self.allowed)
        return (
            f"{self.changing} sites{f' of {self.group}' if self.group else ''} change with one release of the ring "
            f"{ring}, and its disruption budget lets {self.allowed} ({self.limit}) change at once; split the ring into "
            f"{rings} rings, or raise maxChanging."
        )


def find_exceeded(budget: DisruptionBudget, changing: Iterable[Site], fleet: Iterable[Site]) -> list[ExceededBudget]:
    """Return the groups of which too many sites would change.

    Args:
        budget: How many sites of each group may change at once.
        changing: The sites that change with one merge.
        fleet: All sites of the fleet, of whose groups a share is meant.
    """
    sizes = Counter(_group(budget, site) for site in fleet)
    members: dict[str, int] = defaultdict(int)
    for site in changing:
        members[_group(budget, site)] += 1
    limit = budget.max_changing
    exceeded = []
    for group, count in sorted(members.items()):
        # at least one, or a small group could never get a release
        allowed = limit if isinstance(limit, int) else max(1, math.floor(limit * sizes[group]))
        if count > allowed:
            text = str(limit) if isinstance(limit, int) else f"{format_share(limit)} of {sizes[group]}"
            exceeded.append(ExceededBudget(group, count, allowed, text))
    return exceeded


def _group(budget: DisruptionBudget, site: Site) -> str:
    return ", ".join(f"{label}={site.labels.get(label, '')}" for label in budget.group_by)
