"""The parameters of `ingest`: their defaults for generated data, and the combinations that contradict each other."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp_edge.components.ingest import synthetic
from kfp_edge.errors import ParameterError

_TASKS = ("classification", "anomaly")
_SPLITS = ("auto", "random", "time", "group")


@dataclass(frozen=True)
class IngestRequest:
    """The parameters of `ingest`; the component describes each of them."""

    data: str
    target: str = ""
    drop: tuple[str, ...] = ()
    task: str = "classification"
    time_column: str = ""
    group_column: str = ""
    windows: str = ""
    rolling_windows: tuple[int, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    split: str = "auto"
    test_fraction: float = 0.2
    seed: int = 0

    @property
    def split_method(self) -> str:
        """`random`, `time` or `group`; `auto` is resolved by the columns that are named."""
        if self.split != "auto":
            return self.split
        if self.time_column:
            return "time"
        return "group" if self.group_column else "random"

    @property
    def role_columns(self) -> dict[str, str]:
        """Column name by role, "" where there is none."""
        return {"target": self.target, "time": self.time_column, "group": self.group_column}


def complete_request(request: IngestRequest) -> IngestRequest:
    """Set the target of generated data, and drop the columns that leak it."""
    if not request.data.startswith(synthetic.SCHEME) or request.target:
        return request
    drop = tuple(dict.fromkeys((*synthetic.NOT_FEATURES, *request.drop)))
    return dataclasses.replace(request, target=synthetic.TARGET, drop=drop)


def check_request(request: IngestRequest) -> None:
    """Refuse parameters that are out of range or contradict each other.

    Raises:
        ParameterError: with the first contradiction.
    """
    method = request.split_method
    contradictions = {
        "task must be classification or anomaly.": request.task not in _TASKS,
        "split must be auto, random, time or group.": request.split not in _SPLITS,
        "test_fraction must lie between 0 and 1.": not 0 < request.test_fraction < 1,
        "classification needs labels: name the label column in target, or give failure windows.": (
            request.task == "classification" and not request.target and not request.windows
        ),
        "split=time needs a time_column.": method == "time" and not request.time_column,
        "split=group needs a group_column.": method == "group" and not request.group_column,
        "windows need a time_column.": bool(request.windows) and not request.time_column,
        "rolling_windows need a time_column, by which the rows are ordered.": (
            bool(request.rolling_windows) and not request.time_column
        ),
        "split=random with rolling_windows would leak: neighbouring rows share their past; use split=time or group.": (
            method == "random" and bool(request.rolling_windows)
        ),
        "an anomaly task with windows trains on the rows before the first one; use split=auto.": (
            request.task == "anomaly" and bool(request.windows) and method != "time"
        ),
    }
    for message, is_violated in contradictions.items():
        if is_violated:
            raise ParameterError(message)
    _check_role_columns(request)


def _check_role_columns(request: IngestRequest) -> None:
    names = [name for name in request.role_columns.values() if name]
    for name in names:
        if name in request.drop:
            raise ParameterError(f"column {name!r} is in drop and has another role too; remove it from one of them.")
        if names.count(name) > 1:
            raise ParameterError(f"column {name!r} has two roles; target, time_column and group_column must differ.")
