"""The files of a folder as groups of rows: runs, experiments, machines."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from kfp_edge.components.ingest.reading.unread_files import UnreadFile
from kfp_edge.ml.dataset import Roles

#: Names for the column of file names, of which the first is taken that the data does not have.
_COLUMN_NAMES = ("file", "file_name", "source_file", "kfp_edge_file")
#: Files continue each other if the next one begins within this many sampling intervals.
_MAX_GAP = 10


def add_file_groups(
    frame: pd.DataFrame, roles: Roles, file_names: pd.Series, unread: Sequence[UnreadFile]
) -> tuple[pd.DataFrame, Roles]:
    """Add the file of each row as its group, unless the files are one recording in pieces.

    Args:
        frame: The rows.
        roles: The roles of its columns.
        file_names: The file of each row.
        unread: The files of which no row was read.
    """
    if roles.time and _continue_each_other(frame[roles.time], file_names, unread):
        print(
            f"the files follow each other in {roles.time!r} without a gap: they are read as one recording", flush=True
        )
        return frame, roles
    column = next(name for name in _COLUMN_NAMES if name not in frame)
    count = file_names.nunique()
    print(
        f"each of the {count:,} files is a group of rows, in the column {column!r}; group_column can name another",
        flush=True,
    )
    return frame.assign(**{column: file_names}), dataclasses.replace(roles, group=column)


def _continue_each_other(times: pd.Series, file_names: pd.Series, unread: Sequence[UnreadFile]) -> bool:
    """Return whether each file begins where the one before ends."""
    numbers = times.astype(np.int64) if pd.api.types.is_datetime64_dtype(times) else times
    ranges = numbers.groupby(file_names).agg(["min", "max", "size"])
    if unread:
        others = [(file.first, file.last, file.rows) for file in unread]
        ranges = pd.concat([ranges, pd.DataFrame(others, columns=["min", "max", "size"])])
    ranges = ranges.sort_values("min")
    intervals = (ranges["max"] - ranges["min"]) / (ranges["size"] - 1).clip(lower=1)
    gaps = ranges["min"].to_numpy()[1:] - ranges["max"].to_numpy()[:-1]
    return bool((gaps > 0).all() and (gaps <= _MAX_GAP * intervals.median()).all())
