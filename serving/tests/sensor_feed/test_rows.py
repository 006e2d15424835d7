"""Rows from readings: each one, by a column, or at an interval whatever the order in which outages let them arrive."""

from typing import Any

from kfp_edge_serving.sensor_feed.messages import Reading, Value
from kfp_edge_serving.sensor_feed.rows import Assembler, Row, create_assembler
from kfp_edge_serving.sensor_feed.settings import SECOND, RowSettings

COLUMNS = ("pressure", "speed")


def create(**settings: Any) -> Assembler:
    return create_assembler(RowSettings(COLUMNS, **settings))


def interval(**settings: Any) -> Assembler:
    """Return an assembler of a row every 10 s, in which values count for 25 s."""
    return create(every=10 * SECOND, max_age=25 * SECOND, **settings)


def add(
    assembler: Assembler, second: float, clock: float | None = None, group: str = "A", **values: Value
) -> list[Row]:
    time = round(second * SECOND)
    return assembler.add(Reading(group, time, values), time if clock is None else round(clock * SECOND))


def summary(rows: list[Row]) -> list[tuple[float, Value, Value]]:
    return [(row.time / SECOND, row.values["pressure"], row.values["speed"]) for row in rows]


def test_each_reading_is_a_row() -> None:
    assert summary(add(create(), 1, pressure=5.0, speed=7)) == [(1, 5.0, 7)]


def test_a_reading_without_a_column_is_skipped_unless_that_is_optional() -> None:
    strict, lenient = create(), create(optional=frozenset({"speed"}))
    assert (add(strict, 1, pressure=5.0), strict.skipped) == ([], 1)
    assert (summary(add(lenient, 1, pressure=5.0)), lenient.skipped) == ([(1, 5.0, None)], 0)


def test_a_column_triggers_rows_with_the_last_values_of_the_others() -> None:
    assembler = create(trigger="speed", max_age=10 * SECOND)
    assert add(assembler, 1, pressure=5.0) == []
    assert summary(add(assembler, 2, speed=7)) == [(2, 5.0, 7)]
    assert add(assembler, 2, speed=7, group="B") == []
    assert (add(assembler, 12, speed=8), assembler.skipped) == ([], 2)


def test_a_row_at_an_interval_has_the_last_values_until_then() -> None:
    assembler = interval()
    assert add(assembler, 1, pressure=1.0, speed=1) == []
    assert add(assembler, 9, pressure=2.0) == []
    assert summary(add(assembler, 10.5, pressure=3.0)) == [(10, 2.0, 1)]
    assert summary(add(assembler, 20, speed=4)) == []
    assert summary(add(assembler, 20.5, speed=5)) == [(20, 3.0, 4)]


def test_without_another_reading_the_clock_completes_a_row_after_a_moment_of_grace() -> None:
    assembler = interval()
    add(assembler, 8, clock=100, pressure=1.0, speed=1)
    assert assembler.due == 103 * SECOND
    assert assembler.advance(102 * SECOND) == []
    assert summary(assembler.advance(103 * SECOND)) == [(10, 1.0, 1)]
    assert assembler.due == 113 * SECOND
    assert summary(assembler.advance(200 * SECOND)) == [(20, 1.0, 1), (30, 1.0, 1)]
    assert assembler.due is None


def test_what_waited_at_the_broker_gives_the_rows_that_it_would_have_given_at_once() -> None:
    """The clock stood still during the outage, and the readings arrive within a second after it."""
    readings = [(second, {"pressure": float(second), "speed": second}) for second in range(1, 100, 7)]
    at_once, after_outage = interval(), interval()
    rows = [row for second, values in readings for row in add(at_once, second, clock=second, **values)]
    late = [row for second, values in readings for row in add(after_outage, second, clock=0.01 * second, **values)]
    assert summary(late) == summary(rows)
    assert len(rows) == 9


def test_readings_that_a_bridge_kept_give_rows_although_time_went_on_without_them() -> None:
    assembler = interval()
    add(assembler, 1, pressure=1.0, speed=1)
    assert summary(assembler.advance(500 * SECOND)) == [(10, 1.0, 1), (20, 1.0, 1)]
    assert summary(add(assembler, 29, clock=500, pressure=2.0, speed=2)) == []
    assert summary(add(assembler, 31, clock=500, pressure=3.0, speed=3)) == [(30, 2.0, 2)]


def test_a_broken_sensor_makes_rows_that_are_skipped_and_silence_does_not() -> None:
    assembler = interval()
    for second in range(1, 61):
        add(assembler, second, pressure=1.0)
    assert assembler.skipped == 5
    add(assembler, 3600, pressure=1.0)
    assert assembler.skipped == 5 + 3  # until the last value was too old


def test_a_gap_of_years_takes_no_time() -> None:
    assembler = create(every=10**6, max_age=10**6)
    add(assembler, 1, pressure=1.0, speed=1)
    assert len(add(assembler, 10**9, pressure=1.0, speed=1)) == 2


def test_groups_have_rows_of_their_own() -> None:
    assembler = interval()
    add(assembler, 1, pressure=1.0, speed=1)
    assert add(assembler, 15, group="B", pressure=2.0, speed=2) == []
    assert summary(add(assembler, 15, pressure=3.0)) == [(10, 1.0, 1)]


def test_rows_go_on_after_the_clock_of_a_machine_was_set_back() -> None:
    assembler = interval()
    add(assembler, 100_000, pressure=1.0, speed=1)
    assert len(add(assembler, 100_011, pressure=1.0, speed=1)) == 2
    assert add(assembler, 1000, pressure=2.0, speed=2) == []
    assert summary(add(assembler, 1011, pressure=3.0, speed=3)) == [(1000, 2.0, 2), (1010, 2.0, 2)]
