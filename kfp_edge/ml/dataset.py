"""The dataset: the contract between ingest, train, export and verify.

One Parquet file. The roles of the columns, how the rows were prepared, and the hash of the source data are in the
metadata of the Parquet schema, under the key `kfp_edge`, so that the file describes itself.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import ClassLabel, Float64s, Labels
from kfp_edge.ml.memory import return_freed_memory
from kfp_edge.ml.rolling_windows import RollingWindows
from kfp_edge.storage.files import write_file

_METADATA_KEY = b"kfp_edge"


@dataclass(frozen=True)
class Roles:
    """The roles of the columns; a column without a role is not in the frame."""

    #: One of `kfp_edge.ml.bundle.TASK_NAMES`.
    task: str
    #: The column of labels or, for `regression`, of numbers; "" when there are none, which only `anomaly` allows.
    target: str
    #: Feature columns of numbers: float32 in the frame, as the model gets them at the edge; NaN where missing.
    numeric: tuple[str, ...]
    #: Feature columns of text: str in an object column, None where missing.
    categorical: tuple[str, ...]
    #: Column of timestamps, or ""; not a feature.
    time: str = ""
    #: Column that names the asset, site or batch of a row, or ""; not a feature.
    group: str = ""
    #: All feature columns in the data's own order; numeric, then categorical when not given.
    features: tuple[str, ...] = ()
    #: The class that metrics of two classes describe, such as "Fail" or 1; None for more classes or without labels.
    positive: ClassLabel | None = None
    #: Column with how long it is until the failure, float64, in hours where the time column has timestamps and else in
    #: its units, NaN in rows without a failure within the horizon; or "". Not a feature.
    until_failure: str = ""

    def __post_init__(self) -> None:
        if not self.features:
            object.__setattr__(self, "features", self.numeric + self.categorical)
        if sorted(self.features) != sorted(self.numeric + self.categorical):
            raise ValueError("features must be the numeric and the categorical columns, each once")

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the frame: the features, then those of the other roles as far as there are any."""
        return self.features + tuple(name for name in (self.time, self.group, self.target, self.until_failure) if name)


@dataclass(frozen=True)
class Preparation:
    """How `ingest` made the two parts of a dataset, for reports and the model card; the same for both parts."""

    #: `random`, `time`, `group` or `group-and-time`; "" where the rows did not come from `ingest`.
    split: str = ""
    #: Why rows were split so, such as "there is a time column".
    split_reason: str = ""
    #: Number of rows that are in neither part, by the reason.
    left_out: Mapping[str, int] = field(default_factory=dict)
    #: What a reviewer should know about the data, each in one sentence.
    warnings: tuple[str, ...] = ()
    #: Number of rows from which the features of one row were computed: the longest rolling window; 1 without any.
    window_rows: int = 1
    #: Whether the zone of the times was known, so that they are in UTC.
    has_utc_times: bool = False
    #: Why the positive class is what it is, such as "the rarer class"; of anomalies also what the data calls them.
    positive_reason: str = ""
    #: The median of a target of numbers in the training rows: what predicting without a model would be. None without.
    target_median: float | None = None
    #: The lowest and the highest number that a target can have by its definition; None where there is none.
    target_low: float | None = None
    target_high: float | None = None
    #: The features that are statistics of rolling windows; None where there are none.
    rolling_windows: RollingWindows | None = None
    #: How the labels were made, in words; "" where the data has its own or none.
    made_labels: str = ""
    #: How long before a failure rows are positive, in hours or in units of the time column; 0 without such labels.
    horizon: float = 0.0
    #: Since when rows are recent: microseconds since 1970, or a number as in the time column; None where none are.
    recent_since: float | None = None


@dataclass(frozen=True)
class Dataset:
    """Rows and the roles of their columns. `frame` has the columns of `roles.columns` and a plain index from 0."""

    frame: pd.DataFrame
    roles: Roles
    #: SHA-256 of the source's bytes, 64 hex digits; the same for both parts of a split.
    sha256: str
    preparation: Preparation = Preparation()

    def x(self) -> pd.DataFrame:
        """Return the features, shape [rows, features], in the data's own column order.

        Numbers are float32, because that is what the model gets at the edge: whatever is fitted or compared in double
        precision differs from it. A missing category is the category "", because ONNX has no missing strings.
        """
        features = self.frame[list(self.roles.features)]
        if self.roles.categorical:
            features = features.fillna(dict.fromkeys(self.roles.categorical, ""))
        # only where needed: pandas would store each column apart, and slow down everything that reads thousands of them
        others = [name for name in self.roles.numeric if self.frame[name].dtype != np.float32]
        return features.astype(dict.fromkeys(others, np.float32)) if others else features

    def y(self) -> Labels:
        """Return the labels, shape [rows].

        Classification: int64 where the data has integers or booleans, else str (object). Anomaly: int64,
        1 = anomalous.

        Raises:
            DataError: the data has no labels.
        """
        if not self.roles.target:
            raise DataError("this data has no labels; give ingest a target column or failure windows.")
        return self.frame[self.roles.target].to_numpy()

    def target_values(self) -> Float64s:
        """Return the numbers that a regression predicts, shape [rows], in double precision."""
        return self.frame[self.roles.target].to_numpy(np.float64)

    def groups(self) -> Labels | None:
        """Return the group of each row, shape [rows], or None where there are no groups."""
        return self.frame[self.roles.group].to_numpy() if self.roles.group else None


def save(dataset: Dataset, path: Path) -> None:
    """Write a dataset as one Parquet file, completely or not at all; the same dataset gives the same bytes.

    Raises:
        StorageError: the file system refuses.
    """
    metadata = {
        "roles": dataclasses.asdict(dataset.roles),
        "sha256": dataset.sha256,
        "preparation": dataclasses.asdict(dataset.preparation),
    }
    frame = dataset.frame[list(dataset.roles.columns)]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({_METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_file(path, memoryview(sink.getvalue()).tobytes())


def load(path: Path) -> Dataset:
    """Read what `save` wrote.

    Raises:
        DataError: the file is missing, damaged, or was not written by `save`.
    """
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        raise DataError(f"there is no dataset at {path}.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a readable dataset (damaged Parquet); make it again with ingest.") from error
    try:
        metadata = json.loads(table.schema.metadata[_METADATA_KEY])
        roles = Roles(**_restore_tuples(metadata["roles"]))
        preparation = _restore_preparation(metadata.get("preparation", {}))
        frame = _to_frame(table, roles)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} was not written by kfp-edge's ingest; give its train_data or test_data.") from error
    del table  # the frame has copies of its columns
    return_freed_memory()
    return Dataset(frame, roles, metadata["sha256"], preparation)


def _restore_preparation(fields: dict[str, Any]) -> Preparation:
    windows = fields.get("rolling_windows")
    restored = None if windows is None else RollingWindows(**_restore_tuples(windows))
    return Preparation(**{**_restore_tuples(fields), "rolling_windows": restored})


def _restore_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _to_frame(table: pa.Table, roles: Roles) -> pd.DataFrame:
    return pd.DataFrame({name: _to_series(table.column(name)) for name in roles.columns})


def _to_series(column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pd.Series(_share_strings(column), dtype=object)
    return pd.Series(column.to_pandas())


def _share_strings(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Return text as Python strings, None where missing; equal cells share one string, which keeps millions small."""
    encoded = column.combine_chunks().dictionary_encode()
    strings = np.array([*encoded.dictionary.to_pylist(), None], dtype=object)
    shared: npt.NDArray[np.object_] = strings[encoded.indices.fill_null(len(strings) - 1).to_numpy()]
    return shared
