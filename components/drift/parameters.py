"""The parameters of the stage, and the rules on them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from kfp_edge.drift.result import DriftOptions
from kfp_edge.errors import ParameterError
from kfp_edge.fleet.units import parse_duration

URL_VARIABLE = "KFP_EDGE_METRICS_URL"
#: Shorter ones have less than a scrape in each part.
_SHORTEST_WINDOW = timedelta(seconds=28)
#: Nothing keeps the metrics of more windows than this one and those before it.
_LONGEST = timedelta(days=366)
_FIRST_YEAR = 2000
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class DriftParameters:
    """The parameters of the stage; `until` is None for now, `prometheus` empty for the environment's."""

    model: str
    prometheus: str
    site_label: str
    bundle: str
    window: timedelta
    until: datetime | None
    options: DriftOptions


def read_parameters(
    *,
    model_name: str,
    prometheus: str,
    site_label: str,
    bundle: str,
    drift_window: str,
    drift_until: str,
    season: str,
    watch_psi: float,
    drift_psi: float,
    drift_alarm_rate: float,
    min_rows: int,
    min_drifted_sites: float,
    **_others: Any,
) -> DriftParameters:
    """Return the parameters of the stage; others, of the same pipeline, are ignored.

    Raises:
        ParameterError: with the first fault.
    """
    if not model_name:
        raise ParameterError("model_name is empty; name the model whose servers are to be looked at.")
    if prometheus:
        check_url(prometheus, "prometheus")
    if not _LABEL.fullmatch(site_label):
        raise ParameterError(f"site_label is {site_label!r}, which is no name of a label; the usual one is site.")
    window = _read_duration("drift_window", drift_window)
    if window < _SHORTEST_WINDOW:
        raise ParameterError(f"drift_window is {drift_window}; it has to be at least 28s.")
    _check_number("watch_psi", watch_psi, watch_psi > 0, "above 0")
    _check_number("drift_psi", drift_psi, drift_psi >= watch_psi, f"at least watch_psi, {watch_psi:g}")
    _check_number("drift_alarm_rate", drift_alarm_rate, 0 < drift_alarm_rate < 1, "between 0 and 1")
    _check_number("min_rows", min_rows, min_rows >= 1, "at least 1")
    _check_number("min_drifted_sites", min_drifted_sites, 0 <= min_drifted_sites <= 1, "a share from 0 to 1")
    options = DriftOptions(
        watch_psi=watch_psi,
        drift_psi=drift_psi,
        false_alarm_rate=drift_alarm_rate,
        min_rows=min_rows,
        min_site_share=min_drifted_sites,
        season=_read_duration("season", season) if season else None,
    )
    return DriftParameters(model_name, prometheus, site_label, bundle, window, _read_time(drift_until), options)


def check_url(url: str, setting: str) -> None:
    """Require the URL of a server.

    Raises:
        ParameterError: it is none, or has credentials or a query.
    """
    if not re.fullmatch(r"https?://[^/@\s?#]+(/[^@\s?#]*)?", url):
        raise ParameterError(
            f"{setting} must be a URL such as https://prometheus.example, without credentials or a query; a token is "
            "read from KFP_EDGE_METRICS_TOKEN."
        )


def _read_duration(name: str, value: str) -> timedelta:
    try:
        duration = parse_duration(value)
    except (ValueError, OverflowError) as error:
        raise ParameterError(f"{name} is {value!r}, which is no duration such as 24h or 7d.") from error
    if not duration:
        raise ParameterError(f"{name} is {value}; it has to be above 0.")
    if duration > _LONGEST:
        raise ParameterError(f"{name} is {value}; it has to be at most {_LONGEST.days}d.")
    return duration


def _read_time(value: str) -> datetime | None:
    if not value:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        raise ParameterError(
            f"drift_until is {value!r}, which is no time such as 2026-11-20T12:00:00Z (ISO 8601)."
        ) from error
    if time.year < _FIRST_YEAR:
        raise ParameterError(f"drift_until is {value!r}, before any metrics were there; give a time of the window.")
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _check_number(name: str, value: float, is_valid: bool, expected: str) -> None:
    if not is_valid:
        raise ParameterError(f"{name} is {value:g}; it has to be {expected}.")
