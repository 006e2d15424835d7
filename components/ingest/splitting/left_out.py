"""The rows that are in neither part, and why."""

import numpy as np

from kfp_edge.ml.arrays import Int64s, Mask


class LeftOutRows:
    """A reason for each of n rows that is left out; the first one counts."""

    def __init__(self, rows: int) -> None:
        self._codes = np.zeros(rows, dtype=np.int8)
        self._reasons: list[str] = []
        self._others: list[int] = []

    def add(self, mask: Mask, reason: str, others: int = 0) -> None:
        """Leave out the rows that `mask` selects, shape [n], as far as they were not left out before.

        Args:
            mask: The rows.
            reason: Why they are left out.
            others: How many rows, beside those n, were not even read for this reason.
        """
        self._reasons.append(reason)
        self._others.append(others)
        self._codes[mask & (self._codes == 0)] = len(self._reasons)

    def reorder(self, order: Int64s) -> None:
        """Bring the rows into another order."""
        self._codes = self._codes[order]

    @property
    def mask(self) -> Mask:
        """The rows that are left out, shape [n]."""
        return self._codes > 0

    def count(self) -> dict[str, int]:
        """Return the number of rows by the reason, in the order of the reasons, without those that leave out none."""
        counts = (np.bincount(self._codes, minlength=len(self._reasons) + 1)[1:] + self._others).tolist()
        return {reason: count for reason, count in zip(self._reasons, counts, strict=True) if count}
