"""Parts of the training rows, each of which is predicted by a model that was fitted on the others."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Int64s, Labels
from kfp_edge.ml.dataset import Dataset
from kfp_edge.wording import count_of

_PARTS = 5


@dataclass(frozen=True)
class UnseenRows:
    """Row numbers to fit on and to predict, for each part; every row is predicted once. `origin` says how, in words."""

    parts: tuple[tuple[Int64s, Int64s], ...]
    origin: str


def divide_rows(data: Dataset, purpose: str) -> UnseenRows:
    """Divide labelled rows so that a model meets unseen rows as it will at the edge.

    Whole groups if the model will see others, which it will unless rows were split by time; else blocks of the time if
    there is a time column, since machines change; else rows drawn at random with the same share of each class.

    Args:
        data: The training rows.
        purpose: What needs the parts, such as "a threshold", for the error.

    Raises:
        DataError: a class has too few rows or groups.
    """
    roles, labels = data.roles, data.y()
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        _refuse(classes[counts.argmin()], "a single training row", purpose)
    rows = count_of(len(labels), "training row")
    if roles.group and data.preparation.split != "time":
        codes, groups = pd.factorize(data.frame[roles.group], sort=True)
        if len(groups) > 1:
            splitter = StratifiedGroupKFold(min(_PARTS, len(groups)))
            parts = [(fitted, unseen) for fitted, unseen in splitter.split(codes, labels, codes) if len(unseen)]
            of_groups = count_of(len(groups), "group")
            origin = f"{rows} of {of_groups}, each predicted by a model that was fitted on other groups"
            return _check(UnseenRows(tuple(parts), origin), labels, "too few groups", purpose)
    if roles.time:
        order = np.argsort(data.frame[roles.time].to_numpy(), kind="stable")
        blocks = np.array_split(order, min(_PARTS, len(order)))
        parts = [(np.sort(np.setdiff1d(order, block)), np.sort(block)) for block in blocks]
        origin = f"{rows}, each predicted by a model that was fitted on other stretches of time"
        return _check(UnseenRows(tuple(parts), origin), labels, "rows in too short a time", purpose)
    splitter = StratifiedKFold(min(_PARTS, int(counts.min())), shuffle=True, random_state=0)
    parts = list(splitter.split(labels, labels))
    return UnseenRows(tuple(parts), f"{rows}, each predicted by a model that was fitted on others")


def _check(rows: UnseenRows, labels: Labels, lack: str, purpose: str) -> UnseenRows:
    """Return the rows if every model meets every class."""
    for label in np.unique(labels).tolist():
        if not all((labels[fitted] == label).any() for fitted, _ in rows.parts):
            _refuse(label, lack, purpose)
    return rows


def _refuse(label: object, lack: str, purpose: str) -> None:
    raise DataError(
        f"the class {label!s} has {lack} to choose {purpose} on rows that the model has not seen; give more rows of "
        "that class, or more groups that have it."
    )
