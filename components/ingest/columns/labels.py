"""The labels of the data: what can be one, missing ones, spellings, and which class of two the metrics describe."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.schema import Violation, make_violation
from kfp_edge.components.ingest.columns.timestamps import holds_dates
from kfp_edge.components.ingest.listing import join_listed, list_names
from kfp_edge.components.ingest.reading.arrow_columns import find_missing, is_number, to_float64
from kfp_edge.errors import ParameterError
from kfp_edge.metrics.rare_labels import find_few_events, find_few_positives
from kfp_edge.ml.arrays import ClassLabel, Mask
from kfp_edge.ml.class_names import is_name_of
from kfp_edge.ml.dataset import Dataset
from kfp_edge.wording import count_of

_MAX_CLASSES = 50
#: A target with more whole numbers is more likely a measurement than a label.
_MAX_NUMERIC_CLASSES = 30
_FEW_ROWS_OF_CLASS = 10
_AS_ASKED, _RARER = "as positive says", "the rarer class"
_NAME_LABELS = "name the column of labels in target: whole numbers, booleans or text"
#: Classes, in lower case, that look like a code for a missing label.
_CODES_OF_LABELS = frozenset(
    ("?", "??", "--", "---", ".", "..", "...", "na", "n/a", "n.a.", "k.a.", "(null)", "missing")
)
_LEARN_WITHOUT_LABELS = "leave target empty and put the column in drop, to train a detector without labels"


def check_target(name: str, column: pa.ChunkedArray, task: str) -> Violation | None:
    """Return why a column cannot be the target, or None; rows without a label are left out and not wrong."""
    arrow_type, classes = column.type, column.filter(pa.array(~find_missing(column))).unique()
    is_text = bool(pa.types.is_string(arrow_type))
    if is_text and holds_dates(column):
        return Violation(name, "is the target and holds dates or times", remedy=_NAME_LABELS)
    if not (is_text or pa.types.is_boolean(arrow_type) or is_number(arrow_type)):
        what = "dates or times" if pa.types.is_temporal(arrow_type) else f"{arrow_type}"
        return Violation(name, f"is the target and holds {what}", remedy=_NAME_LABELS)
    if len(classes) < 2:
        return _refuse_single_class(name, column, task, classes)
    if task == "anomaly":
        return _check_anomaly_labels(name, column)
    return _check_text_classes(name, len(classes)) if is_text else _check_numeric_classes(name, column, len(classes))


def _refuse_single_class(name: str, column: pa.ChunkedArray, task: str, classes: pa.Array) -> Violation:
    if not len(classes):
        return Violation(name, "is the target and is empty in every row")
    label, missing = classes[0].as_py(), int(find_missing(column).sum())
    if missing:
        return Violation(
            name,
            f"is the target and is {label!r} in each of its {len(column) - missing:,} rows with a label; the other "
            f"{missing:,} are empty or were read as missing, and rows without a label are left out",
            remedy="write the other class in them in words, such as ok",
        )
    problem = f"is the target and is {label!r} in every row"
    if task == "anomaly":
        return Violation(name, problem, remedy=_LEARN_WITHOUT_LABELS)
    return Violation(name, f"{problem}, so there is nothing to learn", remedy="give data of both classes")


@dataclass(frozen=True)
class AnomalyLabels:
    """The labels of an anomaly task as 0 and 1, made of two other classes."""

    column: pa.ChunkedArray
    remark: str
    #: Which class is anomalous, and why.
    reason: str


def find_anomaly_labels(name: str, column: pa.ChunkedArray, asked: str) -> AnomalyLabels | None:
    """Return labels of two classes other than 0 and 1, such as ok and Fail, as 0 and 1; None for all other labels.

    Args:
        name: Name of the column.
        column: The label of each row, which may be missing.
        asked: The class that is anomalous, as the parameter `positive` gives it; "" for the rarer one.

    Raises:
        ParameterError: there is no such class, or none is rarer.
    """
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
    chosen = choose_positive_class(labels, asked, "classification")
    normal, anomalous = sorted(counts, key=lambda label: label == ("1" if are_flags and not asked else chosen))
    reason = _AS_ASKED if asked else "as usual" if are_flags else _RARER
    return AnomalyLabels(
        pc.equal(column, pa.scalar(anomalous, column.type)).cast(pa.int64()),
        f"labels of {name!r}: {anomalous!r} is anomalous, 1 ({counts[anomalous]:,} rows; {reason}), {normal!r} is "
        f"normal, 0 ({counts[normal]:,} rows)",
        f"{anomalous!r} in the data, {reason}",
    )


def _check_anomaly_labels(name: str, column: pa.ChunkedArray) -> Violation | None:
    is_flag = np.zeros(len(column), bool) if pa.types.is_string(column.type) else np.isin(to_float64(column), (0, 1))
    wrong = ~is_flag & ~find_missing(column)
    problem = "is the target of an anomaly task, which has two classes, and is neither 0 nor 1"
    remedy = f"give a column of two classes, or {_LEARN_WITHOUT_LABELS}"
    return make_violation(name, problem, column, wrong, remedy) if wrong.any() else None


def _check_text_classes(name: str, classes: int) -> Violation | None:
    if classes <= _MAX_CLASSES:
        return None
    return Violation(name, f"is the target with {classes} classes (at most {_MAX_CLASSES}); is it really a label?")


def _check_numeric_classes(name: str, column: pa.ChunkedArray, classes: int) -> Violation | None:
    """Return why numbers are no classes; regression is not in this version, so advise classes."""
    remedy = (
        "regression comes with a later version, so give a column of two classes instead, such as 1 where "
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


def fill_missing_labels(table: pa.Table, target: str) -> tuple[pa.Table, Mask]:
    """Return the table with some label in place of each missing one, and the rows that have none.

    Their rows count for rolling windows and are left out afterwards. Until then any label keeps the column's type.
    """
    column = table.column(target)
    missing = find_missing(column)
    if not missing.any() or missing.all():
        return table, missing
    present = column.filter(pa.array(~missing))
    filled = pc.if_else(pa.array(missing), present[0], column)
    return table.set_column(table.column_names.index(target), target, filled), missing


def find_similar_spellings(labels: pd.Series) -> list[str]:
    """Return a warning for each set of classes that differ only in case, spaces or the notation of a number."""
    counts = labels.value_counts().to_dict()
    texts = sorted(name for name in counts if isinstance(name, str))
    spellings = defaultdict(list)
    for name in texts:
        spellings[_normalize_class(name)].append(name)
    warnings = [
        f"classes {' and '.join(f'{name!r} ({counts[name]:,} rows)' for name in names)} of {labels.name!r} differ only "
        "in how they are written and count as different classes; write them alike if they are the same"
        for names in spellings.values()
        if len(names) > 1
    ]
    codes = [name for name in texts if name.lower() in _CODES_OF_LABELS]
    return warnings + [
        f"the class {name!r} ({count_of(counts[name], 'row')}) of {labels.name!r} looks like a code for a missing "
        f"label; if it is one give missing_values={json.dumps([name])}"
        for name in codes
    ]


def _normalize_class(name: str) -> str:
    if re.fullmatch(r"[+-]?\d{1,15}(\.\d*)?", name):
        return f"{float(name):g}"
    return " ".join(name.split()).casefold()


def find_rare_classes(train: Dataset, test: Dataset) -> list[str]:
    """Return a warning where held-out rows of a class, or events, are too few for metrics that mean much."""
    roles, labels = train.roles, test.y()
    if roles.task == "anomaly":
        return find_few_events(labels, test.groups())
    if roles.positive is not None:
        return find_few_positives(labels, roles.positive)
    counts = pd.Series(labels).value_counts()
    held_out = {name: int(counts.get(name, 0)) for name in sorted({*train.y().tolist(), *labels.tolist()})}
    absent = [name for name, count in held_out.items() if not count]
    return _describe_absent(absent) + _describe_rare(
        {name: n for name, n in held_out.items() if 0 < n < _FEW_ROWS_OF_CLASS}
    )


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


def choose_positive_class(labels: pd.Series, asked: str, task: str) -> ClassLabel | None:
    """Return the class that metrics of two classes describe; None for more classes.

    Args:
        labels: The label of each row, without missing ones.
        asked: The class as the parameter `positive` gives it; "" for the rarer one, or the last in sort order where
            both are equally frequent.
        task: "classification", or "anomaly", whose positive class is 1.

    Raises:
        ParameterError: there is no such class, or there are more than two.
    """
    classes = sorted(labels.unique().tolist())
    if task == "anomaly":
        if asked and not is_name_of(asked, 1):
            raise ParameterError(f"an anomaly task is about the anomalous rows, those labelled 1: leave out {asked!r}.")
        return 1
    if not asked:
        counts = labels.value_counts()
        return min(reversed(classes), key=lambda name: counts[name]) if len(classes) == 2 else None
    matches: list[ClassLabel] = [name for name in classes if is_name_of(asked, name)]
    if not matches:
        raise ParameterError(f"positive={asked} is no class of {labels.name!r}; its classes are {list_names(classes)}.")
    if len(classes) > 2:
        raise ParameterError(
            f"positive={asked} is for a target of two classes, and {labels.name!r} has {len(classes)} "
            f"({list_names(classes)}); leave positive empty."
        )
    return matches[0]


def explain_positive_class(labels: pd.Series, asked: str) -> str:
    """Return why a class is the positive one of two, "" of more.

    Args:
        labels: The label of each row, without missing ones.
        asked: The class as the parameter `positive` gives it, "" where it is not given.
    """
    counts = labels.value_counts()
    if len(counts) != 2:
        return ""
    if asked:
        return _AS_ASKED
    return _RARER if counts.nunique() == 2 else "the last one in sort order, as both are equally frequent"
