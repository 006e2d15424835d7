"""What the target of a task may hold, and what follows from it; each task has one such object, in `rules.py`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest.columns.schema import Violation
from kfp_edge.components.ingest.reading import synthetic
from kfp_edge.components.ingest.reading.arrow_columns import to_float64
from kfp_edge.ml.arrays import ClassLabel, Int64s
from kfp_edge.ml.dataset import Dataset

if TYPE_CHECKING:
    from kfp_edge.components.ingest.options import IngestOptions

#: The number of rows of each class, in the order of the classes.
ClassCounts = Mapping[ClassLabel, int]


@dataclass(frozen=True)
class TranslatedLabels:
    """Labels that were written otherwise in the data."""

    column: pa.ChunkedArray
    remark: str
    #: Which class is the positive one, and why.
    reason: str


@dataclass(frozen=True)
class LackingClass:
    """A class that a part of a split lacks, as a clause; `label` is the class to say where its rows are, if any is."""

    problem: str
    label: ClassLabel | None = None


class TargetRule(ABC):
    """What the target of one task may hold."""

    #: The target of generated data where nobody names one.
    synthetic_target: ClassVar[str] = synthetic.TARGET
    #: Whether rows from the first failure window on are the test part.
    is_split_at_windows: ClassVar[bool] = False
    #: Whether the target has numbers that are predicted, and no labels.
    has_numbers: ClassVar[bool] = False

    @abstractmethod
    def find_contradictions(self, options: "IngestOptions") -> Iterator[str]:
        """Yield which parameters contradict this task, each in one sentence."""

    @abstractmethod
    def check(self, name: str, column: pa.ChunkedArray) -> Violation | None:
        """Return why a column cannot be the target, or None; rows without a value are left out and not wrong."""

    def translate(self, name: str, column: pa.ChunkedArray, asked: str) -> TranslatedLabels | None:
        """Return the labels as this task has them, or None where the data has them already, or has no such labels.

        Args:
            name: Name of the column.
            column: The label of each row, which may be missing.
            asked: The class that the parameter `positive` names.

        Raises:
            ParameterError: there is no such class, or none is rarer.
        """
        return None

    def to_series(self, column: pa.ChunkedArray) -> pd.Series:
        """Return a column without missing values in the type of the dataset contract: text, or int64."""
        if pa.types.is_string(column.type):
            return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
        if pa.types.is_integer(column.type):
            return pd.Series(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
        return pd.Series(to_float64(column).astype(np.int64))

    @abstractmethod
    def choose_positive(self, target: pd.Series, asked: str) -> ClassLabel | None:
        """Return the class that metrics of two classes describe, or None.

        Args:
            target: The target of each row that can be used.
            asked: The class that the parameter `positive` names.

        Raises:
            ParameterError: there is no such class.
        """

    def explain_positive(self, target: pd.Series, asked: str) -> str:
        """Return why a class is the positive one; "" where that is clear."""
        return ""

    def warn_of_values(self, target: pd.Series) -> list[str]:
        """Return warnings about what the target holds."""
        return []

    @abstractmethod
    def warn_of_parts(self, train: Dataset, test: Dataset) -> list[str]:
        """Return warnings about the target of the two parts, such as classes with few held-out rows."""

    @abstractmethod
    def warn_of_telling_features(self, train: Dataset, names: Sequence[str]) -> list[str]:
        """Return a warning that names the features of which each alone gives the target away."""

    def find_strata(self, target: pd.Series | None) -> pd.Series | None:
        """Return the class of each row, of which both parts of a split need some; None where there are none."""
        return target

    def select_needed(self, counts: Int64s) -> Int64s:
        """Return the rows of those classes, in their order, of which the training part needs some."""
        return counts

    def find_lacking_class(self, name: str, train: ClassCounts, test: ClassCounts) -> LackingClass | None:
        """Return what a part lacks to be learned from; `name` is the target, and counts are those of the strata."""
        return None

    def find_target_median(self, train: Dataset) -> float | None:
        """Return the median of a target of numbers in the training rows; None for classes."""
        return None
