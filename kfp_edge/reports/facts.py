"""What a reviewer has to know about a model, as tables that the reports and the model card share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.events import EventCount
from kfp_edge.ml.measurement import Measurement
from kfp_edge.ml.metrics import MetricSubject, find_metric, name_of_class
from kfp_edge.ml.threshold_rows import choose_threshold_method, count_threshold_rows, select_fitted_rows
from kfp_edge.reports.data_tables import Section, describe_common_groups, describe_parts, format_share
from kfp_edge.reports.html import Page, format_number
from kfp_edge.reports.markdown import to_plain_text
from kfp_edge.wording import count_of

#: Groups beyond these are counted together.
_MAX_GROUPS = 30
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

    @property
    def warnings(self) -> list[str]:
        """What is suspicious about the data and the metrics, each in one sentence, and each once."""
        sentences = (*self.train.preparation.warnings, *self.measurement.warnings)
        return list(dict.fromkeys(f"{sentence.rstrip('.')}." for sentence in sentences))

    @property
    def fitted_rows(self) -> str:
        """How many rows the model was fitted on, and what became of the other training rows."""
        data, used = self.train, len(select_fitted_rows(self.train).frame)
        if data.roles.task != "anomaly":
            return f"fitted on {count_of(used, 'row')}"
        latest = count_threshold_rows(data) if choose_threshold_method(data) == "latest" else 0
        anomalous = int((data.y() == 1).sum()) if data.roles.target else 0
        after_events = len(data.frame) - used - anomalous
        unused = [f"{anomalous:,} labelled anomalous"] if anomalous else []
        unused += [f"{after_events:,} after an event"] if after_events else []
        verb = "was" if anomalous + after_events == 1 else "were"
        remarks = [f"{' and '.join(unused)} {verb} not used"] if unused else []
        remarks += [f"the latest {latest:,} set the threshold"] if latest else []
        fitted = count_of(used - latest, "normal row" if data.roles.target else "row")
        return f"fitted on {fitted}" + (f" ({'; '.join(remarks)})" if remarks else "")

    @property
    def sections(self) -> list[Section]:
        """The tables: data and split, the two parts, metrics, and what is measured by class or by group."""
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
        if roles.task == "classification":
            header: tuple[str, ...] = ("class", "recall", "precision", "F1", "rows in training", "rows held out")
            sections.append(Section("Metrics of each class", header, list(self._describe_classes())))
        elif self.measurement.events:
            header = (self.test.roles.group or "rows", "events", "events with an alarm")
            note = "An event is an unbroken run of anomalous rows, of one group where there are groups."
            sections.append(Section("Events", header, list(self._describe_events()), note))
        return sections

    def add_to(self, page: Page) -> None:
        """Add the tables to a page."""
        for section in self.sections:
            page.heading(section.title).table(section.header, section.rows)
            if section.note:
                page.text(section.note)

    def to_markdown(self) -> list[str]:
        """Return the warnings and the tables as blocks of Markdown."""
        items = "\n".join(f"- {to_plain_text(warning)}" for warning in self.warnings)
        blocks = ["## Warnings", items] if items else []
        for section in self.sections:
            blocks += section.to_markdown()
        return blocks

    @property
    def _positive(self) -> ClassLabel | None:
        """The class whose rows are counted: of two classes the positive one, 1 in an anomaly task with labels."""
        if self.train.roles.task == "anomaly":
            return 1 if self.train.roles.target else None
        return self.measurement.positive

    @property
    def _subject(self) -> MetricSubject:
        if self.train.roles.task == "anomaly":
            return "anomalies"
        return "many classes" if self.measurement.positive is None else "two classes"

    def _describe_data(self) -> Iterable[tuple[str, str]]:
        roles, preparation = self.train.roles, self.train.preparation
        yield "task", roles.task
        yield "target", roles.target or "none: the data has no labels"
        if self._positive is not None:
            name = f"{self._positive}{' (anomalous)' if roles.task == 'anomaly' else ''}"
            yield "positive class", ": ".join(filter(None, (name, preparation.positive_reason)))
        elif roles.target:
            yield "positive class", f"none: there are {self.train.frame[roles.target].nunique():,} classes"
        if roles.task == "anomaly":
            yield "false-alarm rate", self._compare_false_alarm_rates()
        if self.threshold is not None:
            origin = f", set by {self.threshold_rows}" if self.threshold_rows else ""
            yield "threshold of the score", f"{format_number(self.threshold)}{origin}"
        yield "model", self.fitted_rows
        yield "features", f"{len(roles.numeric):,} numeric, {len(roles.categorical):,} categorical"
        if preparation.split:
            yield "split", ": ".join(filter(None, (preparation.split, preparation.split_reason)))
        yield from describe_common_groups(self.train, self.test)
        left_out = "; ".join(f"{rows:,} ({reason})" for reason, rows in preparation.left_out.items())
        yield "rows in neither part", left_out or "none"
        yield "sha256 of the data", self.train.sha256

    def _compare_false_alarm_rates(self) -> str:
        has_labels = "false_alarm_rate" in self.measurement.metrics
        metric, rows = ("false_alarm_rate", "") if has_labels else ("alarm_rate", " in all rows, as none is labelled")
        measured = format_number(self.measurement.metrics[metric])
        interval = self.measurement.intervals.get(metric)
        certainty = f" (95 % interval {interval})" if interval else ""
        return f"{self.false_alarm_rate:g} asked for, {measured} measured{certainty}{rows}"

    def _describe_metrics(self) -> Iterable[tuple[str, ...]]:
        for name, value in sorted(self.measurement.metrics.items()):
            metric = find_metric(name)
            if metric is not None and metric.name == name:
                interval = str(self.measurement.intervals.get(name, ""))
                yield name, format_number(value), interval, metric.direction.value, metric.describe(self._subject)

    def _describe_classes(self) -> Iterable[tuple[str, ...]]:
        counts = [pd.Series(part.y()).value_counts() for part in (self.train, self.test)]
        for label in sorted(set(counts[0].index) | set(counts[1].index)):
            yield (
                str(label),
                *(self._format_metric(name_of_class(metric, label)) for metric in ("recall", "precision", "f1")),
                *(format_share(int(count.get(label, 0)), int(count.sum())) for count in counts),
            )

    def _describe_events(self) -> Iterable[tuple[str, ...]]:
        """Yield a row for each group, those with the most missed events first, and one for the groups beyond."""
        counts = sorted(self.measurement.events, key=lambda count: (count.detected - count.events, str(count.group)))
        listed, rest = counts[:_MAX_GROUPS], counts[_MAX_GROUPS:]
        for count in listed:
            yield str(count.group) or "all", *_sum_events([count])
        if rest:
            yield f"{len(rest):,} more", *_sum_events(rest)
        if len(counts) > 1:
            yield "all", *_sum_events(counts)

    def _format_metric(self, name: str) -> str:
        if name not in self.measurement.metrics:
            return "not measured"
        interval = self.measurement.intervals.get(name)
        return format_number(self.measurement.metrics[name]) + (f" ({interval})" if interval else "")


def _sum_events(counts: Sequence[EventCount]) -> tuple[str, str]:
    return f"{sum(count.events for count in counts):,}", f"{sum(count.detected for count in counts):,}"
