"""The remaining useful life of a machine, a number that a regression predicts."""

from collections.abc import Mapping, Sequence

import numpy as np

from kfp_edge.components.ingest.labelling.durations import Duration
from kfp_edge.components.ingest.labelling.made_labels import MadeLabels
from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Float64s, Mask

#: Names of the target: in hours, and in units of a time column of numbers.
IN_HOURS, IN_UNITS = "remaining_useful_life [h]", "remaining_useful_life"


def label_remaining_life(
    until_failure: Float64s,
    failure_times: Float64s,
    left_out: Mapping[str, Mask],
    max_rul: Duration | None,
    source: str,
    warnings: Sequence[str],
    *,
    is_number: bool,
) -> MadeLabels:
    """Return the time until the next failure as a target, at most `max_rul`.

    Args:
        until_failure: Hours, or units of the time column, until the next failure, shape [n]; NaN where none follows.
        failure_times: The time of that failure, as `to_numbers` gives it, shape [n].
        left_out: Rows that have no target, by the reason.
        max_rul: Where a longer life counts as this one, as usual for turbofan engines (NASA C-MAPSS: 125 cycles); None
            without a limit.
        source: What the failures are from, in words.
        warnings: What a reviewer should know.
        is_number: Whether the time column holds numbers.

    Raises:
        DataError: all rows have the same remaining life.
    """
    without = np.isnan(until_failure)
    known = np.where(without, 0.0, until_failure)
    values = known if max_rul is None else np.minimum(known, max_rul.length)
    rows = ~without & ~np.any([*left_out.values()], axis=0) if left_out else ~without
    if len(np.unique(values[rows])) < 2:
        advice = "give a higher max_rul" if max_rul else "give data with rows at more times before a failure"
        raise DataError(f"the remaining useful life is the same in every row ({source}); {advice}.")
    limit = f", at most {max_rul}" if max_rul else ""
    return MadeLabels(
        target=IN_UNITS if is_number else IN_HOURS,
        values=values,
        known_at=failure_times,
        known_later="rows before the test part begins whose next failure is in it",
        description=f"the time until the machine fails{limit} ({source})",
        left_out={**left_out, "rows after the last failure of their machine": without},
        warnings=tuple(warnings),
    )
