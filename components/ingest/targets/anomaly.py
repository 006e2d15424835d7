"""Labels of anomalies as the target: 0 is normal, 1 anomalous; two other classes are translated."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.schema import Violation, make_violation
from kfp_edge.components.ingest.listing import list_names
from kfp_edge.components.ingest.reading.arrow_columns import find_missing, is_number, to_float64
from kfp_edge.components.ingest.splitting.leaks import find_perfect_features
from kfp_edge.components.ingest.targets.labels import (
    AS_ASKED,
    RARER,
    check_single_class,
    check_type,
    choose_positive_class,
    find_similar_spellings,
)
from kfp_edge.components.ingest.targets.target_rule import ClassCounts, LackingClass, TargetRule, TranslatedLabels
from kfp_edge.errors import ParameterError
from kfp_edge.metrics.rare_labels import find_few_events
from kfp_edge.ml.arrays import ClassLabel, Int64s
from kfp_edge.ml.class_names import is_name_of
from kfp_edge.ml.dataset import Dataset

if TYPE_CHECKING:
    from kfp_edge.components.ingest.options import IngestOptions

_LEARN_WITHOUT_LABELS = "leave target empty and put the column in drop, to train a detector without labels"


class AnomalyTarget(TargetRule):
    """The target of an anomaly detection, which may be missing."""

    is_split_at_windows = True

    def find_contradictions(self, options: "IngestOptions") -> Iterator[str]:
        """Yield that failure windows decide the split."""
        if options.windows and options.split not in ("auto", "time"):
            yield "an anomaly task with windows trains on the rows before the first one; use split=auto."

    def check(self, name: str, column: pa.ChunkedArray) -> Violation | None:
        """Refuse what is neither 0 nor 1, and a single class."""
        if violation := check_type(name, column):
            return violation
        if violation := check_single_class(name, column):
            return violation if violation.remedy else replace(violation, remedy=_LEARN_WITHOUT_LABELS)
        return _check_flags(name, column)

    def translate(self, name: str, column: pa.ChunkedArray, asked: str) -> TranslatedLabels | None:
        """Return labels of two classes other than 0 and 1, such as ok and Fail, as 0 and 1; None for all others."""
        if not (pa.types.is_string(column.type) or is_number(column.type)):
            return None
        labels = pd.Series(column.filter(pa.array(~find_missing(column))).to_pandas(), name=name)
        counts: Counter[ClassLabel] = Counter(labels.tolist())
        if len(counts) != 2 or set(counts) == {0, 1}:
            return None
        are_flags = set(counts) == {"0", "1"}
        if not asked and len(set(counts.values())) == 1 and not are_flags:
            raise ParameterError(
                f"the classes {list_names(list(counts))} of {name!r} are equally frequent: name the anomalous one "
                f"in positive, such as positive={next(iter(counts))}."
            )
        chosen = choose_positive_class(labels, asked)
        normal, anomalous = sorted(counts, key=lambda label: label == ("1" if are_flags and not asked else chosen))
        reason = AS_ASKED if asked else "as usual" if are_flags else RARER
        return TranslatedLabels(
            pc.equal(column, pa.scalar(anomalous, column.type)).cast(pa.int64()),
            f"labels of {name!r}: {anomalous!r} is anomalous, 1 ({counts[anomalous]:,} rows; {reason}), {normal!r} is "
            f"normal, 0 ({counts[normal]:,} rows)",
            f"{anomalous!r} in the data, {reason}",
        )

    def choose_positive(self, target: pd.Series, asked: str) -> ClassLabel | None:
        """Return 1, an anomaly."""
        if asked and not is_name_of(asked, 1):
            raise ParameterError(f"an anomaly task is about the anomalous rows, those labelled 1: leave out {asked!r}.")
        return 1

    def warn_of_values(self, target: pd.Series) -> list[str]:
        """Return warnings about classes that are spelled alike."""
        return find_similar_spellings(target)

    def warn_of_parts(self, train: Dataset, test: Dataset) -> list[str]:
        """Return a warning where held-out rows have few events."""
        return find_few_events(test.y(), test.groups())

    def warn_of_telling_features(self, train: Dataset, names: Sequence[str]) -> list[str]:
        """Return a warning that names the features of which each alone gives the label of nearly every row."""
        return find_perfect_features(train, names)

    def select_needed(self, counts: Int64s) -> Int64s:
        """Return the normal rows: training learns from them only."""
        return counts[:1]

    def find_lacking_class(self, name: str, train: ClassCounts, test: ClassCounts) -> LackingClass | None:
        """Return that training lacks normal rows."""
        return None if 0 in train else LackingClass(f"every training row is anomalous by {name!r}")


def _check_flags(name: str, column: pa.ChunkedArray) -> Violation | None:
    is_flag = np.zeros(len(column), bool) if pa.types.is_string(column.type) else np.isin(to_float64(column), (0, 1))
    wrong = ~is_flag & ~find_missing(column)
    problem = "is the target of an anomaly task, which has two classes, and is neither 0 nor 1"
    remedy = f"give a column of two classes, or {_LEARN_WITHOUT_LABELS}"
    return make_violation(name, problem, column, wrong, remedy) if wrong.any() else None
