"""Rows whose target is a number: the wear of machines, with groups, times, missing values and a category."""

import numpy as np
import pandas as pd

from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from support.tables import SHA

TARGET = "wear [mm]"


def wear(rows: int = 600, seed: int = 0, *, offset: float = 0.0, scale: float = 1.0, noise: float = 1.0) -> Dataset:
    """Return rows of ten machines whose wear grows with heat and torque, faster for type B; some heats are missing."""
    rng = np.random.default_rng(seed)
    heat, torque = rng.normal(300, 2, rows), rng.normal(40, 10, rows)
    kind = rng.choice(["A", "B"], rows)
    target = 2 * (heat - 300) + torque * np.where(kind == "B", 0.5, 0.2) + rng.normal(0, noise, rows)
    heat[rng.random(rows) < 0.1] = np.nan
    frame = pd.DataFrame(
        {
            "heat [K]": heat.astype(np.float32),
            "torque [Nm]": torque.astype(np.float32),
            "type": pd.Series(kind, dtype=object),
            "at": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "machine": np.arange(rows) * 10 // rows,
            TARGET: target * scale + offset,
        }
    )
    roles = Roles("regression", TARGET, ("heat [K]", "torque [Nm]"), ("type",), time="at", group="machine")
    return Dataset(frame, roles, SHA, Preparation("group", target_median=float(np.median(frame[TARGET]))))


def split_wear(data: Dataset) -> tuple[Dataset, Dataset]:
    """Return the rows of the first eight machines, and those of the other two."""
    is_test = (data.frame["machine"] >= 8).to_numpy()
    parts = (data.frame[mask].reset_index(drop=True) for mask in (~is_test, is_test))
    train, test = (Dataset(frame, data.roles, SHA, data.preparation) for frame in parts)
    return train, test
