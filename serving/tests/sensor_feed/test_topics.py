"""Topics: which messages belong to a source, and what is published where."""

import re

import pytest

from kfp_edge_serving.sensor_feed.topics import TopicPattern, TopicTemplate


@pytest.mark.parametrize(
    ("pattern", "topic", "levels"),
    [
        ("plant/{group}/state", "plant/press-1/state", {"group": "press-1"}),
        ("plant/{group}/state", "plant/press-1/state/x", None),
        ("plant/{group}/state", "plant/a/b/state", None),
        ("plant/{group}/{column}", "plant/7/temp", {"group": "7", "column": "temp"}),
        ("plant/+/{group}", "plant/hall/7", {"group": "7"}),
        ("{group}/state", "$SYS/state", None),
        ("{group}/#", "a/b/c", {"group": "a"}),
        ("{group}/#", "a", {"group": "a"}),
        ("#", "a/b", {}),
        ("a.c", "abc", None),
        ("plant//state", "plant//state", {}),
    ],
)
def test_a_topic_matches_level_by_level(pattern: str, topic: str, levels: dict[str, str] | None) -> None:
    assert TopicPattern(pattern).match(topic) == levels


def test_placeholders_are_subscribed_to_as_wildcards() -> None:
    assert TopicPattern("plant/{group}/+/{column}/#").filter == "plant/+/+/+/#"


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("plant/{machine}", "has {machine}; it may have {group} and {column}"),
        ("plant/press-{group}", "has the level 'press-{group}'; a placeholder or a wildcard is a whole level"),
        ("plant/pre+", "has the level 'pre+'; a placeholder or a wildcard is a whole level"),
        ("{group}/{group}", "has a placeholder twice"),
        ("#/state", "has # before its last level"),
        ("plant/a\x01", "has a control character, with which brokers close the connection"),
        ("$share/halls/plant/{group}", "is a shared subscription, of which one feed gets a part only"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, error: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        TopicPattern(pattern)


def test_a_group_adds_no_level_and_no_wildcard_to_a_topic() -> None:
    template = TopicTemplate("alarms/{model}/{group}")
    assert template.format(model="press", group="hall/7#+") == "alarms/press/hall%2F7%23%2B"


@pytest.mark.parametrize(
    ("group", "level"),
    [
        ("a\n", "a%0A"),
        ("\0", "%00"),
        ("\x9f", "%C2%9F"),
        ("\ufffe", "%EF%BF%BE"),
        ("\U0001ffff", "%F0%9F%BF%BF"),
        ("süß", "süß"),
    ],
)
def test_a_group_adds_no_character_that_brokers_refuse(group: str, level: str) -> None:
    assert TopicTemplate("{group}/alarm").format(group=group) == f"{level}/alarm"


def test_a_group_does_not_make_a_topic_one_of_the_broker() -> None:
    assert TopicTemplate("{group}/alarm").format(group="$SYS") == "%24SYS/alarm"
    assert TopicTemplate("$aws/rules/{group}").format(group="$1") == "$aws/rules/$1"


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("plant/{group}/state", "plant/{group}/+", True),
        ("plant/#", "plant", True),
        ("plant/+/#", "{group}/a", True),
        ("#", "a/b", True),
        ("plant/{group}/{column}", "plant/{group}", False),
        ("plant/a/+", "plant/b/#", False),
    ],
)
def test_patterns_that_match_one_topic_overlap(first: str, second: str, overlap: bool) -> None:
    assert TopicPattern(first).overlaps(TopicPattern(second)) is overlap
    assert TopicPattern(second).overlaps(TopicPattern(first)) is overlap


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("alarms/{site}", "has {site}; it may have {group} and {model}"),
        ("alarms/+", "has a wildcard or a brace, which no topic to publish to may have"),
        ("alarms/\x7f", "has a control character, with which brokers close the connection"),
        ("alarms/{group", "has a wildcard or a brace, which no topic to publish to may have"),
    ],
)
def test_what_is_no_topic_to_publish_to_is_refused(template: str, error: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        TopicTemplate(template).check({"model", "group"})
