"""A run at one moment, and the texts in which people read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from kfp_edge.metrics.catalog import format_metric
from kfp_edge.metrics.selection import select_metrics
from kfp_edge.reports.stage_report import StageReport

if TYPE_CHECKING:
    from kfp_edge.client.runs.stage_states import StageState

#: How a stage is marked in a list, by its state.
MARKS = {"succeeded": "✓", "failed": "✗", "canceled": "■", "canceling": "■", "skipped": "-", "running": "…"}
#: Stands before what a stage waits for.
WAITING_MARK = "?"
#: States of a stage that ran and will not change any more.
_ENDED = ("succeeded", "failed", "canceled")


@dataclass(frozen=True)
class RunSnapshot:
    """What a notebook shows of a run.

    Attributes:
        name: Its name.
        id: Its id.
        url: Its page in the dashboard.
        pipeline: The name of its pipeline.
        state: Its state, such as `running`.
        created_at: When it was submitted.
        seconds: Its duration, so far or altogether.
        stages: Its stages in topological order.
        metrics: The metrics of the stages that have succeeded, by name.
        reports: Their reports, by stage.
        waits: What it waits for, as long as nothing happens.
        problem: Why it failed, or why it cannot be followed; empty where there is no problem.
        hint: What is missing in the picture, and what to do about it.
    """

    name: str
    id: str
    url: str
    pipeline: str
    state: str
    created_at: datetime
    seconds: float
    stages: "tuple[StageState, ...]"
    metrics: Mapping[str, float] = field(default_factory=dict)
    reports: Mapping[str, StageReport] = field(default_factory=dict)
    waits: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""

    @property
    def progress(self) -> str:
        """How many stages have ended, such as `3 of 5 stages, 1 skipped`."""
        ended = sum(stage.state in _ENDED for stage in self.stages)
        skipped = sum(stage.state == "skipped" for stage in self.stages)
        return f"{ended} of {len(self.stages)} stages" + (f", {skipped} skipped" if skipped else "")

    def metric_texts(self) -> dict[str, str]:
        """Return the metrics that are shown at a glance, as the reports format them."""
        return {name: format_metric(name, value) for name, value in select_metrics(self.metrics).items()}

    def text(self) -> str:
        """Return the run in plain text."""
        lines = [
            f"{self.name}: {self.state}, {self.progress}, {format_duration(self.seconds)}",
            f"    {self.url}",
            *map(format_stage, self.stages),
            *(f"{WAITING_MARK} {text}" for text in self.waits),
            *(f"{name:<22}{value}" for name, value in self.metric_texts().items()),
            *(f"report of {stage}: run.report({stage!r})" for stage in self.reports),
            *filter(None, (self.problem, self.hint)),
        ]
        return "\n".join(lines)


def format_stage(stage: "StageState") -> str:
    """Return one line with a stage's mark, name, state, duration and note."""
    seconds = f"{stage.seconds:8.0f} s" if stage.seconds else ""
    note = f"  {stage.note}" if stage.note else ""
    return f"{MARKS.get(stage.state, ' ')} {stage.name + ' ':<20}{stage.state:<10}{seconds}{note}".rstrip()


def format_duration(seconds: float) -> str:
    """Return a duration as people say it: `42 s`, `5 min 13 s`, `2 h 4 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
