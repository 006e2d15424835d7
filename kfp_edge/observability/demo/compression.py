"""The rules of the hub in compressed time: a day of a rule is over in half a minute."""

import re
from dataclasses import dataclass, replace

from kfp_edge.fleet.units import parse_duration
from kfp_edge.observability.hub.rules.contracts import Alert, Group, Recording

_DURATION = re.compile(r"(?P<before>\[|offset )(?P<duration>\d+[smhdw])\b")
_WEEK = "w"


@dataclass(frozen=True)
class Compression:
    """How much shorter times are, in seconds.

    Attributes:
        day: What a day becomes; all other times are divided by the same number.
        shortest_window: Windows are at least so long: a rate needs two scrapes.
        shortest_wait: An alert waits at least so long before it fires, if it waits at all.
        interval: How often every rule is evaluated.
    """

    day: float = 30
    shortest_window: float = 5
    shortest_wait: float = 2
    interval: float = 1

    @property
    def factor(self) -> float:
        """By which times are divided."""
        return 86400 / self.day

    def compress_group(self, group: Group) -> Group:
        """Return a group with shorter times; names of series and texts of alerts stay as they are."""
        rules = tuple(self._compress_rule(rule) for rule in group.rules)
        return Group(group.name, f"{self.interval:g}s", rules)

    def _compress_rule(self, rule: Recording | Alert) -> Recording | Alert:
        expression = _DURATION.sub(self._compress_match, rule.expression)
        if isinstance(rule, Recording):
            return replace(rule, expression=expression)
        lasts = _read_seconds(rule.lasts)
        return replace(rule, expression=expression, lasts=self._shorten(lasts, self.shortest_wait) if lasts else "0s")

    def _compress_match(self, match: re.Match[str]) -> str:
        return match["before"] + self._shorten(_read_seconds(match["duration"]), self.shortest_window)

    def _shorten(self, seconds: float, shortest: float) -> str:
        return f"{1000 * max(shortest, seconds / self.factor):.0f}ms"

    def describe(self) -> list[str]:
        """Return what was compressed, in sentences."""
        return [
            f"A day of the rules lasts {self.day:g} s: their windows and waiting times are divided by "
            f"{self.factor:,.0f}, but no window is shorter than {self.shortest_window:g} s and no waiting time shorter "
            f"than {self.shortest_wait:g} s. They are evaluated every {self.interval:g} s.",
            "Limits, such as that of the population stability index and the smallest number of rows, are those of the "
            "real rules, and so are the texts of the alerts: they say a day where half a minute was looked at.",
        ]


def _read_seconds(text: str) -> float:
    if text.endswith(_WEEK):
        return 7 * 86400 * int(text.removesuffix(_WEEK))
    return parse_duration(text).total_seconds()
