"""Statistics of rolling windows. Training calls this module for all rows, the server for one window at a time.

Both get the same bits: every statistic is merged from those of shorter windows (of 1, 2, 4, ... rows) in an order that
depends on the length of the window only, by operations on single elements. Means and squared deviations are merged as
by Chan, Golub and LeVeque ("Algorithms for Computing the Sample Variance", 1983), so that a value that has left the
window leaves no trace, as in sums that are carried along.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

# the serving image has no numpy.typing
Float32s = np.ndarray[Any, np.dtype[np.float32]]
Float64s = np.ndarray[Any, np.dtype[np.float64]]

#: The statistics of a window; `diff` is the last value minus the mean.
STATISTICS = ("mean", "std", "min", "max", "diff")

#: Values that are computed at a time: intermediate results then stay in the cache of the processor.
_CHUNK = 1 << 14


class _Moments(NamedTuple):
    """Statistics of windows that end at successive rows, each of shape [columns, windows].

    A window without any value has size, mean and deviations 0, minimum and maximum NaN.
    """

    #: Number of values; where nothing is missing, one number for all windows.
    size: Float64s | float
    mean: Float64s
    #: Sum of the squared deviations from the mean.
    deviations: Float64s
    low: Float64s
    high: Float64s

    def cut(self, first: int, last: int) -> "_Moments":
        """Return the moments without the first and the last windows."""
        part = np.s_[:, first : self.mean.shape[1] - last]
        size = self.size if isinstance(self.size, float) else self.size[part]
        return _Moments(size, self.mean[part], self.deviations[part], self.low[part], self.high[part])


def compute_windows(values: Float32s, widths: Sequence[int]) -> Float32s:
    """Return the statistics of the windows that end at each row.

    Values are float32, as a model gets them. Missing ones (NaN) are skipped: `std` (with one degree of
    freedom less than values) is 0 for a single value, every statistic of none is NaN.

    Args:
        values: The columns of one series, rows in the order of time; shape [columns, rows].
        widths: Lengths of windows in rows, each at least 1; before the first row all values count as missing.

    Returns:
        Shape [columns, widths, 5, rows], statistics in the order of `STATISTICS`.
    """
    columns, rows = values.shape
    longest = max(widths)
    result = np.empty((columns, len(widths), len(STATISTICS), rows), np.float32)
    padded = np.concatenate([np.full((columns, longest - 1), np.nan, np.float32), values], axis=1)
    # a chunk repeats the rows of a window before its own
    step = max(_CHUNK // max(1, columns), 4 * longest)
    for start in range(0, rows, step):
        end = min(start + step, rows)
        chunk = padded[:, start : end + longest - 1].astype(np.float64)
        for index, statistics in enumerate(_compute_chunk(chunk, widths, end - start)):
            result[:, index, :, start:end] = statistics
    return result


def compute_last_window(values: Float32s, widths: Sequence[int]) -> Float32s:
    """Return the statistics of the windows that end at the last row, as `compute_windows` does.

    Args:
        values: At least as many rows as the longest window has, shape [columns, rows].
        widths: Lengths of windows in rows.

    Returns:
        Shape [columns, widths, 5].
    """
    chunk = values[:, -max(widths) :].astype(np.float64)
    return np.stack([statistics[:, :, 0] for statistics in _compute_chunk(chunk, widths, 1)], axis=1)


def _compute_chunk(values: Float64s, widths: Sequence[int], windows: int) -> Iterator[Float32s]:
    """Yield for each width the statistics of the last windows, shape [columns, 5, windows]."""
    last = values[:, values.shape[1] - windows :]
    merged = _merge_blocks(values, set(widths))
    for width in widths:
        moments = merged[width]
        yield _summarize(moments.cut(moments.mean.shape[1] - windows, 0), last)


def _merge_blocks(values: Float64s, widths: set[int]) -> dict[int, _Moments]:
    """Return the moments of all windows of each width inside of the rows, shape [columns, rows - width + 1]."""
    block, size = _start(values), 1
    merged: dict[int, tuple[int, _Moments]] = {}
    while True:
        for width in widths:
            if width & size:
                # the newest rows are in the blocks that were merged before
                covered, newer = merged.get(width, (0, None))
                if newer is None:
                    merged[width] = size, block
                else:
                    merged[width] = covered + size, _merge(block.cut(0, covered), newer.cut(size, 0))
        if 2 * size > max(widths):
            return {width: moments for width, (_, moments) in merged.items()}
        block = _merge(block.cut(0, size), block.cut(size, 0))
        size *= 2


def _start(values: Float64s) -> _Moments:
    """Return the moments of windows of one row."""
    missing = np.isnan(values)
    values = values + 0.0  # minus zero becomes zero: minimum and maximum do not tell them apart
    if not missing.any():
        return _Moments(1.0, values, np.zeros_like(values), values, values)
    known = np.where(missing, 0.0, values)
    return _Moments((~missing).astype(np.float64), known, np.zeros_like(values), values, values)


def _merge(older: _Moments, newer: _Moments) -> _Moments:
    size = older.size + newer.size
    is_complete = isinstance(size, float)
    weight = newer.size / (size if is_complete else np.maximum(size, 1.0))
    delta = newer.mean - older.mean
    deviations = delta * delta
    deviations *= older.size * weight
    deviations += older.deviations + newer.deviations
    delta *= weight
    delta += older.mean
    if is_complete:
        low, high = np.minimum(older.low, newer.low), np.maximum(older.high, newer.high)
    else:
        low, high = np.fmin(older.low, newer.low), np.fmax(older.high, newer.high)
    return _Moments(size, delta, deviations, low, high)


def _summarize(moments: _Moments, last: Float64s) -> Float32s:
    statistics = np.empty((last.shape[0], len(STATISTICS), last.shape[1]), np.float32)
    size, mean = moments.size, moments.mean
    deviation = np.sqrt(moments.deviations / np.maximum(size - 1.0, 1.0))
    if not isinstance(size, float):
        mean = np.where(size > 0, mean, np.nan)
        deviation = np.where(size > 0, deviation, np.nan)
    with np.errstate(over="ignore"):  # deviations of the largest float32 exceed them
        for index, values in enumerate((mean, deviation, moments.low, moments.high, last - mean)):
            statistics[:, index] = values
    return statistics
