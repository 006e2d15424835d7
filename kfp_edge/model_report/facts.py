"""What a reviewer has to know about a model, as tables that the reports and the model card share."""

from collections.abc import Iterable
from dataclasses import dataclass

from kfp_edge.metrics.catalog import find_metric, format_metric
from kfp_edge.metrics.measurement import Measurement
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.dataset import Dataset
from kfp_edge.model_report.data_tables import describe_common_groups, describe_parts
from kfp_edge.model_report.selection_tables import describe_training
from kfp_edge.model_selection.record import TrainingRecord
from kfp_edge.reports.html import Page
from kfp_edge.reports.markdown import to_plain_text
from kfp_edge.reports.section import Section
from kfp_edge.tasks.registry import task_of
from kfp_edge.tasks.task import Task

#: Heading of what became of a model that was trained elsewhere.
_ORIGIN = "Trained elsewhere"
_ABOUT_INTERVALS = "The intervals allow for rows of one group, or of one stretch of time, that resemble each other."


@dataclass(frozen=True)
class ModelFacts:
    """A model's data and what was measured; every text depends on these alone."""

    train: Dataset
    test: Dataset
    measurement: Measurement
    #: The share of normal rows in which a detector was asked to raise an alarm at most; not used for classifiers.
    false_alarm_rate: float
    #: The score above which a detector raises an alarm; None for classifiers.
    threshold: float | None = None
    #: Which rows set the threshold, as far as it is known.
    threshold_rows: str = ""
    #: What was changed, assumed or could not be checked in a model that was trained elsewhere.
    notes: tuple[str, ...] = ()
    #: What the training found out beside it; None of a model that was trained elsewhere.
    training: TrainingRecord | None = None

    @property
    def warnings(self) -> list[str]:
        """What is suspicious about the data and the metrics, each in one sentence, and each once."""
        sentences = (*self.train.preparation.warnings, *self.measurement.warnings)
        return list(dict.fromkeys(f"{sentence.rstrip('.')}." for sentence in sentences))

    @property
    def fitted_rows(self) -> str:
        """How many rows the model was fitted on, and what became of the other training rows, as far as it is known."""
        return "trained elsewhere" if self.training is None else self._task.describe_fitted_rows(self.train)

    @property
    def sections(self) -> list[Section]:
        """The tables: data and split, the two parts, metrics, tuning and folds, and what only this task has."""
        roles = self.train.roles
        sections = [
            Section("Data and split", ("", "value"), list(self._describe_data())),
            describe_parts(self.train, self.test, [] if self._positive is None else [self._positive]),
            Section(
                "Metrics on held-out rows",
                ("metric", "value", "95 % interval", "direction", "meaning"),
                list(self._describe_metrics()),
                " ".join(([_ABOUT_INTERVALS] if roles.group or roles.time else []) + list(self.measurement.notes)),
            ),
        ]
        if self.training is not None:
            sections += describe_training(self.training, self.measurement.metrics)
        return [*sections, *self._task.describe_details(self)]

    def add_to(self, page: Page) -> None:
        """Add the tables to a page."""
        if self.notes:
            page.heading(_ORIGIN).items(self.notes)
        for section in self.sections:
            page.heading(section.title).table(section.header, section.rows)
            if section.note:
                page.text(section.note)

    def to_markdown(self) -> list[str]:
        """Return the warnings and the tables as blocks of Markdown."""
        blocks = [*_to_list("Warnings", self.warnings), *_to_list(_ORIGIN, self.notes)]
        for section in self.sections:
            blocks += section.to_markdown()
        return blocks

    def format_metric(self, name: str) -> str:
        """Return a metric with its interval, or that it was not measured."""
        if name not in self.measurement.metrics:
            return "not measured"
        interval = self.measurement.intervals.get(name)
        return format_metric(name, self.measurement.metrics[name]) + (f" ({interval})" if interval else "")

    @property
    def _task(self) -> Task:
        return task_of(self.train)

    @property
    def _positive(self) -> ClassLabel | None:
        """The class whose rows are counted."""
        return self._task.find_positive_class(self.train, self.measurement)

    def _describe_data(self) -> Iterable[tuple[str, str]]:
        roles, preparation = self.train.roles, self.train.preparation
        yield "task", roles.task
        yield "target", roles.target or "none: the data has no labels"
        if preparation.made_labels:
            yield "labels", preparation.made_labels
        yield from self._task.describe_settings(self)
        yield "model", self.fitted_rows
        yield "features", f"{len(roles.numeric):,} numeric, {len(roles.categorical):,} categorical"
        if preparation.split:
            yield "split", ": ".join(filter(None, (preparation.split, preparation.split_reason)))
        yield from describe_common_groups(self.train, self.test)
        left_out = "; ".join(f"{rows:,} ({reason})" for reason, rows in preparation.left_out.items())
        yield "rows in neither part", left_out or "none"
        yield "sha256 of the data", self.train.sha256

    def _describe_metrics(self) -> Iterable[tuple[str, ...]]:
        subject = self._task.find_subject(self.measurement)
        for name, value in sorted(self.measurement.metrics.items()):
            metric = find_metric(name)
            if metric is not None and metric.name == name:
                interval = str(self.measurement.intervals.get(name, ""))
                yield name, format_metric(name, value), interval, metric.direction.value, metric.describe(subject)


def _to_list(title: str, sentences: Iterable[str]) -> list[str]:
    """Return a heading and a list in Markdown; nothing where there is no sentence."""
    items = "\n".join(f"- {to_plain_text(sentence)}" for sentence in sentences)
    return [f"## {title}", items] if items else []
