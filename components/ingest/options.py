"""The parameters of `ingest`: their defaults for generated data, and the combinations that contradict each other."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from kfp_edge.components.ingest.labelling.label_options import LabelOptions
from kfp_edge.components.ingest.reading import synthetic
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.components.ingest.splitting.time_range import TimeRange
from kfp_edge.components.ingest.targets.rules import TARGET_RULES, rule_of
from kfp_edge.errors import ParameterError
from kfp_edge.suggestions import describe_unknown_choice

#: What the random generator of scikit-learn takes.
_LARGEST_SEED = 2**32 - 1
_SPLITS = ("auto", "random", "time", "group", "group-and-time")


@dataclass(frozen=True)
class IngestOptions:
    """The parameters of `ingest`; the component describes each of them."""

    data: str
    target: str = ""
    positive: str = ""
    drop: tuple[str, ...] = ()
    task: str = "classification"
    time_column: str = ""
    group_column: str = ""
    windows: str = ""
    rolling_windows: tuple[int, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    split: str = "auto"
    test_fraction: float = 0.2
    seed: int = 0
    table_format: TableFormat = field(default_factory=TableFormat)
    labels: LabelOptions = field(default_factory=LabelOptions)
    time_range: TimeRange = field(default_factory=TimeRange)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the options among the parameters of a pipeline, as KFP passes them; others are ignored.

        Raises:
            ParameterError: the length of a rolling window is no whole number, or a key of `time_range` is unknown.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()
        }
        # in Python, a class such as 1 or a code such as -200 may come as a number
        values["rolling_windows"] = tuple(_to_whole(rows) for rows in values.get("rolling_windows", ()))
        values["positive"] = str(values.get("positive", ""))
        values["missing_values"] = tuple(str(value) for value in values.get("missing_values", ()))
        # a number of cycles may come as a number
        values |= {name: str(values.get(name, "")) for name in ("horizon", "repair_time", "max_rul")}
        time_range = TimeRange.parse(values.pop("time_range", {}), values.pop("quarantined", ()))
        own, of_table, of_labels = (
            {field.name: values[field.name] for field in dataclasses.fields(kind) if field.name in values}
            for kind in (cls, TableFormat, LabelOptions)
        )
        table_format, labels = TableFormat(**of_table), LabelOptions(**of_labels)
        return cls(**own, table_format=table_format, labels=labels, time_range=time_range)

    @property
    def label_parameter(self) -> str:
        """The parameter that gives the labels, "" where there are none."""
        return "target" if self.target else "windows" if self.windows else self.labels.source

    @property
    def role_columns(self) -> dict[str, str]:
        """Column name by role, "" where there is none."""
        return {"target": self.target, "time": self.time_column, "group": self.group_column}


def _to_whole(rows: object) -> int:
    """Return the length of a rolling window, which KFP may pass as a float."""
    if isinstance(rows, int | float) and float(rows).is_integer():
        return int(rows)
    raise ParameterError(f"rolling_windows has {rows!r}; give whole numbers of rows, such as [6, 36].")


def complete_options(options: IngestOptions) -> IngestOptions:
    """Set the target of generated data, and drop the columns that leak it."""
    if not options.data.startswith(synthetic.SCHEME) or options.target or options.task not in TARGET_RULES:
        return options
    target = rule_of(options.task).synthetic_target
    not_features = (name for name in (*synthetic.NOT_FEATURES, synthetic.TARGET) if name != target)
    return dataclasses.replace(options, target=target, drop=tuple(dict.fromkeys((*not_features, *options.drop))))


def predicts_number(task: str) -> bool:
    """Return whether a task predicts a number and no label."""
    return task in TARGET_RULES and rule_of(task).has_numbers


def _is_split_at_windows(task: str) -> bool:
    return task in TARGET_RULES and rule_of(task).is_split_at_windows


def check_options(options: IngestOptions) -> None:
    """Refuse parameters that are out of range or contradict each other.

    Raises:
        ParameterError: with the first contradiction.
    """
    for message in find_contradictions(options):
        raise ParameterError(message)


def find_contradictions(options: IngestOptions) -> Iterator[str]:
    """Yield what is out of range, and which parameters contradict each other, each in one sentence."""
    if options.task in TARGET_RULES:  # first: its remedies are those that work for this task
        yield from rule_of(options.task).find_contradictions(options)
    for message, is_violated in _list_rules(options):
        if is_violated:
            yield message
    yield from _find_role_conflicts(options)
    yield from options.table_format.find_problems()
    yield from options.time_range.find_problems(
        time_column=options.time_column, group_column=options.group_column, split=options.split
    )
    yield from options.labels.find_problems(
        windows=options.windows,
        target=options.target,
        positive=options.positive,
        has_number_target=predicts_number(options.task),
    )


def _list_rules(options: IngestOptions) -> Iterator[tuple[str, bool]]:
    """Yield every rule: the message, and whether the rule is violated."""
    needs_time = options.split in ("time", "group-and-time")
    yield from {
        describe_unknown_choice("task", options.task, TARGET_RULES): options.task not in TARGET_RULES,
        describe_unknown_choice("split", options.split, _SPLITS): options.split not in _SPLITS,
        f"test_fraction must lie between 0 and 1, not {options.test_fraction:g}.": not 0 < options.test_fraction < 1,
        f"seed must lie between 0 and {_LARGEST_SEED}, not {options.seed}.": not 0 <= options.seed <= _LARGEST_SEED,
        f"a rolling window must be at least 2 rows, not {min(options.rolling_windows, default=2):g}.": (
            min(options.rolling_windows, default=2) < 2
        ),
        "positive names a class, and there are no labels: name the label column in target, or leave positive empty.": (
            bool(options.positive) and not options.label_parameter
        ),
        f"split={options.split} needs the column of times; name it in time_column.": (
            needs_time and not options.time_column
        ),
        "windows need the column of times; name it in time_column.": bool(options.windows) and not options.time_column,
        f"{options.labels.source} needs the column of times; name it in time_column.": (
            bool(options.labels.source) and not options.time_column
        ),
        "windows and target both give the label of a row; leave one of them out.": (
            bool(options.windows) and bool(options.target) and not _is_split_at_windows(options.task)
        ),
        "split=random with failures would leak: rows before the same failure would be in both parts; use split=auto.": (
            options.split == "random" and bool(options.labels.failures)
        ),
        "run_to_failure needs whole groups in one part, as a group ends with its failure; use split=auto.": (
            options.split in ("random", "time") and options.labels.run_to_failure
        ),
        "rolling_windows need the column of times, by which rows are ordered; name it in time_column.": (
            bool(options.rolling_windows) and not options.time_column
        ),
        "split=random with rolling_windows would leak: neighbouring rows share their past; use split=auto.": (
            options.split == "random" and bool(options.rolling_windows)
        ),
    }.items()


def _find_role_conflicts(options: IngestOptions) -> Iterator[str]:
    names = [name for name in options.role_columns.values() if name]
    for name in dict.fromkeys(names):
        if name in options.drop:
            yield f"column {name!r} is in drop and has another role too; remove it from one of them."
        if names.count(name) > 1:
            yield f"column {name!r} has two roles; target, time_column and group_column must differ."
