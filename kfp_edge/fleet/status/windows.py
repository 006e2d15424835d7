"""When a site may change: its sync windows, as Argo CD evaluates them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from kfp_edge.cron import Cron
from kfp_edge.fleet.contracts import Window


@dataclass(frozen=True)
class WindowState:
    """Whether a site may change now, and when that ends or begins; None where it never does."""

    is_open: bool
    until: datetime | None


def evaluate_windows(windows: Iterable[Window], now: datetime) -> WindowState:
    """Return whether any of the windows is open; without windows a site may always change."""
    states = [_evaluate(window, now) for window in windows]
    if not states:
        return WindowState(is_open=True, until=None)
    ends = [state.until for state in states if state.is_open and state.until]
    if ends:
        return WindowState(is_open=True, until=max(ends))
    return WindowState(is_open=False, until=min((state.until for state in states if state.until), default=None))


def _evaluate(window: Window, now: datetime) -> WindowState:
    # in the local time of the site, taken for UTC: a schedule means what the clock there shows
    zone = ZoneInfo(window.time_zone)
    local = now.astimezone(zone).replace(tzinfo=UTC)
    cron = Cron.read(f"0 {window.schedule}")
    for start in cron.after(local - window.duration):
        if start <= local:
            return WindowState(is_open=True, until=_to_utc(start + window.duration, zone))
        return WindowState(is_open=False, until=_to_utc(start, zone))
    return WindowState(is_open=False, until=None)


def open_time(windows: Iterable[Window], since: datetime, now: datetime) -> timedelta:
    """Return for how long a site was allowed to change between two times."""
    spans = sorted(span for window in windows for span in _spans(window, since, now))
    total, end = timedelta(), since
    for start, stop in spans:
        total += max(stop, end) - max(start, end)
        end = max(stop, end)
    return total


def _spans(window: Window, since: datetime, now: datetime) -> Iterable[tuple[datetime, datetime]]:
    zone = ZoneInfo(window.time_zone)
    local = since.astimezone(zone).replace(tzinfo=UTC)
    for start in Cron.read(f"0 {window.schedule}").after(local - window.duration):
        begin = _to_utc(start, zone)
        if begin >= now:
            return
        yield max(begin, since), min(_to_utc(start + window.duration, zone), now)


def _to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)
