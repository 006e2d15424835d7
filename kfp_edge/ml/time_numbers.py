"""Times as numbers, which are compared, added and subtracted in one way: microseconds, or units of the time column."""

import numpy as np
import pandas as pd

from kfp_edge.ml.arrays import Float64s

MICROSECONDS_PER_HOUR = 3_600_000_000


def to_numbers(times: pd.Series) -> Float64s:
    """Return times, shape [n], in microseconds since 1970, which float64 holds exactly, or as they are if numbers.

    Missing times are NaN.
    """
    if not pd.api.types.is_datetime64_dtype(times):
        return times.to_numpy(np.float64)
    values = times.to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(values), np.nan, values.astype(np.int64))


def to_time(number: float, *, is_number: bool) -> pd.Timestamp | float:
    """Return the time of a number that `to_numbers` gave; `is_number` where the times were numbers."""
    return number if is_number else pd.Timestamp(round(number), unit="us")


def to_lengths(differences: Float64s, *, is_number: bool) -> Float64s:
    """Return differences of such numbers in hours, or in units of the time column where the times were numbers."""
    return differences if is_number else differences / MICROSECONDS_PER_HOUR
