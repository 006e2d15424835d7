"""For each alert, series with which it fires, and near neighbours with which it does not."""

from support.alert_cases import samples, servers, sites
from support.alert_cases.series import Case

CASES = (*sites.CASES, *servers.CASES, *samples.CASES)

__all__ = ["CASES", "Case"]
