"""Generated rows of presses: as in training, and after the start of a product that needs more pressure."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

MODEL = "press"
TARGET = "failed"
TIME = "at"
#: The feature that drifts.
DRIFTED = "pressure [bar]"
FEATURES = (DRIFTED, "temperature [°C]", "vibration [mm/s]", "tool")
_USUAL_PRESSURE, _NEW_PRESSURE = (100.0, 14.0), (129.0, 10.0)
_TOOLS = ("A", "B", "C")


def generate_rows(rng: np.random.Generator, count: int, *, is_drifted: bool = False) -> pd.DataFrame:
    """Return rows with the columns `FEATURES` and `TARGET`, 1 where the part failed.

    A part fails by a high temperature; with more pressure by a lower one, which depends on the tool. Training has few
    rows with so much pressure, so that a model learns this from rows of the new product only.
    """
    mean, deviation = _NEW_PRESSURE if is_drifted else _USUAL_PRESSURE
    pressure = rng.normal(mean, deviation, count)
    temperature = rng.normal(60, 8, count)
    vibration = rng.gamma(4.0, 0.5, count)
    tool = rng.choice(len(_TOOLS), count, p=(0.5, 0.3, 0.2))
    share = np.clip((pressure - 112) / 16, 0, 1)
    limit = 76 - share * np.array((10.0, 20.0, 0.0))[tool]
    failed = rng.random(count) < 1 / (1 + np.exp(-(temperature - limit) / 1.5))
    columns = (
        pressure.round(1),
        temperature.round(1),
        vibration.round(2),
        np.array(_TOOLS)[tool],
        failed.astype(np.int64),
    )
    return pd.DataFrame(dict(zip((*FEATURES, TARGET), columns, strict=True)))


def with_times(rows: pd.DataFrame, end: datetime, days: float) -> pd.DataFrame:
    """Return rows with the column `TIME`, spread evenly over the days before `end`."""
    step = timedelta(days=days) / len(rows)
    times = [(end - step * (len(rows) - number)).isoformat(timespec="seconds") for number in range(len(rows))]
    return rows.assign(**{TIME: times})
