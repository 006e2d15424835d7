"""The definition of computed features, `features.json` in a bundle: what a model needs beside the row of a client."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from kfp_edge_serving.features.rolling_windows import STATISTICS
from kfp_edge_serving.json_types import JsonObject

#: How the times of a time column are written: as numbers, or as timestamps of ISO 8601.
_TIME_KINDS = ("number", "timestamp")


@dataclass(frozen=True)
class WindowFeature:
    """One feature: a statistic of the last `rows` values of the column `source`."""

    name: str
    source: str
    statistic: str
    rows: int


@dataclass(frozen=True)
class FeatureDefinition:
    """How a model's features are computed from the rows of a client.

    Windows are of the rows of one group, or of all rows if `group_column` is None, in the order of `time_column`. If
    `has_unique_times`, no two rows of a group share a time, so that a row of the same time is the same row again.
    """

    time_column: str
    is_numeric_time: bool
    has_unique_times: bool
    group_column: str | None
    windows: tuple[WindowFeature, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the computed features."""
        return frozenset(feature.name for feature in self.windows)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The columns that windows are of, each once."""
        return tuple(dict.fromkeys(feature.source for feature in self.windows))

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The lengths of windows in rows, each once."""
        return tuple(dict.fromkeys(feature.rows for feature in self.windows))

    @property
    def rows_needed(self) -> int:
        """Rows of a group, the last one included, from which the features of one row are computed."""
        return max(self.widths)


def parse_definition(content: JsonObject, columns: Collection[str]) -> FeatureDefinition:
    """Return the definition that a `features.json` holds.

    Args:
        content: The file, parsed.
        columns: The columns of the model's signature.

    Raises:
        KeyError, TypeError, ValueError: it does not follow the bundle contract.
    """
    windows = tuple(
        WindowFeature(str(entry["name"]), str(entry["source"]), entry["statistic"], int(entry["rows"]))
        for entry in content["windows"]
    )
    group = content.get("group_column")
    definition = FeatureDefinition(
        time_column=str(content["time_column"]),
        is_numeric_time=content["time_kind"] == "number",
        has_unique_times=content["has_unique_times"] is True,
        group_column=None if group is None else str(group),
        windows=windows,
    )
    if content["time_kind"] not in _TIME_KINDS or not windows or min(definition.widths) < 2:
        raise ValueError("the kind of the time, or a window, is not valid")
    if unknown := {feature.statistic for feature in windows} - set(STATISTICS):
        raise ValueError(f"unknown statistic {min(unknown)}")
    if stray := definition.names - set(columns):
        raise ValueError(f"the signature has no column {min(stray)!r}")
    if shared := definition.names & set(definition.sources):
        raise ValueError(f"{min(shared)!r} is computed and the source of a window")
    return definition
