"""The alerts of a Prometheus, with the texts that a person at the hub gets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from kfp_edge.errors import MetricsError

#: Labels that say what an alert is about; others are the same for all alerts of the demo, or in its text.
_SUBJECT = ("feature", "output", "instance")


@dataclass(frozen=True)
class FiringAlert:
    """An alert that fires.

    Attributes:
        name: The name of its rule.
        site: The site; empty for one of the hub.
        subject: The feature, the output or the server that it is about; may be empty.
        severity: How soon somebody has to look.
        summary: One sentence.
        description: The numbers, and what follows from them.
    """

    name: str
    site: str
    subject: str
    severity: str
    summary: str
    description: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others; its texts change with the numbers in them."""
        return self.name, self.site, self.subject


def read_alerts(url: str) -> list[FiringAlert]:
    """Return the alerts that fire now.

    Raises:
        MetricsError: Prometheus does not answer.
    """
    try:
        answer = requests.get(f"{url}/api/v1/alerts", timeout=30)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise MetricsError(f"{url} does not answer with its alerts.") from error
    alerts = answer.json()["data"]["alerts"]
    return [_parse_alert(each) for each in alerts if each["state"] == "firing"]


def _parse_alert(document: dict[str, Any]) -> FiringAlert:
    labels, texts = document["labels"], document["annotations"]
    return FiringAlert(
        name=labels["alertname"],
        site=labels.get("site", ""),
        subject=find_subject(labels),
        severity=labels["severity"],
        summary=texts["summary"],
        description=texts["description"],
    )


def find_subject(labels: dict[str, str]) -> str:
    """Return what an alert is about besides its site."""
    return next((labels[name] for name in _SUBJECT if labels.get(name)), "")


class AlertLog:
    """Reports alerts as they begin to fire and as they end, and keeps the last text of each."""

    def __init__(self, url: str, report: Callable[[str], None]) -> None:
        self._url = url
        self._report = report
        self._firing: dict[tuple[str, str, str], FiringAlert] = {}
        self.seen: dict[tuple[str, str, str], FiringAlert] = {}

    def update(self) -> None:
        """Look at the alerts.

        Raises:
            MetricsError: Prometheus does not answer.
        """
        firing = {alert.key: alert for alert in read_alerts(self._url)}
        for key, alert in firing.items():
            if key not in self._firing:
                self._report(f"{alert.severity:<8} {alert.name}: {alert.summary} {alert.description}")
        for key, alert in self._firing.items():
            if key not in firing:
                self._report(f"resolved {alert.name}: {alert.summary}")
        self._firing = firing
        self.seen |= firing
