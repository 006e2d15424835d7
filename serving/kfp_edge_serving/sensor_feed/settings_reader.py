"""Reads the configuration, a TOML file; passwords and tokens come from other files or the environment."""

import itertools
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from kfp_edge_serving.sensor_feed.configuration_table import ConfigurationError, Table, is_host
from kfp_edge_serving.sensor_feed.settings import (
    SECOND,
    TIME_UNITS,
    AlarmSettings,
    BrokerSettings,
    BufferSettings,
    FeedSettings,
    ModelSettings,
    RowSettings,
    SourceSettings,
)
from kfp_edge_serving.sensor_feed.topics import TopicPattern, TopicTemplate

Settings = TypeVar("Settings")

#: Placeholders of the topics of predictions and alarms.
_PLACEHOLDERS = frozenset({"model", "group"})
_UNITS = ("timestamp", *TIME_UNITS)


def read_settings(file: Path) -> FeedSettings:
    """Read the configuration.

    Raises:
        ConfigurationError: it cannot be used.
    """
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigurationError(f"the configuration {file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration {file} is not TOML: {error}.") from error
    try:
        return parse_settings(content)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error


def parse_settings(content: Mapping[str, object]) -> FeedSettings:
    """Return the settings of a parsed file.

    Raises:
        ConfigurationError: they cannot be used.
    """
    root = Table(content, "")
    sources = tuple(_parse(table, _parse_source) for table in root.tables("sources"))
    rows_table = root.table("rows")
    rows = _parse_rows(rows_table, sources)
    rows_table.close()
    health = root.table("health")
    settings = FeedSettings(
        model=_parse(root.table("model", is_required=True), _parse_model),
        broker=_parse(root.table("broker", is_required=True), _parse_broker),
        sources=sources,
        rows=rows,
        predictions=_parse(root.table("predictions"), _parse_output_topic) if root.has("predictions") else None,
        alarms=_parse(root.table("alarms"), _parse_alarms) if root.has("alarms") else None,
        buffer=_parse(root.table("buffer", is_required=True), _parse_buffer),
        host=health.host("host", "0.0.0.0"),
        port=health.integer("port", 8082, 0, 65_535),
    )
    health.close()
    root.close()
    _check(settings)
    return settings


def _parse(table: Table, parse: Callable[[Table], Settings]) -> Settings:
    settings = parse(table)
    table.close()
    return settings


def _parse_model(table: Table) -> ModelSettings:
    url = table.text("url", "http://127.0.0.1:8080").rstrip("/")
    if not _is_server(url):
        raise table.error("url", "must be http:// or https://, a host and a port, without a login or a path")
    return ModelSettings(
        table.text("name"), url, table.path("token_file"), table.path("ca_file"), table.integer("batch", 256, 1, 10_000)
    )


