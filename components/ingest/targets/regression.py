"""Numbers as the target."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest.columns.schema import Violation, make_violation
from kfp_edge.components.ingest.columns.single_precision import advise_infinite, describe_loss
from kfp_edge.components.ingest.columns.unread_numbers import find_unread_numbers
from kfp_edge.components.ingest.reading.arrow_columns import is_number, to_float64
from kfp_edge.components.ingest.splitting.leaks import find_ordering_features
from kfp_edge.components.ingest.targets.target_rule import TargetRule
from kfp_edge.ml.arrays import ClassLabel, Float64s
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.numbers import format_number
from kfp_edge.wording import count_of

if TYPE_CHECKING:
    from kfp_edge.components.ingest.options import IngestOptions

#: With fewer held-out rows the intervals of the metrics are wide.
_FEW_ROWS = 20
#: Share of held-out values beyond those of training that is worth a warning.
_MANY_BEYOND = 0.05


class NumberTarget(TargetRule):
    """The target of a regression."""

    synthetic_target = "Torque [Nm]"
    has_numbers = True

    def find_contradictions(self, options: "IngestOptions") -> Iterator[str]:
        """Yield that a column of numbers is needed, and which parameters are about classes."""
        if not options.target and not options.labels.source:
            yield "regression needs a target: name the column of the numbers to predict in target."
        if options.positive:
            yield "positive names a class, and regression predicts a number; leave positive empty."
        if options.windows:
            yield "failure windows give the labels 0 and 1, and regression predicts a number; leave windows empty."

    def check(self, name: str, column: pa.ChunkedArray) -> Violation | None:
        """Refuse what is no number, is the same in every row, or needs more digits than float32 has."""
        if pa.types.is_string(column.type):
            return _refuse_text(name, column)
        if not is_number(column.type):
            what = "booleans" if pa.types.is_boolean(column.type) else f"{column.type}"
            remedy = "give task=classification to predict classes, or name a column of numbers in target"
            return Violation(name, f"is the target of a regression and holds {what}", remedy=remedy)
        values = to_float64(column)
        if (infinite := np.isinf(values)).any():
            return make_violation(name, "is the target and is infinite", column, infinite, advise_infinite(values))
        present = values[~np.isnan(values)]
        if np.ptp(present) == 0:
            problem = f"is the target and is {format_number(present[0])} in every row, so there is nothing to learn"
            return Violation(name, problem, remedy="give data in which it varies")
        loss = describe_loss(present)
        return Violation(name, f"is the target and {loss[0]}", remedy=loss[1]) if loss else None

    def to_series(self, column: pa.ChunkedArray) -> pd.Series:
        """Return a column of numbers in double precision."""
        return pd.Series(to_float64(column))

    def choose_positive(self, target: pd.Series, asked: str) -> ClassLabel | None:
        """Return None: there are no classes."""
        return None

    def warn_of_values(self, target: pd.Series) -> list[str]:
        """Return a warning where the target has two numbers only, as classes have."""
        if target.nunique() > 2:
            return []
        return [f"the target {target.name!r} has only two different numbers: task=classification predicts classes"]

    def warn_of_parts(self, train: Dataset, test: Dataset) -> list[str]:
        """Return warnings about few held-out rows, and about held-out values that training never had."""
        warnings, held_out = [], test.target_values()
        if len(held_out) < _FEW_ROWS:
            warnings.append(
                f"only {count_of(len(held_out), 'row')} {'is' if len(held_out) == 1 else 'are'} held out: the metrics "
                "are uncertain, as their intervals show; give more rows or a larger test_fraction"
            )
        if np.ptp(held_out) == 0:
            warnings.append(
                f"the target is {format_number(held_out[0])} in every held-out row, so r2 is not defined; hold out "
                "other rows, with another split or test_fraction"
            )
        return warnings + _warn_of_beyond(train.roles.target, train.target_values(), held_out)

    def warn_of_telling_features(self, train: Dataset, names: Sequence[str]) -> list[str]:
        """Return a warning that names the features of which each alone orders nearly all rows as the target does."""
        return find_ordering_features(train, names)

    def find_strata(self, target: pd.Series | None) -> pd.Series | None:
        """Return None: rows have no classes."""
        return None

    def find_target_median(self, train: Dataset) -> float | None:
        """Return the median of the training rows."""
        return float(np.median(train.target_values()))


def _refuse_text(name: str, column: pa.ChunkedArray) -> Violation:
    if unread := find_unread_numbers(column, has_many_values=True):
        return Violation(name, f"is the target of a regression and {unread[0]}", remedy=unread[1])
    example = next(cell.as_py() for cell in column if cell.is_valid)
    return Violation(
        name,
        f"is the target of a regression and holds text such as {example!r}",
        remedy="give task=classification to predict classes, or name a column of numbers in target",
    )


def _warn_of_beyond(name: str, known: Float64s, held_out: Float64s) -> list[str]:
    low, high = known.min(), known.max()
    share = float(((held_out < low) | (held_out > high)).mean())
    if share < _MANY_BEYOND:
        return []
    return [
        f"{share:.0%} of the held-out rows have a {name!r} beyond that of all training rows, {format_number(low)} to "
        f"{format_number(high)}, which trees never predict: give training rows with such values"
    ]
