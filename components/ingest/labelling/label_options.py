"""The parameters of `ingest` that make labels of a failure log or of runs that end with their failure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp_edge.components.ingest.labelling.durations import Duration, parse_duration
from kfp_edge.errors import ParameterError
from kfp_edge.suggestions import did_you_mean

#: What a column of a failure log can be.
LOG_ROLES = ("machine", "time", "repaired")


@dataclass(frozen=True)
class LabelOptions:
    """What labels are made of; the component describes each parameter."""

    failures: str = ""
    failure_columns: Mapping[str, Any] = field(default_factory=dict)
    horizon: str = ""
    repair_time: str = ""
    run_to_failure: bool = False
    max_rul: str = ""

    @property
    def source(self) -> str:
        """The parameter that gives the labels, or ""."""
        return "failures" if self.failures else "run_to_failure" if self.run_to_failure else ""

    @property
    def parsed_horizon(self) -> Duration | None:
        """The horizon, None where there is none."""
        return parse_duration("horizon", self.horizon) if self.horizon else None

    @property
    def parsed_repair_time(self) -> Duration | None:
        """How long a machine is out of use after a failure, None where the log or the rows show it."""
        return parse_duration("repair_time", self.repair_time) if self.repair_time else None

    @property
    def parsed_max_rul(self) -> Duration | None:
        """The highest remaining useful life, None without a limit."""
        return parse_duration("max_rul", self.max_rul) if self.max_rul else None

    def find_problems(self, *, windows: str, target: str, positive: str, has_number_target: bool) -> Iterator[str]:
        """Yield what is wrong with these parameters, each in one sentence.

        Args:
            windows: The parameter `windows`, which gives labels too.
            target: The parameter `target`, which names labels.
            positive: The parameter `positive`.
            has_number_target: Whether the task predicts a number and no label.
        """
        others = {"windows": windows, "target": target, "run_to_failure": self.failures and self.run_to_failure}
        for name, value in others.items():
            if self.source and value:
                yield f"{self.source} and {name} both give the label of a row; leave one of them out."
        if positive not in ("", "1") and self.source:
            yield f"positive is {positive!r}, and {self.source} labels the rows before a failure 1; leave it empty."
        yield from self._find_missing_partners(has_number_target=has_number_target)
        yield from self._find_unreadable()

    def _find_missing_partners(self, *, has_number_target: bool) -> Iterator[str]:
        if self.source and not self.horizon and not has_number_target:
            yield (
                f"{self.source} needs a horizon: how long before a failure a row is to be an alarm, such as "
                "horizon=24h, or a number such as 30 where time_column holds cycles."
            )
        if self.horizon and has_number_target and self.source:
            yield "horizon is for labels, and the task predicts the remaining useful life; leave horizon out."
        for name in ("horizon", "max_rul"):
            if getattr(self, name) and not self.source:
                yield f"{name} needs failures, a failure log, or run_to_failure=true."
        if self.max_rul and self.source and not has_number_target:
            yield "max_rul limits the remaining useful life that task=regression predicts; leave it out."
        for name in ("failure_columns", "repair_time"):
            if getattr(self, name) and not self.failures:
                yield f"{name} is about the failure log; name it in failures."

    def _find_unreadable(self) -> Iterator[str]:
        for name in ("horizon", "repair_time", "max_rul"):
            try:
                if text := getattr(self, name):
                    parse_duration(name, text)
            except ParameterError as error:
                yield str(error)
        for role, column in self.failure_columns.items():
            if role not in LOG_ROLES:
                yield (
                    f"failure_columns has {role!r}; {did_you_mean(role, LOG_ROLES)}its keys are {', '.join(LOG_ROLES)}."
                )
            elif not isinstance(column, str) or not column:
                yield f"failure_columns has {column!r} as {role}; give the name of a column."
        names = [str(column) for column in self.failure_columns.values()]
        if len(set(names)) < len(names):
            yield "failure_columns names a column twice; each role needs a column of its own."
