"""The remaining useful life of a machine, a number that a regression predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kfp_edge.components.ingest.labelling.durations import Duration
from kfp_edge.components.ingest.labelling.made_labels import MadeLabels
from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Float64s, Mask
from kfp_edge.ml.time_numbers import to_lengths

#: Names of the target: in hours, and in units of a time column of numbers.
IN_HOURS, IN_UNITS = "remaining_useful_life [h]", "remaining_useful_life"


@dataclass(frozen=True)
class RowEnds:
    """When the machines of n rows fail; times are numbers as `to_numbers` gives them."""

    times: Float64s
    #: The time of the next failure, shape [n]; NaN where none is known.
    next_failure: Float64s
    #: The last time of which it is known whether the machine had failed, shape [n].
    known_until: Float64s
    #: Whether times are numbers, and not timestamps.
    is_number: bool


def label_remaining_life(
    ends: RowEnds, max_rul: Duration | None, left_out: Mapping[str, Mask], source: str, warnings: Sequence[str]
) -> MadeLabels:
    """Return the time until the next failure as a target, at most `max_rul`.

    A row after which its machine runs for `max_rul` without a failure has this target, whether or not it fails later.

    Args:
        ends: When the machines fail.
        max_rul: Where a longer life counts as this one, as usual for turbofan engines (NASA C-MAPSS: 125 cycles); None
            without a limit.
        left_out: Rows that have no target, by the reason.
        source: What the failures are from, in words.
        warnings: What a reviewer should know.

    Raises:
        DataError: all rows have the same remaining life.
    """
    limit = np.inf if max_rul is None else max_rul.value
    known_at = np.fmin(ends.next_failure, ends.times + limit)
    is_open = np.isnan(ends.next_failure) & (known_at > ends.known_until)
    values = np.where(is_open, 0.0, to_lengths(known_at - ends.times, is_number=ends.is_number))
    rows = ~np.any([is_open, *left_out.values()], axis=0)
    if len(np.unique(values[rows])) < 2:
        advice = "give a higher max_rul" if max_rul else "give data with rows at more times before a failure"
        raise DataError(f"the remaining useful life is the same in every row ({source}); {advice}.")
    return MadeLabels(
        target=IN_UNITS if ends.is_number else IN_HOURS,
        values=values,
        known_at=known_at,
        known_later="rows before the test part begins whose remaining useful life is known only during it",
        description=f"the time until the machine fails{f', at most {max_rul}' if max_rul else ''} ({source})",
        left_out={**left_out, _describe_open(max_rul): is_open},
        low=0.0,
        high=None if max_rul is None else max_rul.length,
        warnings=tuple(warnings),
    )


def _describe_open(max_rul: Duration | None) -> str:
    if max_rul is None:
        return "rows after which no failure of their machine is known"
    return f"rows at the end of the data of a machine, of which the next {max_rul} are not known"
