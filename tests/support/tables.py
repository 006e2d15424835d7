"""Small tables with known structure."""

import numpy as np
import pandas as pd

from kfp_edge.ml.dataset import Dataset, Roles

SHA = "0" * 64


def failures(
    rows: int = 2000, seed: int = 0, *, labels: tuple[object, object] = (0, 1), categorical: bool = True
) -> Dataset:
    """A machine that fails, rarely, when it is hot and turns hard; type B stands more."""
    rng = np.random.default_rng(seed)
    heat, torque = rng.normal(300, 2, rows), rng.normal(40, 10, rows)
    kind = rng.choice(["A", "B"], rows)
    failed = (heat > 301) & (torque > np.where(kind == "B", 58, 52))
    frame = pd.DataFrame({"heat [K]": heat, "torque [Nm]": torque})
    if categorical:
        frame["type"] = pd.Series(kind, dtype=object)
    frame["failed"] = pd.Series(np.where(failed, labels[1], labels[0]).tolist())
    if isinstance(labels[0], str):
        frame["failed"] = frame["failed"].astype(object)
    words = ("type",) if categorical else ()
    return Dataset(frame, Roles("classification", "failed", ("heat [K]", "torque [Nm]"), words), SHA)


def anomalies(rows: int = 2000, seed: int = 0, *, labelled: bool = True) -> Dataset:
    """A sensor that leaves its band for a while in the last third of the rows."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (rows, 2))
    odd = np.zeros(rows, dtype=np.int64)
    odd[-rows // 4 : -rows // 4 + rows // 20] = 1
    values[odd == 1] += 8
    frame = pd.DataFrame(values, columns=["temperature", "vibration"])
    frame["odd"] = odd
    roles = Roles("anomaly", "odd" if labelled else "", ("temperature", "vibration"), ())
    return Dataset(frame[list(roles.columns)], roles, SHA)
