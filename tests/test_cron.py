from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_edge.cron import Cron
from kfp_edge.errors import KfpEdgeError


def next_times(text: str, moment: str, number: int = 3) -> list[str]:
    times = Cron.parse(text).after(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    return [f"{each:%Y-%m-%dT%H:%M:%S}" for each in islice(times, number)]


@pytest.mark.parametrize(
    ("text", "moment", "expected"),
    [
        ("0 30 2 * * *", "2026-11-23T01:00:00", ["2026-11-23T02:30:00", "2026-11-24T02:30:00", "2026-11-25T02:30:00"]),
        ("0 30 2 * * *", "2026-11-23T02:30:00", ["2026-11-24T02:30:00", "2026-11-25T02:30:00", "2026-11-26T02:30:00"]),
        (
            "*/20 * * * * ?",
            "2026-11-23T23:59:30",
            ["2026-11-23T23:59:40", "2026-11-24T00:00:00", "2026-11-24T00:00:20"],
        ),
        (
            "0 0 9 ? * mon-FRI",
            "2026-11-27T09:00:00",
            ["2026-11-30T09:00:00", "2026-12-01T09:00:00", "2026-12-02T09:00:00"],
        ),
        ("0 0 0 29 Feb ?", "2026-01-01T00:00:00", ["2028-02-29T00:00:00"]),
        ("0 0 0 1 1,7 ?", "2026-11-23T00:00:00", ["2027-01-01T00:00:00", "2027-07-01T00:00:00", "2028-01-01T00:00:00"]),
        (
            "5/20 0 0 1 1 ?",
            "2026-01-01T00:00:00",
            ["2026-01-01T00:00:05", "2026-01-01T00:00:25", "2026-01-01T00:00:45"],
        ),
        # both day fields are restricted: a match of either suffices
        (
            "0 0 0 13 * fri",
            "2026-11-01T00:00:00",
            ["2026-11-06T00:00:00", "2026-11-13T00:00:00", "2026-11-20T00:00:00"],
        ),
        # a star with a step is still a star: both must match
        (
            "0 0 0 */2 * fri",
            "2026-11-01T00:00:00",
            ["2026-11-13T00:00:00", "2026-11-27T00:00:00", "2026-12-11T00:00:00"],
        ),
    ],
)
def test_the_next_times_are_those_of_the_backend_s_cron(text: str, moment: str, expected: list[str]) -> None:
    assert next_times(text, moment)[: len(expected)] == expected


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    there = datetime(2026, 11, 23, 3, 0, tzinfo=timezone(timedelta(hours=2)))
    assert next(Cron.parse("0 30 * * * *").after(there)) == datetime(2026, 11, 23, 1, 30, tzinfo=UTC)


def test_five_fields_are_refused_with_a_suggestion_of_six() -> None:
    with pytest.raises(KfpEdgeError) as refused:
        Cron.parse("30 2 * * *")
    assert str(refused.value) == (
        "the cron expression '30 2 * * *' has 5 fields, and needs six (second, minute, hour, day of month, month, "
        "day of week); is it a line from a crontab? then write '0 30 2 * * *'."
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("60 0 0 * * *", "second '60'"),
        ("0 -1 0 * * *", "minute '-1'"),
        ("0 0 24 * * *", "hour '24'"),
        ("0 0 0 0 * *", "day of month '0'"),
        ("0 0 0 * 13 *", "month '13'"),
        ("0 0 0 * * 7", "day of week '7'"),
        ("0 0 5-1 * * *", "hour '5-1'"),
        ("0 0/0 0 * * *", "minute '0/0'"),
        ("0 1,,2 0 * * *", "minute '1,,2'"),
        ("0 0 0 L * *", "day of month 'L'"),
        ("0 0 0 * foo *", "month 'foo'"),
        ("0 1/2/3 0 * * *", "minute '1/2/3'"),
        ("0 *-5 0 * * *", "minute '*-5'"),
        ("0 ٣ 0 * * *", "minute '٣'"),
    ],
)
def test_an_invalid_field_is_named(text: str, field: str) -> None:
    with pytest.raises(KfpEdgeError, match=rf"the {field.replace('*', '[*]')} of the cron expression"):
        Cron.parse(text)


def test_an_interval_is_given_in_seconds() -> None:
    with pytest.raises(KfpEdgeError, match=r"'@every 1h' is an interval; give it in seconds, as --every 3600"):
        Cron.parse("@every 1h")


@pytest.mark.parametrize("text", ["@daily", "@midnight", "0 0 0 * * *"])
def test_a_name_stands_for_an_expression(text: str) -> None:
    assert next_times(text, "2026-11-29T12:00:00", 2) == ["2026-11-30T00:00:00", "2026-12-01T00:00:00"]
    assert Cron.parse(text).text == text


def test_an_expression_that_never_matches_is_refused() -> None:
    with pytest.raises(KfpEdgeError, match="matches no day within 5 years"):
        Cron.parse("0 0 0 30 2 ?")


def ranges(minimum: int, maximum: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """Generate a field's text and the numbers that it matches."""
    numbers = st.integers(minimum, maximum)

    def stepped(start: int, end: int, step: int) -> tuple[str, frozenset[int]]:
        start, end = sorted((start, end))
        return f"{start}-{end}/{step}", frozenset(range(start, end + 1, step))

    single = numbers.map(lambda number: (str(number), frozenset({number})))
    span = st.builds(stepped, numbers, numbers, st.integers(1, maximum))
    opened = st.builds(
        lambda start, step: (f"{start}/{step}", frozenset(range(start, maximum + 1, step))),
        numbers,
        st.integers(1, maximum),
    )
    listed = st.lists(st.one_of(single, span, opened), min_size=1, max_size=3).map(
        lambda parts: (",".join(text for text, _ in parts), frozenset().union(*(matched for _, matched in parts)))
    )
    return st.one_of(listed, st.sampled_from([("*", frozenset(range(minimum, maximum + 1)))]))


@settings(deadline=None)
@given(
    ranges(0, 59),
    ranges(0, 23),
    ranges(1, 31),
    ranges(0, 6),
    st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1)),
)
def test_the_times_of_a_week_are_all_matching_minutes(minute, hour, day, weekday, moment) -> None:
    """Compared with a brute-force check of every minute of the week."""
    text = f"0 {minute[0]} {hour[0]} {day[0]} * {weekday[0]}"
    begin = moment.replace(second=0, microsecond=0, tzinfo=UTC)
    end = begin + timedelta(days=7)

    def matches(each: datetime) -> bool:
        by_day, by_weekday = each.day in day[1], (each.weekday() + 1) % 7 in weekday[1]
        both = by_day and by_weekday if "*" in (day[0], weekday[0]) else by_day or by_weekday
        return both and each.hour in hour[1] and each.minute in minute[1]

    minutes = (begin + timedelta(minutes=number) for number in range(1, 7 * 24 * 60))
    expected = [each for each in minutes if matches(each)]
    times = []
    for each in Cron.parse(text).after(begin):
        if each >= end:
            break
        times.append(each)
    assert times == expected
