"""Classes as the target: two or more, in words, whole numbers or booleans."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest.columns.schema import Violation, make_violation
from kfp_edge.components.ingest.listing import join_listed, list_names
from kfp_edge.components.ingest.reading.arrow_columns import to_float64
from kfp_edge.components.ingest.splitting.leaks import find_perfect_features
from kfp_edge.components.ingest.targets.labels import (
    check_single_class,
    check_type,
    choose_positive_class,
    explain_positive_class,
    find_classes,
    find_similar_spellings,
)
from kfp_edge.components.ingest.targets.target_rule import ClassCounts, LackingClass, TargetRule
from kfp_edge.metrics.rare_labels import find_few_positives
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.dataset import Dataset
from kfp_edge.wording import count_of

if TYPE_CHECKING:
    from kfp_edge.components.ingest.options import IngestOptions

_MAX_CLASSES = 50
#: A target with more whole numbers is more likely a measurement than a label.
_MAX_NUMERIC_CLASSES = 30
_FEW_ROWS_OF_CLASS = 10
#: Training needs this many rows of a class: scikit-learn holds out some of them itself.
_MIN_TRAINING_ROWS = 2


class ClassTarget(TargetRule):
    """The target of a classification."""

    def find_contradictions(self, options: "IngestOptions") -> Iterator[str]:
        """Yield that labels are needed."""
        if not options.label_parameter:
            yield (
                "classification needs labels: name the label column in target, or give failure windows, or a failure "
                "log in failures."
            )

    def check(self, name: str, column: pa.ChunkedArray) -> Violation | None:
        """Refuse what is no label, a single class, and more classes than labels have."""
        if violation := check_type(name, column):
            return violation
        if violation := check_single_class(name, column):
            return _complete(violation)
        classes = len(find_classes(column))
        if pa.types.is_string(column.type):
            return _check_text_classes(name, classes)
        return _check_numeric_classes(name, column, classes)

    def choose_positive(self, target: pd.Series, asked: str) -> ClassLabel | None:
        """Return the class asked for, or the rarer one of two."""
        return choose_positive_class(target, asked)

    def explain_positive(self, target: pd.Series, asked: str) -> str:
        """Return why a class is the positive one of two."""
        return explain_positive_class(target, asked)

    def warn_of_values(self, target: pd.Series) -> list[str]:
        """Return warnings about classes that are spelled alike."""
        return find_similar_spellings(target)

    def warn_of_parts(self, train: Dataset, test: Dataset) -> list[str]:
        """Return a warning where held-out rows of a class are too few for metrics that mean much."""
        labels = test.y()
        if train.roles.positive is not None:
            return find_few_positives(labels, train.roles.positive)
        counts = pd.Series(labels).value_counts()
        held_out = {name: int(counts.get(name, 0)) for name in sorted({*train.y().tolist(), *labels.tolist()})}
        absent = [name for name, count in held_out.items() if not count]
        return _describe_absent(absent) + _describe_rare(
            {name: n for name, n in held_out.items() if 0 < n < _FEW_ROWS_OF_CLASS}
        )

    def warn_of_telling_features(self, train: Dataset, names: Sequence[str]) -> list[str]:
        """Return a warning that names the features of which each alone gives the class of nearly every row."""
        return find_perfect_features(train, names)

    def find_lacking_class(self, name: str, train: ClassCounts, test: ClassCounts) -> LackingClass | None:
        """Return the first class that training lacks or has a single row of."""
        for label in dict.fromkeys([*train, *test]):
            if label not in train:
                return LackingClass(f"class {label!r} of {name!r} is only in the test part", label)
            if train[label] < _MIN_TRAINING_ROWS:
                return LackingClass(f"class {label!r} of {name!r} has a single training row")
        return None


def _complete(violation: Violation) -> Violation:
    if violation.remedy:
        return violation
    problem = f"{violation.problem}, so there is nothing to learn"
    return replace(violation, problem=problem, remedy="give data of both classes")


def _check_text_classes(name: str, classes: int) -> Violation | None:
    if classes <= _MAX_CLASSES:
        return None
    problem = f"is the target and has {classes:,} different texts, where {_MAX_CLASSES} classes are the most"
    return Violation(name, problem, remedy="name the column that holds the label in target, and drop this one")


def _check_numeric_classes(name: str, column: pa.ChunkedArray, classes: int) -> Violation | None:
    """Return why numbers are no classes, or None."""
    remedy = (
        "give task=regression to predict the number, or a column of two classes, such as 1 where "
        f"{name} is below a limit and else 0"
    )
    values = to_float64(column)
    is_whole = (values == np.floor(values)) & (np.abs(values) < 2**63)
    fractions = ~np.isnan(values) & ~is_whole
    if fractions.any():
        return make_violation(name, "is the target and is no whole number", column, fractions, remedy)
    if classes <= _MAX_NUMERIC_CLASSES:
        return None
    if classes <= _MAX_CLASSES:
        remedy += f"; numbers that stand for classes are taken as text, with columns={{{name}: {{dtype: string}}}}"
    problem = f"is the target and has {classes} different numbers, so that it looks like a measurement"
    return Violation(name, problem, remedy=remedy)


def _describe_absent(names: Sequence[ClassLabel]) -> list[str]:
    if not names:
        return []
    what = f"class {names[0]!r} has" if len(names) == 1 else f"classes {list_names(names)} have"
    return [f"{what} no held-out rows, so nothing is measured for {'it' if len(names) == 1 else 'them'}; give more"]


def _describe_rare(counts: Mapping[ClassLabel, int]) -> list[str]:
    if not counts:
        return []
    if len(counts) == 1:
        ((name, count),) = counts.items()
        what = f"class {name!r} has only {count_of(count, 'held-out row')}: its"
    else:
        listed = [f"{name!r} ({count})" for name, count in counts.items()]
        what = f"classes {join_listed(listed)} have few held-out rows: their"
    return [f"{what} metrics are uncertain; give more such rows"]
