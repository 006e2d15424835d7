"""A failure log: one row for each failure, with its time and as far as there are any its machine and end of repair."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.text_cells import STANDARD_CODES
from kfp_edge.components.ingest.labelling.log_columns import DataColumns, LogColumns, choose_columns
from kfp_edge.components.ingest.labelling.log_times import DataTimes, find_days_only, read_log_times
from kfp_edge.components.ingest.labelling.machine_names import describe_similar, find_similar, match_names, to_text
from kfp_edge.components.ingest.listing import list_names
from kfp_edge.components.ingest.reading import arrow_columns
from kfp_edge.components.ingest.reading.sources import read_source
from kfp_edge.components.ingest.reading.table_files import ReadOptions
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.errors import DataError, KfpEdgeError, ParameterError
from kfp_edge.ml.arrays import ClassLabel, Float64s
from kfp_edge.ml.time_numbers import to_numbers
from kfp_edge.wording import count_of


@dataclass(frozen=True)
class MachineFailures:
    """The failures of one machine, sorted, each time once; times are numbers as `to_numbers` gives them."""

    times: Float64s
    #: The end of the repair of each, NaN where it is not known.
    repaired: Float64s


@dataclass(frozen=True)
class FailureList:
    """The failures of each machine of the data, and how they were read."""

    by_group: Mapping[ClassLabel, MachineFailures]
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class FailureLog:
    """A log as it was read, before it is compared with the data."""

    name: str
    table: pa.Table
    #: The same cells, with numbers as they are written where two of them might be one number, as 01 and 1.
    names: pa.Table

    def find_failures(
        self, stated: Mapping[str, str], times: pd.Series, groups: pd.Series | None, data: DataTimes
    ) -> FailureList:
        """Return the failures of the machines of the data.

        Args:
            stated: Names of columns by what they are, as the parameter `failure_columns` gives them.
            times: The time of each row of the data, shape [rows].
            groups: The group of each row, shape [rows], named as its column; None where there are none.
            data: What is known about the times of the data.

        Raises:
            DataError: no machine of the log is in the data, a cell is missing or cannot be read, or it is not clear
                which column is which.
            ParameterError: a column that is named does not exist, or the machines are named and the groups are not.
        """
        is_number = not pd.api.types.is_datetime64_dtype(times)
        names = [] if groups is None else groups.unique().tolist()
        compared = DataColumns(data.column, is_number, data.formats, "" if groups is None else str(groups.name), names)
        columns = choose_columns(self.name, self.table, self.names, stated, compared)
        self._check_cells(columns)
        of_failure, warnings = self._read(columns.time, data, is_number=is_number)
        warnings += find_days_only(f"column {columns.time!r} of the failure log {self.name}", of_failure, times)
        repaired = self._read_repaired(columns, of_failure, data, is_number=is_number)
        machines = self._find_machines(columns, names)
        matches = self._match(columns, machines, groups, warnings)
        by_group = {}
        for name, group in matches.items():
            rows = np.ones(len(machines), dtype=bool) if not columns.machine else (machines == name).to_numpy()
            by_group[group] = _sort(to_numbers(of_failure[rows]), to_numbers(repaired[rows]))
        count = sum(len(failures.times) for failures in by_group.values())
        remark = f"the failure log {self.name} has {count_of(self.table.num_rows, 'row')}: {'; '.join(columns.reasons)}"
        merged = int(machines.isin(matches).sum() if columns.machine else self.table.num_rows) - count
        if merged:
            remark += f"; {count_of(merged, 'row')} at the time of another failure of the machine counted with it"
        return FailureList(by_group, (remark,), tuple(warnings))

    def _read(self, column: str, data: DataTimes, *, is_number: bool) -> tuple[pd.Series, list[str]]:
        return read_log_times(self.name, column, self.table.column(column), data, is_number_expected=is_number)

    def _read_repaired(
        self, columns: LogColumns, of_failure: pd.Series, data: DataTimes, *, is_number: bool
    ) -> pd.Series:
        if not columns.repaired:
            return pd.Series(np.full(len(of_failure), np.nan)).astype(of_failure.dtype)
        repaired, _ = self._read(columns.repaired, data, is_number=is_number)
        wrong = (repaired < of_failure).to_numpy()
        if wrong.any():
            raise DataError(
                f"the failure log {self.name}: a repair ends before its failure in {count_of(int(wrong.sum()), 'row')} "
                f"(row {int(np.argmax(wrong)) + 1}); correct {columns.repaired!r}, or name other columns in "
                "failure_columns."
            )
        return repaired

    def _check_cells(self, columns: LogColumns) -> None:
        for name in filter(None, (columns.time, columns.machine)):
            missing = self.table.column(name).is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
            if missing.any():
                raise DataError(
                    f"column {name!r} of the failure log {self.name} is empty in "
                    f"{count_of(int(missing.sum()), 'row')} (row {int(np.argmax(missing)) + 1}); fill in these cells, "
                    "or remove these rows."
                )

    def _find_machines(self, columns: LogColumns, groups: list[ClassLabel]) -> pd.Series:
        if columns.machine:
            return to_text(pd.Series(self.names.column(columns.machine).to_pandas()))
        return pd.Series([str(groups[0]) if groups else ""] * self.table.num_rows, dtype=object)

    def _match(
        self, columns: LogColumns, machines: pd.Series, groups: pd.Series | None, warnings: list[str]
    ) -> dict[str, ClassLabel]:
        """Return the group of the data for each machine of the log, and warn of those that the data does not have."""
        counts = machines.value_counts(sort=False)
        names = sorted(counts.index)
        if groups is None:
            if len(names) > 1:
                raise ParameterError(
                    f"the failure log {self.name} has failures of {len(names)} machines ({list_names(names)}), and the "
                    "rows of the data have none; name their column in group_column, or, if the data is of one of them, "
                    "remove the failures of the others from the log."
                )
            return {names[0]: ""}
        known = groups.unique().tolist()
        matches = match_names(known, names)
        unknown = [name for name in names if name not in matches]
        similar = find_similar(known, unknown)
        hint = f"write them alike: {describe_similar(similar)}" if similar else ""
        if not matches:
            alternative = (
                f"the data has {list_names(sorted(known))}: write the same names in both, or name another column in "
                "failure_columns={machine: NAME}"
            )
            raise DataError(
                f"no machine of the failure log {self.name} ({list_names(names)} in {columns.machine!r}) is a group of "
                f"{groups.name!r}; {hint or alternative}."
            )
        if unknown:
            lost = int(counts[unknown].sum())
            warning = (
                f"{count_of(lost, 'failure')} of machines that the data does not have ({list_names(unknown)}) "
                f"{'is' if lost == 1 else 'are'} not used"
            )
            warnings.append(f"{warning}; {hint}" if hint else warning)
        return matches


def read_failure_log(uri: str, table_format: TableFormat) -> FailureLog:
    """Read a failure log, a table such as the data; its notation is sniffed, or else that of the data.

    Args:
        uri: What `kfp_edge.storage.fetch.fetch` takes.
        table_format: What was stated about the data.

    Raises:
        DataError: it cannot be read, or has no rows.
        StorageError: there is nothing at `uri`, or it cannot be fetched.
    """
    sniffed = TableFormat(missing_values=table_format.missing_values)
    stated = TableFormat(table_format.separator, encoding=table_format.encoding, missing_values=sniffed.missing_values)
    with TemporaryDirectory() as scratch:
        try:
            return _read(uri, Path(scratch), sniffed)
        except (DataError, ParameterError) as error:
            if stated == sniffed:
                raise _name_parameter(error) from error
            try:
                return _read(uri, Path(scratch), stated)
            except (DataError, ParameterError) as second:
                raise _name_parameter(second) from second


def _read(uri: str, folder: Path, table_format: TableFormat) -> FailureLog:
    source = read_source(uri, folder, ReadOptions(table_format))
    names = source.table
    if any(arrow_columns.is_number(field.type) for field in names.schema):
        exact_columns = tuple(names.column_names)  # any of them may be that of the machine
        names = read_source(uri, folder, ReadOptions(table_format, exact_columns=exact_columns)).table
    return FailureLog(source.name, _remove_codes(source.table), _remove_codes(names))


def _name_parameter(error: KfpEdgeError) -> DataError:
    return DataError(f"failures: {error}")


def _remove_codes(table: pa.Table) -> pa.Table:
    """Return the table with text cells such as NA as missing, and without spaces around the others."""
    codes = pa.array(sorted(STANDARD_CODES))
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            text = pc.utf8_trim_whitespace(table.column(index))
            is_code = pc.or_(pc.is_in(text, value_set=codes), pc.equal(text, ""))
            table = table.set_column(index, field.name, pc.if_else(is_code, None, text))
    return table


def _sort(times: Float64s, repaired: Float64s) -> MachineFailures:
    """Return failures in order; of those at the same time the latest end of a repair counts."""
    frame = pd.DataFrame({"time": times, "repaired": repaired})
    latest = frame.groupby("time", sort=True)["repaired"].max()
    return MachineFailures(latest.index.to_numpy(np.float64), latest.to_numpy(np.float64))
