"""Which columns of a failure log name the machine, the time of the failure, and the end of the repair."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest.labelling.log_times import holds_times
from kfp_edge.components.ingest.labelling.machine_names import find_similar, match_names, to_text
from kfp_edge.components.ingest.listing import list_names
from kfp_edge.components.ingest.reading.arrow_columns import is_number
from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.suggestions import suggest

_AS_GIVEN = "as failure_columns says"
#: What a column of machines is called, without case, spaces and signs.
_MACHINE_NAME = re.compile(r"(machine|asset|equipment|device|engine)(id|no|nr|number|name)?|unit(id|no|nr|number|name)")


@dataclass(frozen=True)
class LogColumns:
    """Names of columns of a failure log, "" where there is none, and why it is they."""

    time: str
    machine: str
    repaired: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class DataColumns:
    """What the columns of a log are compared with."""

    time: str
    #: Whether the times are numbers.
    has_number_times: bool
    time_formats: tuple[str, ...]
    #: "" where the data has no groups.
    group: str
    groups: Collection[ClassLabel]


def choose_columns(
    log: str, table: pa.Table, names: pa.Table, stated: Mapping[str, str], data: DataColumns
) -> LogColumns:
    """Choose the columns of a failure log: as stated, by the names of the data's columns, or by what they hold.

    Args:
        log: Name of the log, for messages.
        table: The log.
        names: The log with its numbers as they are written, among which the names of machines are looked for.
        stated: Names of columns by what they are, as the parameter `failure_columns` gives them.
        data: What the columns are compared with.

    Raises:
        ParameterError: a stated column does not exist.
        DataError: there is no such column, or several columns could be meant.
    """
    for role, name in stated.items():
        if name not in table.column_names:
            similar = suggest(name, table.column_names)
            hint = f"did you mean {similar!r}?" if similar else f"its columns are {list_names(table.column_names)}."
            raise ParameterError(
                f"the failure log {log} has no column {name!r}, which failure_columns names as {role}; {hint}"
            )
    machine, why_machine = _choose_machine(log, names, stated, data)
    taken = [name for name in (machine, stated.get("repaired", "")) if name]
    time, why_time = _choose_time(log, table, stated, data, taken)
    reasons = [f"the time of a failure is in {time!r} ({why_time})"]
    if machine:
        reasons.append(f"its machine is in {machine!r} ({why_machine})")
    repaired = stated.get("repaired", "")
    if repaired:
        reasons.append(f"the end of its repair is in {repaired!r} ({_AS_GIVEN})")
    return LogColumns(time, machine, repaired, tuple(reasons))


def _choose_machine(log: str, table: pa.Table, stated: Mapping[str, str], data: DataColumns) -> tuple[str, str]:
    if "machine" in stated:
        return stated["machine"], _AS_GIVEN
    if not data.group:
        return _find_called_machine(table, stated)
    if data.group in table.column_names:
        return data.group, "named as the group column"
    candidates = [name for name in table.column_names if name not in stated.values()]
    counts = {name: _count_names(table.column(name), data.groups) for name in candidates}
    best = max(counts.values(), default=0)
    names = [name for name, count in counts.items() if count == best and count]
    if len(names) == 1:
        return names[0], f"its values are groups of {data.group!r}"
    if names:
        raise DataError(
            f"the columns {list_names(names)} of the failure log {log} could each name the machine; name one in "
            f"failure_columns={{machine: {names[0]}}}."
        )
    if len(data.groups) == 1:
        return _find_called_machine(table, stated)
    raise DataError(
        f"no column of the failure log {log} has names of groups of {data.group!r}, such as "
        f"{next(iter(data.groups))!r}; its columns are {list_names(table.column_names)}: write the same names in both, "
        "or name the column of the machine in failure_columns={machine: NAME}."
    )


def _find_called_machine(table: pa.Table, stated: Mapping[str, str]) -> tuple[str, str]:
    """Return the only column that is called as a machine: the failures of other machines are not those of the data."""
    names = [name for name in table.column_names if name not in stated.values() and _is_called_machine(name)]
    return (names[0], "by its name") if len(names) == 1 else ("", "")


def _is_called_machine(name: str) -> bool:
    return bool(_MACHINE_NAME.fullmatch("".join(filter(str.isalnum, name.casefold()))))


def _count_names(column: pa.ChunkedArray, groups: Collection[ClassLabel]) -> int:
    """Return how many names of groups a column has, also those that are written in another way."""
    if not (pa.types.is_string(column.type) or is_number(column.type)):
        return 0
    names = set(to_text(pd.Series(column.to_pandas())).dropna())
    return len(match_names(groups, names)) + len(find_similar(groups, names))


def _choose_time(
    log: str, table: pa.Table, stated: Mapping[str, str], data: DataColumns, taken: Sequence[str]
) -> tuple[str, str]:
    if "time" in stated:
        return stated["time"], _AS_GIVEN
    if data.time in table.column_names:
        return data.time, "named as the time column"
    names = [name for name in table.column_names if name not in taken and _can_be_time(table.column(name), data)]
    what = "numbers" if data.has_number_times else "times"
    if len(names) == 1:
        return names[0], f"the only column that holds {what}"
    if names:
        raise DataError(
            f"the columns {list_names(names)} of the failure log {log} hold {what}; name that of the failure, and that "
            f"of the end of the repair if there is one, in failure_columns={{time: {names[0]}, repaired: {names[1]}}}."
        )
    others = [name for name in table.column_names if name not in taken and _has_other_times(table.column(name), data)]
    verb = "holds" if len(others) == 1 else "hold"
    other = "times" if data.has_number_times else "numbers"
    hint = f" ({list_names(others)} {verb} {other})" if others else ""
    remedy = (
        f"in the units of {data.time!r}"
        if data.has_number_times
        else f"like those of {data.time!r}, or as ISO 8601, such as 2024-01-31 13:00"
    )
    raise DataError(
        f"no column of the failure log {log} holds {what}, as {data.time!r} of the data does{hint}; its columns are "
        f"{list_names(table.column_names)}: write the times of failures {remedy}."
    )


def _has_other_times(column: pa.ChunkedArray, data: DataColumns) -> bool:
    """Return whether a column holds times where those of the data are numbers, or numbers where they are times."""
    return holds_times(column, ()) if data.has_number_times else is_number(column.type)


def _can_be_time(column: pa.ChunkedArray, data: DataColumns) -> bool:
    return is_number(column.type) if data.has_number_times else holds_times(column, data.time_formats)
