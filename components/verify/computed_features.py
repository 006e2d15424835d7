"""Features that the server computes from the rows before: their definition, and a recorded request of such rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kfp_edge.components.verify.samples import has_finite_outputs, is_accepted, record_response
from kfp_edge.ml.arrays import Int64s, Mask
from kfp_edge.ml.bundle import Column, Features, Sample, Signature, WindowFeature
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge_serving.features.rolling_windows import STATISTICS, compute_windows

#: Values of a recorded request of rows; a server takes requests of at most 4 MiB by default.
_MAX_VALUES = 60_000
#: Runs of rows of one group that are tried until one can be recorded.
_MAX_RUNS = 20


def define_features(signature: Signature, data: Dataset) -> Features | None:
    """Return how the server computes features of a model, None if it computes none.

    Args:
        signature: The signature of the model.
        data: Rows of the data that the model was trained or verified on.
    """
    windows = data.preparation.rolling_windows
    names = {column.name for column in _list_columns(signature)}
    used = [] if windows is None else [feature for feature in windows.list_features() if feature.name in names]
    if windows is None or not used:
        return None
    roles = data.roles
    return Features(
        time_column=roles.time,
        time_kind="timestamp" if pd.api.types.is_datetime64_dtype(data.frame[roles.time]) else "number",
        has_unique_times=windows.has_unique_times,
        group_column=roles.group or None,
        windows=tuple(WindowFeature.model_validate(feature._asdict()) for feature in used),
    )


def record_rows(model: OnnxModel, features: Features, parts: Sequence[Dataset]) -> tuple[Sample, ...]:
    """Record a request of just as many rows of one group as the longest window has, with the answer for the last one.

    Args:
        model: The verified model.
        features: The features that the server computes.
        parts: Rows of the data; the first of them that has such rows is used.

    Returns:
        One sample; none where no part has such rows in an unbroken run, or where they are too many for one request.
    """
    needed = max(window.rows for window in features.windows)
    if needed * len(_list_measured(model.signature, features)) > _MAX_VALUES:
        return ()
    for data in parts:
        for positions in _find_runs(model.signature, features, data, needed):
            sample = _record_run(model, features, data, positions)
            if sample is not None:
                return (sample,)
    return ()


def _list_columns(signature: Signature) -> list[Column]:
    return [column for tensor in signature.inputs for column in tensor.columns]


def _list_measured(signature: Signature, features: Features) -> list[Column]:
    """Return the columns of a row of a client, beside time and group."""
    computed = {window.name for window in features.windows}
    measured = [column for column in _list_columns(signature) if column.name not in computed]
    names = {column.name for column in measured}
    sources = dict.fromkeys(window.source for window in features.windows)
    return [*measured, *(Column(name=name) for name in sources if name not in names)]


def _find_runs(signature: Signature, features: Features, data: Dataset, needed: int) -> Iterator[Int64s]:
    """Yield positions of so many rows of one group, one after the other, that the server takes."""
    rows = data.x()
    accepted: Mask = np.logical_and.reduce(
        [is_accepted(column, rows[column.name]) for column in _list_measured(signature, features)]
    )
    times, groups = data.frame[features.time_column].to_numpy(), data.groups()
    codes = np.zeros(len(rows), dtype=np.int64) if groups is None else pd.factorize(groups)[0]
    order = np.argsort(codes, kind="stable")
    is_next = accepted[order]
    later = times[order][1:] > times[order][:-1]
    is_next[1:] &= (codes[order][1:] == codes[order][:-1]) & (later | (not features.has_unique_times))
    runs = 0
    start = 0
    for index in range(len(order)):
        if not is_next[index]:
            # the first row of a run follows no other one
            start = index if accepted[order[index]] else index + 1
        if index - start + 1 == needed and runs < _MAX_RUNS:
            runs += 1
            yield order[start : index + 1]
            start = index + 1


def _record_run(model: OnnxModel, features: Features, data: Dataset, positions: Int64s) -> Sample | None:
    """Return the sample of one run; None where a feature is missing that may not be, or an output is not finite."""
    rows = data.x().iloc[positions]
    last = rows.iloc[[-1]].copy()
    for window in features.windows:
        values = rows[window.source].to_numpy(np.float32)[None]
        last[window.name] = compute_windows(values, [window.rows])[0, 0, STATISTICS.index(window.statistic), -1]
    required = [column.name for column in _list_columns(model.signature) if column.required]
    if last[required].isna().any(axis=None) or not has_finite_outputs(model, last).all():
        return None
    frame = data.frame.iloc[positions]
    names = [column.name for column in _list_measured(model.signature, features)]
    roles = [name for name in (features.time_column, features.group_column) if name is not None]
    records = [
        {name: _to_json(value) for name, value in row.items()}
        for row in pd.concat([frame[roles], rows[names]], axis=1).to_dict(orient="records")
    ]
    return Sample(request={"rows": records}, response=record_response(model, last))


def _to_json(value: Any) -> str | float | int | None:
    """Return a cell as a client sends it."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and np.isnan(value):
        return None
    return value if isinstance(value, int | float | str) else str(value)
