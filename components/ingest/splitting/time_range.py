"""Which stretch of time the rows are taken from, and which part of it is recent."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from kfp_edge.components.ingest.columns.local_time import localize_times
from kfp_edge.components.ingest.labelling.durations import Duration, parse_duration
from kfp_edge.components.ingest.splitting.left_out import LeftOutRows
from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.arrays import Float64s, Mask
from kfp_edge.ml.dataset import Roles
from kfp_edge.ml.time_numbers import to_numbers
from kfp_edge.suggestions import did_you_mean

_KEYS_OF_RANGE = ("start", "end", "recent", "leave_out")
#: The keys of an entry of `leave_out`.
_KEYS = ("group", "start", "end")


@dataclass(frozen=True)
class TimeRange:
    """The parameters `time_range` and `quarantined`.

    Attributes:
        start: The time from which on rows are taken; with a minus, a duration before the newest row. Empty for all.
        end: The time until which rows are taken, in the same form.
        recent: The length of the recent period, whose last rows are held out beside the last ones before it.
        leave_out: Rows that are not taken, each a mapping of `group`, `start` and `end`, as far as they matter.
        quarantined: What `drift` found, `{site, start, end}` and more; the names of sites are those of groups.
    """

    start: str = ""
    end: str = ""
    recent: str = ""
    leave_out: tuple[Mapping[str, Any], ...] = ()
    quarantined: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def parse(cls, time_range: Mapping[str, Any], quarantined: Iterable[Mapping[str, Any]]) -> Self:
        """Return the parameters, as KFP passes them.

        Raises:
            ParameterError: `time_range` has an unknown key, or a value of another kind.
        """
        for key, value in time_range.items():
            if key not in _KEYS_OF_RANGE:
                hint = did_you_mean(str(key), _KEYS_OF_RANGE)
                raise ParameterError(f"time_range has the key {key!r}; {hint}its keys are {', '.join(_KEYS_OF_RANGE)}.")
            if isinstance(value, list | tuple) != (key == "leave_out"):
                form = "a list" if key == "leave_out" else "a time or a duration"
                raise ParameterError(f"{key} of time_range is {value!r}; write {form}.")
        texts = {key: str(time_range.get(key, "")) for key in ("start", "end", "recent")}
        return cls(**texts, leave_out=tuple(time_range.get("leave_out", ())), quarantined=tuple(quarantined))

    def read_start(self, time_zone: str) -> tuple[float | None, float] | None:
        """Return the time since when rows are taken, or None and how long before the newest row, in microseconds.

        None as a whole stands for all rows, also where `start` is no time: this is refused with the rows at hand.

        Args:
            time_zone: IANA name of the zone of times without an offset from UTC; UTC if empty.
        """
        text = self.start.strip()
        try:
            if text.startswith("-"):
                duration = parse_duration("start", text[1:])
                return (None, duration.value) if duration.unit else None
            return (_to_number(_read_time(text), time_zone), 0.0) if text else None
        except (ParameterError, ValueError):
            return None

    @property
    def is_empty(self) -> bool:
        """Whether all rows are taken alike."""
        return self == TimeRange()

    def find_problems(self, *, time_column: str, group_column: str, split: str) -> Iterator[str]:
        """Yield what is wrong with these parameters, each in one sentence."""
        # what is quarantined is found by a stage, and no parameter of the user
        if any(getattr(self, name) for name in _KEYS_OF_RANGE) and not time_column:
            yield "time_range needs the column of times; name it in time_column."
        if self.recent and split == "group-and-time":
            yield (
                "split=group-and-time holds out the last rows only, and recent asks for rows of both periods; use "
                "split=time or split=group, or leave recent empty."
            )
        try:
            if self.recent:
                parse_duration("recent", self.recent)
        except ParameterError as error:
            yield str(error)
        for entry in self.leave_out:
            yield from _find_entry_problems(entry, group_column)


def leave_out_of_range(
    frame: pd.DataFrame,
    roles: Roles,
    options: TimeRange,
    time_zone: str,
    left_out: LeftOutRows,
    unread_rows: int,
    warnings: list[str],
) -> float | None:
    """Leave out the rows outside of the range, and return since when rows are recent, as `to_numbers` gives it.

    Args:
        frame: All rows.
        roles: Their roles.
        options: The range; without a column of times, none but quarantined rows.
        time_zone: IANA name of the zone of times without an offset from UTC; UTC if empty.
        left_out: The rows that are left out so far, of which none counts as the newest one.
        unread_rows: How many rows were not read, since they are before `start`.
        warnings: Where a warning goes of each entry that fits no row.

    Raises:
        ParameterError: a time cannot be read, or is of another kind than those of the column.
        DataError: no row is left.
    """
    if options.is_empty:
        return None
    if not roles.time:
        warnings.append(_warn_of_quarantined(options.quarantined, "no column of times; name it in time_column"))
        return None
    column = frame[roles.time]
    times = to_numbers(column)
    usable = times[~left_out.mask]
    if not len(usable):
        raise DataError("no row has a label, so there is none to take; check target.")
    reader = _TimeReader(column, float(np.nanmax(usable)), time_zone)
    for name, is_outside in (("start", np.less), ("end", np.greater)):
        if text := getattr(options, name):
            left_out.add(
                is_outside(times, reader.read(f"{name} of time_range", text)),
                f"rows outside of time_range, {name} {text}",
                others=unread_rows if name == "start" else 0,
            )
    for entry in options.leave_out:
        rows = _find_rows(frame, roles, times, entry, reader)
        if not rows.any():
            warnings.append(f"leave_out has an entry that fits no row: {_describe(entry)}")
        left_out.add(rows, f"rows that leave_out names: {_describe(entry)}")
    if left_out.mask.all():
        raise DataError(
            f"no row is left between {column.min()} and {column.max()}: time_range leaves out all of them; widen it."
        )
    warnings += _leave_out_quarantined(frame, roles, times, options.quarantined, reader, left_out)
    if not options.recent:
        return None
    newest = float(np.nanmax(times[~left_out.mask]))
    return newest - reader.length("recent", parse_duration("recent", options.recent))


def _leave_out_quarantined(
    frame: pd.DataFrame,
    roles: Roles,
    times: Float64s,
    quarantined: Sequence[Mapping[str, Any]],
    reader: "_TimeReader",
    left_out: LeftOutRows,
) -> Iterator[str]:
    """Leave out rows of broken sensors; yield a warning where the data do not show which ones these are."""
    if not quarantined:
        return
    if not roles.group:
        yield _warn_of_quarantined(quarantined, "no column of groups; name it in group_column")
        return
    if reader.is_number:
        yield _warn_of_quarantined(quarantined, f"numbers in {roles.time!r} instead of dates")
        return
    groups = set(frame[roles.group].astype(str)) - {""}
    unknown = [entry for entry in quarantined if str(entry["site"]) not in groups]
    for entry in quarantined:
        if entry not in unknown:
            rows = {"group": entry["site"], "start": entry["start"], "end": entry["end"]}
            left_out.add(_find_rows(frame, roles, times, rows, reader), f"rows of a broken sensor at {entry['site']}")
    if unknown:
        yield _warn_of_quarantined(unknown, f"no such name in {roles.group!r}")
    if left_out.mask.all():
        raise DataError(
            f"no row is left: all are of sites with a broken sensor, {_name_sites(quarantined)}; repair the sensors, "
            "or take rows of a longer time by time_range."
        )


def _warn_of_quarantined(quarantined: Iterable[Mapping[str, Any]], obstacle: str) -> str:
    return f"rows of broken sensors at {_name_sites(quarantined)} are not left out, since the data have {obstacle}"


def _name_sites(quarantined: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(sorted({str(entry["site"]) or "a site without a name" for entry in quarantined}))


@dataclass(frozen=True)
class _TimeReader:
    """Reads times as numbers that are compared with those of the column; `newest` is the last of them."""

    column: pd.Series
    newest: float
    time_zone: str

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers, not dates."""
        return not pd.api.types.is_datetime64_dtype(self.column)

    def read(self, name: str, value: object) -> float:
        """Return a time, or, of a duration with a minus, the time so long before the newest row."""
        text = str(value).strip()
        if text.startswith("-"):
            return self.newest - self.length(name, parse_duration(name, text[1:]))
        try:
            if self.is_number:
                return _read_number(text)
            time = _read_time(text)
        except ValueError as error:
            example = "a number such as 1200, or -300" if self.is_number else "a time such as 2026-09-01, or -90d"
            raise ParameterError(f"{name} is {text!r}; give {example} for so long before the newest row.") from error
        return _to_number(time, self.time_zone)

    def length(self, name: str, duration: Duration) -> float:
        """Return a duration as what is subtracted from a time."""
        duration.check_suits(name, str(self.column.name), is_number=self.is_number)
        return duration.value


