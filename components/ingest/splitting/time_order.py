"""The order of rows in time, and rows that share their time."""

import numpy as np
import pandas as pd

from kfp_edge.components.ingest.splitting.left_out import LeftOutRows
from kfp_edge.ml.dataset import Roles

#: Share of rows that share their time with the row before, from which on several machines are likely.
_MANY_SHARED_TIMES = 0.2


def sort_by_time(frame: pd.DataFrame, column: str, left_out: LeftOutRows) -> pd.DataFrame:
    """Return the rows by time, and reorder `left_out` alike; rows of the same time keep their order."""
    if frame[column].is_monotonic_increasing:
        return frame
    order = np.argsort(frame[column].to_numpy(), kind="stable")
    left_out.reorder(order)
    return frame.iloc[order].reset_index(drop=True)


def find_shared_times(frame: pd.DataFrame, roles: Roles) -> list[str]:
    """Return a warning where rows of one machine share a time, so that their order is that of the file."""
    if roles.group:
        count = int(frame.duplicated([roles.group, roles.time]).sum())
        where = f"of the same {roles.group!r}"
    else:
        times = frame[roles.time].to_numpy()
        count = int((times[1:] == times[:-1]).sum())
        where = "of the data"
    if not count:
        return []
    warning = (
        f"{count:,} rows have the same time in {roles.time!r} as another row {where} and keep the order of the file"
    )
    if not roles.group and count > _MANY_SHARED_TIMES * len(frame):
        warning += "; if they are from several machines, name the column of the machine in group_column"
    return [warning]
