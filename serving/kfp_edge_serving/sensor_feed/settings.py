"""What the configuration of the sensor feed says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kfp_edge_serving.sensor_feed.topics import TopicPattern, TopicTemplate

SECOND = 10**9
#: Nanoseconds of the units in which a time may be a number.
TIME_UNITS = {"s": SECOND, "ms": 10**6, "us": 10**3, "ns": 1}
Overflow = Literal["oldest", "newest"]


@dataclass(frozen=True)
class ModelSettings:
    """The model and its server; a batch is the most rows of one request."""

    name: str
    url: str
    token_file: Path | None
    ca_file: Path | None
    batch: int


@dataclass(frozen=True)
class BrokerSettings:
    """The MQTT broker and the session there; times in seconds."""

    host: str
    port: int
    client_id: str
    protocol: Literal["5", "3.1.1"]
    session_expiry: int
    keepalive: int
    receive_maximum: int
    is_tls: bool
    ca_file: Path | None
    certificate_file: Path | None
    key_file: Path | None
    username_file: Path | None
    password_file: Path | None
    status_topic: str | None


@dataclass(frozen=True)
class SourceSettings:
    """Topics, and how their messages become values of columns.

    Attributes:
        topic: The topics.
        column: The column of a source whose messages are one value each, None if there are several columns.
        columns: The columns by the name that the message has for each: of a field, or of the topic's level `{column}`.
        value_field: The field of a message with one value, None if the message is the value.
        time_field: The field with the time, None if the time of a message is that of its arrival.
        time_unit: Nanoseconds of the unit of a time that is a number, None if it is a timestamp.
        group_field: The field with the group, None if the topic has it.
    """

    topic: TopicPattern
    column: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    value_field: str | None = None
    time_field: str | None = None
    time_unit: int | None = None
    group_field: str | None = None

    @property
    def has_one_value(self) -> bool:
        """Whether a message is one value."""
        return self.column is not None or self.topic.has("column")

    @property
    def has_group(self) -> bool:
        """Whether messages state a group."""
        return self.group_field is not None or self.topic.has("group")

    @property
    def all_columns(self) -> tuple[str, ...]:
        """The columns that this source fills."""
        return tuple(self.columns.values()) if self.column is None else (self.column,)


@dataclass(frozen=True)
class RowSettings:
    """When there is a row, and what is in it; times in nanoseconds.

    Attributes:
        columns: The columns of a row beside those of time and group.
        optional: Those that may have no value.
        time_column: The column with the time, None if rows have none.
        time_unit: Nanoseconds of the unit in which the time is written as a number, None if it is a timestamp.
        group_column: The column with the group, None if rows have none.
        every: The time between the rows of a group.
        trigger: The column whose values trigger rows.
        max_age: How long a value counts.
    """

    columns: tuple[str, ...]
    optional: frozenset[str] = frozenset()
    time_column: str | None = None
    time_unit: int | None = None
    group_column: str | None = None
    every: int | None = None
    trigger: str | None = None
    max_age: int = 0


@dataclass(frozen=True)
class AlarmSettings:
    """When there is an alarm: the path of an output, and the value that it equals or the limit that it passes."""

    topic: TopicTemplate
    output: str
    equals: str | int | float | bool | None = None
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class BufferSettings:
    """Where messages wait; sizes in bytes. `history` is how much of what has been answered is kept."""

    folder: Path
    size: int
    history: int
    overflow: Overflow
    is_synced: bool


@dataclass(frozen=True)
class FeedSettings:
    """The whole configuration."""

    model: ModelSettings
    broker: BrokerSettings
    sources: tuple[SourceSettings, ...]
    rows: RowSettings
    predictions: TopicTemplate | None
    alarms: AlarmSettings | None
    buffer: BufferSettings
    host: str
    port: int
