"""Times and groups of rows: what clients may send, and one sentence for everything else."""

from typing import Any

import pytest

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.features.definition import FeatureDefinition, WindowFeature
from kfp_edge_serving.features.row_times import format_time, read_time_and_group

WINDOWS = (WindowFeature("x mean 3", "x", "mean", 3),)
TIMESTAMPS = FeatureDefinition("at", False, True, "machine", WINDOWS)
NUMBERS = FeatureDefinition("cycle", True, True, None, WINDOWS)


def read(at: object, machine: object = "A") -> Any:
    return read_time_and_group({"at": at, "machine": machine}, 0, TIMESTAMPS)


@pytest.mark.parametrize(
    "other",
    [
        "2024-01-31T13:00:00+00:00",
        "2024-01-31T13:00:00",
        "2024-01-31 13:00:00",
        "2024-01-31T14:00:00+01:00",
        "2024-01-31T13:00:00.000Z",
        "2024-01-31T13:00:00,0",
        "2024-01-31 13:00",
    ],
)
def test_one_moment_can_be_written_in_several_ways(other: str) -> None:
    assert read(other).time == read("2024-01-31T13:00:00Z").time


def test_times_differ_in_nanoseconds() -> None:
    times = [read(f"2024-01-31T13:00:00.{digits}Z").time for digits in ("000000001", "1", "123456789")]
    assert [time - read("2024-01-31T13:00:00Z").time for time in times] == [1, 100_000_000, 123_456_789]


@pytest.mark.parametrize("text", ["2024-01-31T13:00:00Z", "2024-01-31T13:00:00.25Z", "0987-12-31T23:59:59.000000001Z"])
def test_a_time_is_written_as_it_is_read(text: str) -> None:
    assert format_time(read(text).time, TIMESTAMPS) == text


@pytest.mark.parametrize(
    "value", [None, 1706706000, True, "yesterday", "31.01.2024", "", [], "24:00", "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_timestamp_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match=r"^row 0 needs its time in column 'at', a timestamp such as '2024-01-31"):
        read(value)


@pytest.mark.parametrize("value", [7, 7.5, -3])
def test_numbers_are_times_where_training_had_numbers(value: float) -> None:
    assert read_time_and_group({"cycle": value}, 0, NUMBERS) == ("", value)
    assert format_time(value, NUMBERS) == value


@pytest.mark.parametrize("value", [None, "7", True, float("inf")])
def test_what_is_no_number_is_refused_there(value: object) -> None:
    with pytest.raises(RequestError, match=r"^row 0 needs its time in column 'cycle', a number; got"):
        read_time_and_group({"cycle": value}, 0, NUMBERS)


def test_a_group_is_text_or_a_number() -> None:
    names = [read("2024-01-01", machine).group for machine in ("press 1", "7", 7, 7.0, 7.5, 9_007_199_254_740_993)]
    assert names == ["press 1", "7", "7", "7", "7.5", "9007199254740993"]


@pytest.mark.parametrize("machine", [None, [], {"a": 1}, float("nan")])
def test_a_row_needs_its_group(machine: object) -> None:
    with pytest.raises(RequestError, match=r"^row 0 needs its group in column 'machine', text or a number; got"):
        read("2024-01-01", machine)


def test_a_group_has_a_limited_length() -> None:
    with pytest.raises(RequestError, match="row 0 has a group of 300 characters; send at most 256"):
        read("2024-01-01", "x" * 300)
