"""Labels as a target: what can be one, missing ones, spellings, and which class of two the metrics describe."""

import json
import re
from collections import defaultdict

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.schema import Violation
from kfp_edge.components.ingest.columns.timestamps import holds_dates
from kfp_edge.components.ingest.listing import list_names
from kfp_edge.components.ingest.reading.arrow_columns import find_missing, is_number
from kfp_edge.errors import ParameterError
from kfp_edge.ml.arrays import ClassLabel, Mask
from kfp_edge.ml.class_names import is_name_of
from kfp_edge.suggestions import did_you_mean
from kfp_edge.wording import count_of

AS_ASKED, RARER = "as positive says", "the rarer class"
_NAME_LABELS = "name the column of labels in target: whole numbers, booleans or text"
#: Classes, in lower case, that look like a code for a missing label.
_CODES_OF_LABELS = frozenset(
    ("?", "??", "--", "---", ".", "..", "...", "na", "n/a", "n.a.", "k.a.", "(null)", "missing")
)


def find_classes(column: pa.ChunkedArray) -> pa.Array:
    """Return the distinct labels of a column."""
    return column.filter(pa.array(~find_missing(column))).unique()


def check_type(name: str, column: pa.ChunkedArray) -> Violation | None:
    """Return why a column cannot hold labels, or None."""
    arrow_type = column.type
    is_text = bool(pa.types.is_string(arrow_type))
    if is_text and holds_dates(column):
        return Violation(name, "is the target and holds dates or times", remedy=_NAME_LABELS)
    if is_text or pa.types.is_boolean(arrow_type) or is_number(arrow_type):
        return None
    what = "dates or times" if pa.types.is_temporal(arrow_type) else f"{arrow_type}"
    return Violation(name, f"is the target and holds {what}", remedy=_NAME_LABELS)


def check_single_class(name: str, column: pa.ChunkedArray) -> Violation | None:
    """Return what is wrong where every label is the same, without a remedy where it depends on the task; else None."""
    classes = find_classes(column)
    if len(classes) > 1:
        return None
    label, missing = classes[0].as_py(), int(find_missing(column).sum())
    if not missing:
        return Violation(name, f"is the target and is {label!r} in every row")
    return Violation(
        name,
        f"is the target and is {label!r} in each of its {len(column) - missing:,} rows with a label; the other "
        f"{missing:,} are empty or were read as missing, and rows without a label are left out",
        remedy="write the other class in them in words, such as ok",
    )


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


def choose_positive_class(labels: pd.Series, asked: str) -> ClassLabel | None:
    """Return the class that metrics of two classes describe; None for more classes.

    Args:
        labels: The label of each row, without missing ones.
        asked: The class as the parameter `positive` gives it; "" for the rarer one, or the last in sort order where
            both are equally frequent.

    Raises:
        ParameterError: there is no such class, or there are more than two.
    """
    classes = sorted(labels.unique().tolist())
    if not asked:
        counts = labels.value_counts()
        return min(reversed(classes), key=lambda name: counts[name]) if len(classes) == 2 else None
    matches: list[ClassLabel] = [name for name in classes if is_name_of(asked, name)]
    if not matches:
        hint = did_you_mean(asked, [str(name) for name in classes])
        raise ParameterError(
            f"positive={asked} is no class of {labels.name!r}; {hint}its classes are {list_names(classes)}."
        )
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
        return AS_ASKED
    return RARER if counts.nunique() == 2 else "the last one in sort order, as both are equally frequent"
