"""What counts as the same message again, and when an alarm changes."""

from typing import Any

import pytest

from kfp_edge_serving.sensor_feed.alarms import Alarms
from kfp_edge_serving.sensor_feed.duplicates import RecentMessages
from kfp_edge_serving.sensor_feed.events import ClockEvent, MessageEvent, decode_event
from kfp_edge_serving.sensor_feed.settings import AlarmSettings
from kfp_edge_serving.sensor_feed.topics import TopicTemplate


def message(payload: bytes = b"1", packet: int = 7, topic: str = "t") -> MessageEvent:
    return MessageEvent(topic, payload, 0, 0, packet)


@pytest.mark.parametrize(
    ("again", "has_time", "is_repeated", "is_duplicate"),
    [
        (message(packet=9), True, False, True),
        (message(b"2"), True, True, False),
        (message(topic="u"), True, True, False),
        (message(), False, True, True),
        (message(), False, False, False),
        (message(packet=9), False, True, False),
    ],
)
def test_a_message_is_a_duplicate_by_its_time_or_by_its_packet(
    again: MessageEvent, has_time: bool, is_repeated: bool, is_duplicate: bool
) -> None:
    recent = RecentMessages()
    recent.remember(message(), has_time)
    assert recent.has(again, has_time, is_repeated) == is_duplicate


@pytest.mark.parametrize("event", [MessageEvent("a/ü", b"\0\xff", -1, 2**63, 65_535), ClockEvent(5)])
def test_an_event_is_read_as_it_was_written(event: MessageEvent | ClockEvent) -> None:
    assert decode_event(event.encode()) == event


@pytest.mark.parametrize(
    ("condition", "on", "off"),
    [
        ({"output": "label", "equals": "fail"}, {"label": "fail"}, {"label": "pass"}),
        ({"output": "label", "equals": 1}, {"label": 1}, {"label": 0}),
        ({"output": "score", "above": 0.5}, {"score": 0.6}, {"score": 0.5}),
        ({"output": "hours", "below": 24.0}, {"hours": 23}, {"hours": 24.0}),
        (
            {"output": "probabilities.worn", "above": 0.9},
            {"probabilities": {"worn": 0.95}},
            {"probabilities": {"worn": 0.1}},
        ),
        (
            {"output": "probabilities.no. 2", "above": 0.9},
            {"probabilities": {"no. 2": 1}},
            {"probabilities": {"no. 2": 0}},
        ),
    ],
)
def test_an_alarm_changes_with_the_prediction(condition: dict[str, Any], on: Any, off: Any) -> None:
    alarms = Alarms(AlarmSettings(TopicTemplate("alarms"), **condition))
    assert [alarms.update("A", prediction) for prediction in (off, off, on, on, off)] == [
        False,
        None,
        True,
        None,
        False,
    ]
    assert alarms.update("B", on) is True


def test_a_score_that_is_missing_changes_nothing() -> None:
    alarms = Alarms(AlarmSettings(TopicTemplate("alarms"), "score", above=1.0))
    assert [alarms.update("A", {"score": score}) for score in (2.0, None, 2.0)] == [True, None, None]
