"""The time of rows on the axis of a figure."""

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import ScalarFormatter

from kfp_edge.ml.arrays import Float64s
from kfp_edge.ml.dataset import Dataset

#: Where matplotlib begins to count days.
_EPOCH = np.datetime64(0, "ns")


def to_axis_values(data: Dataset) -> Float64s:
    """Return the time of each row, shape [rows]: days since 1970 of dates, numbers as they are, else its position."""
    if not data.roles.time:
        return np.arange(len(data.frame), dtype=np.float64)
    times = data.frame[data.roles.time]
    if pd.api.types.is_datetime64_any_dtype(times):
        return (times.to_numpy("datetime64[ns]") - _EPOCH) / np.timedelta64(1, "D")
    return times.to_numpy(np.float64)


def format_axis(axis: Axes, data: Dataset) -> None:
    """Write the times below an axis as dates or numbers."""
    if data.roles.time and pd.api.types.is_datetime64_any_dtype(data.frame[data.roles.time]):
        locator = mdates.AutoDateLocator(maxticks=10)  # type: ignore[no-untyped-call]
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        return
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_powerlimits((-4, 15))
    axis.xaxis.set_major_formatter(formatter)
