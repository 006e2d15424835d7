"""The two parts of a dataset as a table: rows, groups, times and classes, the same in every report."""

from collections.abc import Iterable, Sequence

from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.numbers import format_share
from kfp_edge.reports.section import Section
from kfp_edge.tasks.registry import task_of


def describe_parts(train: Dataset, test: Dataset, classes: Sequence[ClassLabel]) -> Section:
    """Return what is in each part; of the labels, the rows of `classes` are counted."""
    return Section("Training and held-out rows", ("", "training", "held out"), list(_list_parts(train, test, classes)))


def describe_common_groups(train: Dataset, test: Dataset) -> Iterable[tuple[str, str]]:
    """Yield the number of groups that are in both parts, where there are groups."""
    if train.roles.group:
        common = set.intersection(*(_find_groups(part) for part in (train, test)))
        yield f"groups of {train.roles.group!r} in both parts", f"{len(common):,}"


def _list_parts(train: Dataset, test: Dataset, classes: Sequence[ClassLabel]) -> Iterable[tuple[str, ...]]:
    parts, roles = (train, test), train.roles
    yield "rows", *(f"{len(part.frame):,}" for part in parts)
    for label in classes:
        name = task_of(train).name_rows(label)
        yield name, *(format_share(int((part.y() == label).sum()), len(part.frame)) for part in parts)
    if roles.group:
        yield f"groups of {roles.group!r}", *(f"{len(_find_groups(part)):,}" for part in parts)
    if roles.time:
        zone = " (UTC)" if train.preparation.has_utc_times else ""
        times = [part.frame[roles.time] for part in parts]
        yield f"first {roles.time!r}{zone}", *(_format_time(values.min()) for values in times)
        yield f"last {roles.time!r}{zone}", *(_format_time(values.max()) for values in times)


def _find_groups(part: Dataset) -> set[ClassLabel]:
    return set(part.frame[part.roles.group])


def _format_time(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)