def _is_server(url: str) -> bool:
    """Return whether a URL has a scheme, a host and perhaps a port, and nothing else."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - a number that is no port raises here
    except ValueError:
        return False
    has_more = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and is_host(parts.hostname or "") and not has_more


def _parse_broker(table: Table) -> BrokerSettings:
    ca_file, certificate, key = (table.path(name) for name in ("ca_file", "certificate_file", "key_file"))
    is_tls = table.flag("tls", ca_file is not None or certificate is not None)
    if (certificate is None) != (key is None):
        raise ConfigurationError("[broker] needs both 'certificate_file' and 'key_file' for a client certificate.")
    if not is_tls and (ca_file or certificate):
        raise table.error("tls", "is false, but there are files for TLS")
    protocol = table.choice("protocol", "5", ("5", "3.1.1"))
    if protocol == "3.1.1" and table.has("session_expiry"):
        raise table.error("session_expiry", "has no effect with MQTT 3.1.1, where the broker decides")
    for name in ("username", "password"):
        if table.has(name):
            raise table.error(
                name, f"does not belong into the configuration; use '{name}_file' or KFP_EDGE_FEED_{name.upper()}"
            )
    return BrokerSettings(
        host=table.host("host"),
        port=table.integer("port", 8883 if is_tls else 1883, 1, 65_535),
        client_id=table.text("client_id"),
        protocol="3.1.1" if protocol == "3.1.1" else "5",
        session_expiry=int(min(table.duration("session_expiry", 7 * 86_400, low=1), 0xFFFF_FFFE)),
        keepalive=int(table.duration("keepalive", 30, low=1, high=65_535)),
        receive_maximum=table.integer("receive_maximum", 100, 1, 65_535),
        is_tls=is_tls,
        ca_file=ca_file,
        certificate_file=certificate,
        key_file=key,
        username_file=table.path("username_file"),
        password_file=table.path("password_file"),
        status_topic=_parse_plain_topic(table, "status_topic"),
    )


def _parse_plain_topic(table: Table, key: str) -> str | None:
    text = table.optional_text(key)
    if text is not None:
        _check_template(table, key, TopicTemplate(text), frozenset())
    return text


def _parse_source(table: Table) -> SourceSettings:
    text = table.text("topic")
    try:
        topic = TopicPattern(text)
    except ValueError as error:
        raise table.error("topic", str(error)) from error
    time_field, unit = table.optional_text("time_field"), table.choice("time_unit", "timestamp", _UNITS)
    if time_field is None and table.has("time_unit"):
        raise table.error("time_unit", "needs 'time_field', the field with the time")
    source = SourceSettings(
        topic=topic,
        column=table.optional_text("column"),
        columns=_parse_columns(table),
        value_field=table.optional_text("value_field"),
        time_field=time_field,
        time_unit=TIME_UNITS.get(unit),
        group_field=table.optional_text("group_field"),
    )
    _check_source(source, table)
    return source


def _parse_columns(table: Table) -> dict[str, str]:
    """Return columns by the names that messages have for them."""
    if not table.has("columns"):
        return {}
    if not table.is_table("columns"):
        return {name: name for name in table.texts("columns")}
    by_column = table.table("columns").items()
    names = {name: column for column, name in by_column.items()}
    if len(names) < len(by_column):
        raise table.error("columns", "has one name for two columns")
    return names


def _check_source(source: SourceSettings, table: Table) -> None:
    if (source.column is None) == (not source.columns):
        raise ConfigurationError(
            f"{table.describe()} needs either 'column', where each message is one value, or 'columns', its fields."
        )
    if source.column is not None and source.topic.has("column"):
        raise table.error("column", "does not go with {column} in the topic; list the levels in 'columns'")
    if source.value_field is not None and not source.has_one_value:
        raise table.error("value_field", "is for messages of one value; 'columns' already names the fields")
    is_plain = source.has_one_value and source.value_field is None
    for key, value in (("time_field", source.time_field), ("group_field", source.group_field)):
        if value is not None and is_plain:
            raise table.error(key, "needs messages that are JSON objects; name the field of the value in 'value_field'")
    if source.group_field is not None and source.topic.has("group"):
        raise table.error("group_field", "does not go with {group} in the topic")


def _parse_rows(table: Table, sources: tuple[SourceSettings, ...]) -> RowSettings:
    columns = tuple(dict.fromkeys(column for source in sources for column in source.all_columns))
    optional = frozenset(table.texts("optional"))
    trigger = table.optional_text("trigger")
    for key, names in (("optional", optional), ("trigger", {trigger} - {None})):
        if unknown := names - set(columns):
            raise table.error(key, f"has '{min(map(str, unknown))}', which is a column of no source")
    if trigger is not None and table.has("every"):
        raise table.error("every", "does not go with 'trigger': a row comes either by time or by a column")
    is_held = trigger is not None or table.has("every")
    if not is_held and table.has("max_age"):
        raise table.error("max_age", "needs 'every' or 'trigger'; without them, each message is a row by itself")
    every = table.duration("every") if table.has("every") else None
    return RowSettings(
        columns=columns,
        optional=optional,
        time_column=table.optional_text("time_column"),
        time_unit=TIME_UNITS.get(table.choice("time_unit", "timestamp", _UNITS)),
        group_column=table.optional_text("group_column"),
        every=None if every is None else round(every * SECOND),
        trigger=trigger,
        max_age=round(table.duration("max_age") * SECOND) if is_held else 0,
    )


def _parse_output_topic(table: Table) -> TopicTemplate:
    template = TopicTemplate(table.text("topic"))
    _check_template(table, "topic", template, _PLACEHOLDERS)
    return template


def _check_template(table: Table, key: str, template: TopicTemplate, known: frozenset[str]) -> None:
    try:
        template.check(known)
    except ValueError as error:
        raise table.error(key, str(error)) from error


def _parse_alarms(table: Table) -> AlarmSettings:
    conditions = [key for key in ("equals", "above", "below") if table.has(key)]
    if len(conditions) != 1:
        raise ConfigurationError("[alarms] needs one of 'equals', 'above' and 'below'.")
    return AlarmSettings(
        topic=_parse_output_topic(table),
        output=table.text("output"),
        equals=table.scalar("equals") if table.has("equals") else None,
        above=table.number("above") if table.has("above") else None,
        below=table.number("below") if table.has("below") else None,
    )


def _parse_buffer(table: Table) -> BufferSettings:
    overflow = table.choice("overflow", "oldest", ("oldest", "newest"))
    return BufferSettings(
        folder=Path(table.text("folder")),
        size=table.size("size", 64 << 20, 256 << 10),
        history=table.size("history", 8 << 20, 64 << 10),
        overflow="newest" if overflow == "newest" else "oldest",
        is_synced=table.flag("sync", True),
    )


def _check(settings: FeedSettings) -> None:
    """Check what concerns several tables."""
    filters = [source.topic.filter for source in settings.sources]
    if repeated := {text for text in filters if filters.count(text) > 1}:
        raise ConfigurationError(f"two [[sources]] have the topics '{min(repeated)}'.")
    for first, second in itertools.combinations((source.topic for source in settings.sources), 2):
        if first.overlaps(second):
            raise ConfigurationError(
                f"the topics '{first.text}' and '{second.text}' of [[sources]] overlap: a message of both would come "
                "twice."
            )
    if settings.predictions is None and settings.alarms is None:
        raise ConfigurationError("there is neither [predictions] nor [alarms], so nothing would come of it.")
    has_groups = [source.has_group for source in settings.sources]
    if any(has_groups) and not all(has_groups):
        raise ConfigurationError("some [[sources]] have a group ({group} or 'group_field') and some have none.")
    if settings.rows.group_column is not None and not all(has_groups):
        raise ConfigurationError("'group_column' of [rows] needs {group} in the topics or 'group_field'.")
    published = [template for template in (settings.predictions, settings.alarms and settings.alarms.topic) if template]
    for template in published:
        if "{group}" in template.text and not all(has_groups):
            raise ConfigurationError(f"the topic '{template.text}' has {{group}}, but the sources have no group.")
    _check_no_loop(settings, published)


def _check_no_loop(settings: FeedSettings, published: list[TopicTemplate]) -> None:
    """Refuse to subscribe to what the feed itself publishes."""
    topics = [template.format(model=settings.model.name, group="group") for template in published]
    for source in settings.sources:
        for topic in [*topics, settings.broker.status_topic or ""]:
            if topic and source.topic.match(topic) is not None:
                raise ConfigurationError(f"the source '{source.topic.text}' receives '{topic}', which the feed sends.")
