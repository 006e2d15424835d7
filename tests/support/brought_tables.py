"""Tables for models that were trained elsewhere, one for each task."""

import numpy as np
import pandas as pd

from kfp_edge.ml.dataset import Dataset, Roles
from support.brought_models.rows import make_features, make_labels, make_numbers
from support.tables import SHA

COLUMNS = ("temp", "pressure", "speed")


def make_data(
    names: tuple[object, ...] = (0, 1), *, missing: bool = False, columns: tuple[str, ...] = COLUMNS
) -> Dataset:
    """Return the table of a classification, with the classes of these names."""
    frame = pd.DataFrame(make_features(missing=missing), columns=list(columns))
    frame["state"] = pd.Series(make_labels(names).tolist(), dtype=object if isinstance(names[0], str) else np.int64)
    return Dataset(frame, Roles("classification", "state", columns, ()), SHA)


def make_regression_data() -> Dataset:
    """Return the table of a regression."""
    frame = pd.DataFrame(make_features(), columns=list(COLUMNS)).assign(state=make_numbers())
    return Dataset(frame, Roles("regression", "state", COLUMNS, ()), SHA)


def make_anomaly_data(*, labelled: bool = True) -> Dataset:
    """Return the table of a detector: one row in twenty is far from the others."""
    values = make_features()
    is_odd = np.arange(len(values)) % 20 == 0
    values[is_odd] += np.float32((30, 6, 1200))
    frame = pd.DataFrame(values, columns=list(COLUMNS)).assign(state=is_odd.astype(np.int64))
    return Dataset(frame, Roles("anomaly", "state" if labelled else "", COLUMNS, ()), SHA)


def reorder(data: Dataset, features: tuple[str, ...]) -> Dataset:
    """Return the data with its features in another order."""
    roles = Roles(data.roles.task, data.roles.target, features, ())
    return Dataset(data.frame[list(roles.columns)], roles, data.sha256)
