"""Labels of runs that end with their failure: each group is one run, and fails with its last row."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kfp_edge.components.ingest.labelling.label_options import LabelOptions
from kfp_edge.components.ingest.labelling.made_labels import MadeLabels
from kfp_edge.components.ingest.labelling.remaining_life import RowEnds, label_remaining_life
from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.dataset import Roles
from kfp_edge.ml.time_numbers import to_lengths, to_numbers
from kfp_edge.wording import count_of

_NEEDS_GROUPS = "each group ends with its failure, so whole groups are held out"


@dataclass(frozen=True)
class RunToFailureLabels:
    """Labels that follow from the last row of each group."""

    options: LabelOptions
    #: Whether the task predicts a number: the remaining useful life.
    has_number_target: bool

    def label(self, frame: pd.DataFrame, roles: Roles) -> MadeLabels:
        """Label the rows of a frame by the last row of their group."""
        if not roles.group:
            raise ParameterError(
                "run_to_failure needs the run of each row: name its column in group_column, or give a folder with a "
                "file for each run."
            )
        times, groups = frame[roles.time], frame[roles.group]
        is_number = not pd.api.types.is_datetime64_dtype(times)
        horizon, max_rul = self.options.parsed_horizon, self.options.parsed_max_rul
        for name, duration in (("horizon", horizon), ("max_rul", max_rul)):
            if duration:
                duration.check_suits(name, roles.time, is_number=is_number)
        ends = to_numbers(times.groupby(groups, sort=False).transform("max"))
        left = ends - to_numbers(times)
        until = to_lengths(left, is_number=is_number)
        runs = f"{count_of(groups.nunique(), 'group')} of {roles.group!r} that end with their failure"
        if self.has_number_target:
            row_ends = RowEnds(to_numbers(times), ends, ends, is_number)
            return _hold_out_groups(label_remaining_life(row_ends, max_rul, {}, runs, ()))
        assert horizon is not None
        is_positive = left <= horizon.value
        if is_positive.all():
            raise DataError(
                f"every row is within {horizon} before the end of its group of {roles.group!r}, so there is nothing to "
                "compare it with; give a shorter horizon."
            )
        made = MadeLabels(
            target=f"fails_within_{horizon}",
            values=is_positive.astype(np.int64),
            known_at=ends,
            known_later="",
            description=f"1 where the machine fails within {horizon} after the row ({runs})",
            until_failure=np.where(is_positive, until, np.nan),
            horizon=horizon.length,
            has_positive=True,
        )
        return _hold_out_groups(made)


def _hold_out_groups(made: MadeLabels) -> MadeLabels:
    return dataclasses.replace(made, needs_groups=_NEEDS_GROUPS)
