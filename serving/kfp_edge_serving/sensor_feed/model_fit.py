"""Whether the rows of a configuration are those that a model takes."""

from collections.abc import Iterable, Iterator

from kfp_edge_serving.sensor_feed.model_client import ModelDescription
from kfp_edge_serving.sensor_feed.settings import FeedSettings


def find_misfit(settings: FeedSettings, model: ModelDescription) -> str | None:
    """Return in one sentence why the model takes no rows of this configuration, None if it takes them."""
    return next(_list_misfits(settings, model), None)


def _list_misfits(settings: FeedSettings, model: ModelDescription) -> Iterator[str]:
    rows, name = settings.rows, settings.model.name
    if unknown := set(rows.columns) - model.columns.keys():
        yield f"the model '{name}' has no column '{min(unknown)}'; it has {_quote(model.columns)}."
    required = {column for column, is_required in model.columns.items() if is_required}
    if missing := required - set(rows.columns):
        yield f"the model '{name}' needs the column '{min(missing)}', which no source fills."
    for key, wanted, given in (
        ("time_column", model.time_column, rows.time_column),
        ("group_column", model.group_column, rows.group_column),
    ):
        if wanted != given:
            should = f"'{key}' of [rows] must be '{wanted}'" if wanted else f"[rows] must have no '{key}'"
            yield f"{should} for the model '{name}'."
    if model.has_windows and model.is_numeric_time and rows.time_unit is None:
        yield "the time was a number in training; set 'time_unit' of [rows] to its unit, such as 's'."
    if model.has_windows and not model.is_numeric_time and rows.time_unit is not None:
        yield "the time was a timestamp in training; leave out 'time_unit' of [rows]."
    if settings.alarms is not None and settings.alarms.output not in model.outputs:
        output = settings.alarms.output
        yield f"the model '{name}' has no output '{output}' for [alarms]; it has {_quote(model.outputs)}."


def _quote(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))
