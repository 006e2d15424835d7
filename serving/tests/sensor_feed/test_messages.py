"""Messages: what a payload says about columns, group and time, and what is no reading."""

from typing import Any

import pytest

from kfp_edge_serving.sensor_feed.messages import MessageError, MessageReader, Reading
from kfp_edge_serving.sensor_feed.settings import SourceSettings
from kfp_edge_serving.sensor_feed.topics import TopicPattern

ARRIVAL = 1_700_000_000 * 10**9
OBJECTS = SourceSettings(
    TopicPattern("plant/{group}/state"),
    columns={"pressure": "pressure [bar]", "motor.temp": "temperature"},
    time_field="at",
)
VALUES = SourceSettings(TopicPattern("plant/{group}/{column}"), columns={"temp": "temperature", "type": "type"})


def read(source: SourceSettings, topic: str, payload: bytes) -> Reading | None:
    return MessageReader((source,)).read(topic, payload, ARRIVAL)


def test_the_fields_of_an_object_are_columns() -> None:
    payload = b'{"at": "1970-01-01T00:00:01.5Z", "pressure": 50, "motor": {"temp": 71.4}, "other": [1]}'
    reading = read(OBJECTS, "plant/A/state", payload)
    assert reading == Reading("A", 1_500_000_000, {"pressure [bar]": 50, "temperature": 71.4})


def test_a_field_that_is_missing_or_nan_has_no_value() -> None:
    reading = read(OBJECTS, "plant/A/state", b'{"at": "1970-01-01T00:00:01Z", "pressure": NaN}')
    assert reading is not None
    assert reading.values == {"pressure [bar]": None, "temperature": None}


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"71.4", 71.4),
        (b" 7 ", 7),
        (b"true", True),
        (b"H", "H"),
        (b'"H"', "H"),
        (b"nan", None),
        (b"", None),
        ("süß".encode(), "süß"),
    ],
)
def test_a_message_may_be_one_value(payload: bytes, value: Any) -> None:
    assert read(VALUES, "plant/A/temp", payload) == Reading("A", ARRIVAL, {"temperature": value})


def test_a_topic_about_no_column_is_no_reading() -> None:
    assert read(VALUES, "plant/A/firmware", b"1") is None
    assert read(VALUES, "elsewhere", b"1") is None


@pytest.mark.parametrize(
    ("unit", "time", "nanoseconds"),
    [
        (10**9, "1700000000.123456789", 1_700_000_000_123_457_000),
        (10**9, "1700000000", 1_700_000_000 * 10**9),
        (10**6, "1700000000123", 1_700_000_000_123 * 10**6),
        (1, "1700000000123456789", 1_700_000_000_123_456_789),
    ],
)
def test_a_time_may_be_a_number_of_a_unit(unit: int, time: str, nanoseconds: int) -> None:
    source = SourceSettings(TopicPattern("t"), columns={"x": "x"}, time_field="at", time_unit=unit)
    reading = read(source, "t", f'{{"at": {time}, "x": 1}}'.encode())
    assert reading is not None
    assert reading.time == nanoseconds


def test_a_group_may_be_a_field() -> None:
    source = SourceSettings(TopicPattern("t"), columns={"x": "x"}, group_field="machine.id")
    reading = read(source, "t", b'{"machine": {"id": 7.0}, "x": 1}')
    assert reading is not None
    assert reading.group == "7"


@pytest.mark.parametrize(
    ("source", "payload", "error"),
    [
        (OBJECTS, b"[1]", "it is no JSON object."),
        (
            OBJECTS,
            b'{"at": "yesterday", "pressure": 1}',
            "its time, 'at', must be a timestamp such as '2024-01-31T13:00:00Z'.",
        ),
        (OBJECTS, b'{"at": 17, "pressure": 1}', "its time, 'at', must be a timestamp such as '2024-01-31T13:00:00Z'."),
        (
            OBJECTS,
            b'{"at": "2024-01-01T00:00:00Z", "pressure": [1]}',
            "the value of 'pressure [bar]' is neither a number nor a text.",
        ),
        (VALUES, b'{"value": 1}', "it is JSON, and not one value; name the field with the value in 'value_field'."),
        (
            OBJECTS,
            b'{"at": NaN, "pressure": "\\ud800"}',
            "it is not valid JSON: str is not valid UTF-8: surrogates not allowed.",
        ),
        (VALUES, b"\xff", "it is neither a number nor text in UTF-8."),
    ],
)
def test_what_is_no_reading_is_explained(source: SourceSettings, payload: bytes, error: str) -> None:
    with pytest.raises(MessageError) as raised:
        read(source, "plant/A/state" if source is OBJECTS else "plant/A/temp", payload)
    assert str(raised.value) == error


def test_a_number_beside_nan_is_as_in_any_other_message() -> None:
    payload = b'{"at": "1970-01-01T00:00:01Z", "pressure": 1%b, "motor": {"temp": %b}}'
    for zeros in (b"0" * 15, b"0" * 40):
        plain = read(OBJECTS, "plant/A/state", payload % (zeros, b"null"))
        assert read(OBJECTS, "plant/A/state", payload % (zeros, b"NaN")) == plain


def test_a_group_in_the_topic_is_as_short_as_the_server_takes_it() -> None:
    with pytest.raises(MessageError, match="its group, a level of the topic, has more than 256 characters"):
        read(VALUES, f"plant/{'x' * 257}/temp", b"1")


@pytest.mark.parametrize("payload", [b"{", b'{"at": Infinity}', b'{"at": NaN, ', b"NaN" + b"[" * 100_000])
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    with pytest.raises(MessageError, match="it is not valid JSON: "):
        read(OBJECTS, "plant/A/state", payload)
