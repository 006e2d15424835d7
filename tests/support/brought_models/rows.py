"""The rows on which the models in this folder were trained: three features, and targets that follow them."""

import numpy as np
import numpy.typing as npt


def make_features(rows: int = 400, *, missing: bool = False) -> npt.NDArray[np.float32]:
    """Return the features, shape [rows, 3], as single-precision numbers; every ninth pressure is missing on request."""
    values = np.random.default_rng(0).normal((50, 6, 1500), (5, 1, 200), (rows, 3)).round(3).astype(np.float32)
    if missing:
        values[::9, 1] = np.nan
    return values


def make_numbers(rows: int = 400) -> npt.NDArray[np.float64]:
    """Return a number for each row: the target of a regression."""
    scaled = (make_features(rows) - (50, 6, 1500)) / (5, 1, 200)
    return np.asarray(10 + 2 * scaled[:, 0] + scaled[:, 1] * scaled[:, 2], np.float64)


def make_labels(names: tuple[object, ...] = (0, 1), rows: int = 400) -> npt.NDArray[np.object_]:
    """Return a class for each row, by quantiles of the number."""
    numbers = make_numbers(rows)
    limits = np.quantile(numbers, np.linspace(0, 1, len(names) + 1)[1:-1])
    return np.array(names, object)[np.digitize(numbers, limits)]
