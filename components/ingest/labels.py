"""The labels of the data: which class of two the metrics describe."""

import pandas as pd

from kfp_edge.errors import ParameterError
from kfp_edge.ml.arrays import ClassLabel

_BOOLEANS = {"true": "1", "false": "0"}
_MAX_LISTED_CLASSES = 20


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
        if asked and not _names(asked, 1):
            raise ParameterError(f"an anomaly task is about the anomalous rows, those labelled 1: leave out {asked!r}.")
        return 1
    if not asked:
        counts = labels.value_counts()
        return min(reversed(classes), key=lambda name: counts[name]) if len(classes) == 2 else None
    matches: list[ClassLabel] = [name for name in classes if _names(asked, name)]
    if not matches:
        raise ParameterError(f"positive={asked} is no class of {labels.name!r}; its classes are {_list(classes)}.")
    if len(classes) > 2:
        raise ParameterError(
            f"positive={asked} is for a target of two classes, and {labels.name!r} has {len(classes)} "
            f"({_list(classes)}); leave positive empty."
        )
    return matches[0]


def _names(asked: str, name: ClassLabel) -> bool:
    """Return whether a parameter's text means a class: text as it is; 1 also as `true` or `1.0`."""
    if isinstance(name, str):
        return asked == name
    try:
        return float(_BOOLEANS.get(asked.lower(), asked)) == name
    except ValueError:
        return False


def _list(classes: list[ClassLabel]) -> str:
    listed = ", ".join(repr(name) for name in classes[:_MAX_LISTED_CLASSES])
    more = len(classes) - _MAX_LISTED_CLASSES
    return f"{listed} and {more} more" if more > 0 else listed
