"""Local time without an offset from UTC: the hour that occurs twice when daylight saving time ends."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd

from kfp_edge.ml.arrays import Mask

Times = npt.NDArray[np.datetime64]
Order = npt.NDArray[np.int64]

#: One zone for each local time at which clocks are set back somewhere.
_KNOWN_ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Athens",
    "America/New_York",
    "Australia/Sydney",
    "America/Santiago",
)
_HOUR = np.timedelta64(1, "h")
_MAX_YEARS = 60


@dataclass(frozen=True)
class DoubledHour:
    """A row that goes back in time just as clocks do at the end of daylight saving time, and a zone where they do."""

    row: int
    zone: str


@dataclass(frozen=True)
class UtcTimes:
    """Times in UTC, and the rows whose time does not exist or whose hour occurs twice without an order to tell."""

    values: Times
    skipped: Mask
    unclear: Mask


def find_doubled_hour(times: Times, groups: Order | None) -> DoubledHour | None:
    """Return the first row in which ordered times go back, or stand still, as local time does in autumn.

    Args:
        times: Times as they were written, in the order of the file, none missing; shape [rows].
        groups: Number of the group of each row, whose times are ordered for themselves; None if there are no groups.
    """
    order = _order(times, groups)
    ordered = times[order]
    steps = np.diff(ordered)
    same_group = np.ones(len(steps), dtype=bool) if groups is None else np.diff(groups[order]) == 0
    goes_back = same_group & (steps < np.timedelta64(0)) & (steps > -_HOUR)
    stands_still = same_group & (steps == np.timedelta64(0))
    # a table that repeats times elsewhere as well has other reasons for it
    suspects = goes_back if goes_back.any() else stands_still
    rows = np.flatnonzero(suspects)
    for zone in _KNOWN_ZONES if len(rows) else ():
        for start in _find_ends(zone, times.min(), times.max()):
            hits = rows[_lies_in(ordered[rows], start, _HOUR) & _lies_in(ordered[rows + 1], start, _HOUR)]
            if not len(hits) or (suspects is stands_still and len(hits) < len(rows)):
                continue
            around = _lies_in(ordered, start - 2 * _HOUR, 5 * _HOUR)
            is_ordered = (steps >= np.timedelta64(0)) | ~same_group | ~(around[:-1] & around[1:])
            is_ordered[hits] = True
            if is_ordered.all():
                return DoubledHour(int(order[hits[0] + 1]), zone)
    return None


def to_utc(times: Times, groups: Order | None, zone: str) -> UtcTimes:
    """Return local times in UTC; in the hour that occurs twice, the order of the rows of a group decides.

    Args:
        times: Local times in the order of the file, none missing; shape [rows].
        groups: Number of the group of each row; None if there are no groups.
        zone: IANA name of their time zone.
    """
    series, time_zone = pd.Series(times), ZoneInfo(zone)
    is_daylight = np.ones(len(times), dtype=bool)
    skipped = _localize(series, time_zone, is_daylight).isna().to_numpy()
    doubled = _localize(series, time_zone, "NaT").isna().to_numpy() & ~skipped
    unclear = np.zeros(len(times), dtype=bool)
    order = _order(times, groups)
    rows = order[doubled[order]]
    keys = pd.Series(times[rows]).dt.normalize().astype(str)
    if groups is not None:
        keys = keys + "/" + pd.Series(groups[rows]).astype(str)
    for _, members in pd.Series(rows).groupby(keys.to_numpy(), sort=False):
        run = members.to_numpy()
        switch = _find_switch(times[run])
        unclear[run] = switch is None
        is_daylight[run[switch:]] = False
    local = _localize(series, time_zone, is_daylight)
    return UtcTimes(local.dt.tz_convert(None).to_numpy().astype("datetime64[us]"), skipped, unclear)


def _localize(times: pd.Series, zone: ZoneInfo, ambiguous: object) -> pd.Series:
    local: pd.Series = times.dt.tz_localize(zone, ambiguous=ambiguous, nonexistent="NaT")
    return local


def localize_times(times: pd.Series, zone: str) -> pd.Series:
    """Return single local times in UTC: of an hour that occurs twice the first, of one that is skipped its end.

    Args:
        times: Local times that no order relates, shape [n]; missing ones stay missing.
        zone: IANA name of their time zone.
    """
    is_first = np.ones(len(times), dtype=bool)
    local: pd.Series = times.dt.tz_localize(ZoneInfo(zone), ambiguous=is_first, nonexistent="shift_forward")
    in_utc: pd.Series = local.dt.tz_convert(None)
    return in_utc


def _find_switch(times: Times) -> int | None:
    """Return the first position of standard time in one doubled hour; None if the order does not show it."""
    steps = np.diff(times)
    for switches in (np.flatnonzero(steps < np.timedelta64(0)), np.flatnonzero(steps == np.timedelta64(0))):
        if len(switches):
            return int(switches[0]) + 1 if len(switches) == 1 else None
    return None


def _order(times: Times, groups: Order | None) -> Order:
    """Return the rows group by group, forward in time where the file goes backward."""
    order = np.arange(len(times)) if groups is None else np.argsort(groups, kind="stable")
    steps = np.diff(times[order])
    is_reversed = (steps < np.timedelta64(0)).sum() > (steps > np.timedelta64(0)).sum()
    return order[::-1] if is_reversed else order


def _lies_in(times: Times, start: np.datetime64, duration: np.timedelta64) -> Mask:
    return np.asarray((times >= start) & (times < start + duration))


def _find_ends(zone: str, first: np.datetime64, last: np.datetime64) -> list[np.datetime64]:
    """Return the local times to which clocks are set back in a zone, by one hour, from `first` to `last`."""
    try:
        time_zone = ZoneInfo(zone)
    except ZoneInfoNotFoundError:
        return []
    start, end = pd.Timestamp(first).date(), pd.Timestamp(last).date()
    days = min((end - start).days + 1, 366 * _MAX_YEARS)
    changes = []
    for number in range(days):
        day = start + timedelta(days=number)
        if _offset(day, time_zone) - _offset(day + timedelta(days=1), time_zone) == timedelta(hours=1):
            changes.append(_find_hour(day, time_zone))
    return changes


def _offset(day: date, zone: ZoneInfo) -> timedelta:
    return datetime(day.year, day.month, day.day, tzinfo=zone).utcoffset() or timedelta()


def _find_hour(day: date, zone: ZoneInfo) -> np.datetime64:
    """Return the first hour of a day that occurs twice; the hour before midnight belongs to the day."""
    midnight = datetime(day.year, day.month, day.day)
    for hour in range(24):
        local = midnight + timedelta(hours=hour)
        if local.replace(tzinfo=zone).utcoffset() != local.replace(tzinfo=zone, fold=1).utcoffset():
            return np.datetime64(local, "us")
    return np.datetime64(midnight, "us")
