"""What every way to make labels gives: a label for each row, and what the split and the reports need to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

from kfp_edge.ml.arrays import Float64s, Int64s, Mask
from kfp_edge.ml.dataset import Roles


@dataclass(frozen=True)
class MadeLabels:
    """A label for each of n rows, in the order of the data."""

    #: Name of the target column that they give.
    target: str
    #: 1 before or in a failure, else 0; or a number that is predicted; shape [n].
    values: Int64s | Float64s
    #: The time at which the label of a row is known, as `to_numbers` gives it, shape [n]; training rows of which it is
    #: not known when the test part begins are in neither part.
    known_at: Float64s
    #: Why those training rows are in neither part.
    known_later: str
    #: How the labels were made, in words.
    description: str = ""
    #: Rows that have no label, by the reason.
    left_out: Mapping[str, Mask] = field(default_factory=dict)
    #: How long it is until the failure, in hours or in units of the time column, shape [n]; NaN where none follows
    #: within the horizon. None where failures are not known.
    until_failure: Float64s | None = None
    #: The horizon in hours, or in units of the time column; 0 without one.
    horizon: float = 0.0
    #: The lowest and the highest number that a target can have by its definition; None where there is none.
    low: float | None = None
    high: float | None = None
    #: Why whole groups are held out, or "".
    needs_groups: str = ""
    #: A detector trains on the rows before this time; None where the split decides.
    training_end: pd.Timestamp | float | None = None
    #: Whether the positive class is 1 whatever is rarer.
    has_positive: bool = False
    #: What a reviewer should know, each in one sentence.
    warnings: tuple[str, ...] = ()


class LabelSource(Protocol):
    """What labels are made of."""

    def label(self, frame: pd.DataFrame, roles: Roles) -> MadeLabels:
        """Label the rows of a frame, which has the time column.

        Raises:
            DataError: no row can be labelled, or all labels would be equal.
            ParameterError: a parameter does not fit the data.
        """