def _read_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _read_time(text: str) -> pd.Timestamp:
    """Return a time that begins with its year; 10/11/2026 is October 11 to some, and November 10 to others."""
    if not text[:4].isdecimal():
        raise ValueError
    return pd.Timestamp(text)


def _to_number(time: pd.Timestamp, time_zone: str) -> float:
    times = pd.Series([time])
    if time.tzinfo is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    elif time_zone:
        times = localize_times(times, time_zone)
    return float(to_numbers(times)[0])


def _find_entry_problems(entry: object, group_column: str) -> Iterator[str]:
    if not isinstance(entry, Mapping):
        yield f"leave_out has {entry!r}; write {{group: NAME, start: TIME, end: TIME}}, of which each key may lack."
        return
    for key in entry:
        if key not in _KEYS:
            yield f"leave_out has the key {key!r}; {did_you_mean(str(key), _KEYS)}its keys are {', '.join(_KEYS)}."
    if entry.get("group") not in (None, "") and not group_column:
        yield "leave_out names a group; name the column of groups in group_column."
    if not any(entry.get(key) not in (None, "") for key in _KEYS):
        yield "leave_out has an entry without a group, start or end, which would leave out everything."


def _find_rows(
    frame: pd.DataFrame, roles: Roles, times: Float64s, entry: Mapping[str, Any], reader: _TimeReader
) -> Mask:
    rows = np.ones(len(frame), dtype=bool)
    if entry.get("group") not in (None, ""):
        rows &= (frame[roles.group].astype(str) == str(entry["group"])).to_numpy()
    if entry.get("start") not in (None, ""):
        rows &= times >= reader.read("start of leave_out", entry["start"])
    if entry.get("end") not in (None, ""):
        rows &= times <= reader.read("end of leave_out", entry["end"])
    return rows


def _describe(entry: Mapping[str, Any]) -> str:
    parts = [f"{key} {entry[key]}" for key in _KEYS if entry.get(key) not in (None, "")]
    return ", ".join(parts)
