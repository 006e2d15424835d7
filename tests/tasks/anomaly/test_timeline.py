"""Anomaly scores over time: time stays what it is, nothing joins groups or spans gaps, and every failure is shaded."""

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import rgb_to_hsv, to_rgb
from matplotlib.dates import DateFormatter, DateLocator

from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.reports.html import RED
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions
from kfp_edge.tasks.anomaly.timeline import MAX_PANELS, describe_panels, make_panels, plot_timeline
from support.tables import SHA

ROWS = 400


def score_rows(
    *, time=None, groups=None, labels=None, rows: int = ROWS, scores=None, threshold: float = 0.9
) -> tuple[Dataset, AnomalyPredictions]:
    """Return rows with columns `at`, `machine` and `failed` as far as they are given, and their scores."""
    frame = pd.DataFrame({"load": np.zeros(rows)})
    names = {"time": ("at", time), "group": ("machine", groups), "target": ("failed", labels)}
    frame = frame.assign(**{column: values for column, values in names.values() if values is not None})
    given = {role: column if values is not None else "" for role, (column, values) in names.items()}
    roles = Roles("anomaly", given["target"], ("load",), (), time=given["time"], group=given["group"])
    score = np.random.default_rng(0).random(rows) if scores is None else scores
    alarms = (score > threshold).astype(np.int64)
    return Dataset(frame, roles, SHA), AnomalyPredictions(alarms, score, threshold)


def draw(data: Dataset, predictions: AnomalyPredictions) -> list[Axes]:
    return plot_timeline(data, make_panels(data, predictions), predictions.threshold).axes


def mark(*stretches: tuple[int, int], rows: int = ROWS) -> np.ndarray:
    labels = np.zeros(rows, dtype=np.int64)
    for start, stop in stretches:
        labels[start:stop] = 1
    return labels


def count_segments(axis: Axes) -> int:
    """Count the unbroken lines of scores, the horizontal threshold aside."""
    x, y = axis.lines[0].get_data()
    assert len(x) > 2
    return int(np.isnan(y).sum()) + 1


def shades(axis: Axes) -> list[tuple[float, float]]:
    return [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axis.patches]


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_cycles_are_numbers_on_the_axis(dtype):
    (axis,) = draw(*score_rows(time=np.arange(1, ROWS + 1).astype(dtype)))
    assert not isinstance(axis.xaxis.get_major_locator(), DateLocator)
    assert axis.get_xlim()[0] > -ROWS / 10
    assert ROWS <= axis.get_xlim()[1] < 1.1 * ROWS


def test_seconds_since_1970_are_written_in_full():
    (axis,) = draw(*score_rows(time=1.7e9 + np.arange(ROWS)))
    axis.figure.draw_without_rendering()
    assert all(label.get_text().startswith(("16999", "17000")) for label in axis.get_xticklabels() if label.get_text())
    assert axis.xaxis.get_offset_text().get_text() == ""


@pytest.mark.parametrize("step", ["100us", "1s", "1h", "30D"])
def test_timestamps_are_dates_with_few_labels_from_fractions_of_a_second_to_decades(step):
    (axis,) = draw(*score_rows(time=pd.date_range("2001-01-01", periods=ROWS, freq=step)))
    assert isinstance(axis.xaxis.get_major_locator(), DateLocator)
    axis.figure.draw_without_rendering()
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert 3 <= len(labels) <= 12
    assert mdates.num2date(axis.get_xlim()[0]).year in (2000, 2001)
    assert not isinstance(axis.xaxis.get_major_formatter(), DateFormatter)


def test_the_line_is_broken_at_gaps_only():
    time = np.arange(ROWS, dtype=np.float64)
    time[100:] += 50
    time[300:] += 5000
    (axis,) = draw(*score_rows(time=time))
    assert count_segments(axis) == 3


def test_an_irregular_step_is_no_gap():
    time = np.cumsum(np.random.default_rng(0).uniform(0.2, 3, ROWS))
    (axis,) = draw(*score_rows(time=time))
    assert count_segments(axis) == 1


def test_a_row_between_two_gaps_is_a_dot():
    time = np.arange(ROWS, dtype=np.float64)
    time[200:] += 500
    time[201:] += 500
    (axis,) = draw(*score_rows(time=time))
    lone = [line for line in axis.lines if line.get_marker() == "." and len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in lone] == [700]


def test_each_group_has_a_line_of_its_own_however_their_rows_alternate():
    groups = np.array(["left", "middle", "right"])[np.arange(ROWS) % 3]
    axes = draw(*score_rows(time=np.arange(ROWS), groups=groups))
    assert sorted(axis.get_title("left") for axis in axes) == ["left", "middle", "right"]
    assert [count_segments(axis) for axis in axes] == [1, 1, 1]
    assert sum(len(axis.lines[0].get_xdata()) for axis in axes) == ROWS


def test_runs_whose_cycles_start_again_share_no_line():
    axes = draw(*score_rows(time=np.arange(ROWS) % 100, groups=np.arange(ROWS) // 100))
    assert len(axes) == 4
    for axis in axes:
        assert (np.diff(axis.lines[0].get_xdata()) > 0).all()


@pytest.mark.parametrize("has_time", [True, False])
def test_every_event_is_shaded(has_time):
    labels = mark((50, 60), (200, 201), (300, 340))
    (axis,) = draw(*score_rows(time=np.arange(ROWS) if has_time else None, labels=labels))
    assert len(shades(axis)) == 3
    first_row = 0 if has_time else 1
    for (start, stop), (left, right) in zip([(50, 60), (200, 201), (300, 340)], shades(axis), strict=True):
        assert left < start + first_row <= stop - 1 + first_row < right


def test_an_event_of_one_row_among_many_is_wide_enough_to_be_seen():
    rows = 100_000
    (axis,) = draw(*score_rows(time=np.arange(rows), labels=mark((50_000, 50_001), rows=rows), rows=rows))
    ((left, right),) = shades(axis)
    assert right - left > 0.003 * rows


def test_an_event_is_shaded_for_its_own_group_only():
    groups = np.array(["a", "b"])[np.arange(ROWS) % 2]
    labels = np.where((groups == "b") & (np.arange(ROWS) >= 100) & (np.arange(ROWS) < 200), 1, 0)
    data, predictions = score_rows(time=np.arange(ROWS), groups=groups, labels=labels)
    axes = {axis.get_title("left"): axis for axis in draw(data, predictions)}
    assert {name: len(shades(axis)) for name, axis in axes.items()} == {"a": 0, "b": 1}
    assert "1 event" in describe_panels(data, make_panels(data, predictions))


def test_of_many_groups_those_with_events_and_high_scores_are_drawn_and_the_others_described():
    groups = np.arange(ROWS) // 10
    scores = np.full(ROWS, 0.1)
    scores[75] = 0.95
    data, predictions = score_rows(time=np.arange(ROWS), groups=groups, labels=mark((201, 204)), scores=scores)
    panels = make_panels(data, predictions)
    axes = plot_timeline(data, panels, 0.9).axes
    assert len(axes) == MAX_PANELS
    names = [int(axis.get_title("left")) for axis in axes]
    assert names == sorted(names)
    assert {7, 20} <= set(names)
    text = describe_panels(data, panels)
    assert f"{MAX_PANELS} of 40 groups are drawn" in text
    assert "the other 28 have 0 events, 0 rows with an alarm and no score above 0.1" in text


def test_without_time_no_line_joins_the_rows():
    data, predictions = score_rows()
    (axis,) = draw(data, predictions)
    assert axis.lines[0].get_linestyle() == "None"
    assert "no line joins them" in describe_panels(data, make_panels(data, predictions))
    assert "haded" not in describe_panels(data, make_panels(data, predictions))


def test_a_million_rows_are_few_points_and_no_peak_is_lost():
    rows = 1_000_000
    scores = np.random.default_rng(0).random(rows) / 2
    scores[123_456] = 0.99
    (axis,) = draw(*score_rows(time=np.arange(rows), rows=rows, scores=scores))
    assert len(axis.lines[0].get_xdata()) < 2_500
    assert axis.lines[0].get_ydata().max() == np.float32(0.99)
    assert len(axis.collections[0].get_offsets()) == 1


@pytest.mark.parametrize("rows", [1, 2])
def test_one_or_two_rows_are_drawn(rows):
    for time in (None, np.arange(rows), pd.date_range("2024-01-01", periods=rows)):
        (axis,) = draw(*score_rows(time=time, rows=rows, labels=mark((0, 1), rows=rows)))
        axis.figure.draw_without_rendering()
        assert len(shades(axis)) == 1


def test_names_of_groups_are_text_and_no_formulas():
    axes = draw(*score_rows(groups=np.repeat(np.array(["press $1 and $2", "mill_^a$"], dtype=object), ROWS // 2)))
    for axis in axes:
        title = axis.get_title("left")
        assert title.count("$") == title.count(r"\$")


def test_machines_that_run_at_the_same_time_are_drawn_by_name():
    scores = np.concatenate([np.full(100, 0.1), np.full(100, 0.4), np.full(100, 0.2), np.full(100, 0.3)])
    names = np.repeat(["m0", "m1", "m2", "m3"], 100)
    axes = draw(*score_rows(time=np.arange(ROWS) % 100, groups=names, scores=scores))
    assert [axis.get_title("left") for axis in axes] == ["m0", "m1", "m2", "m3"]


def test_a_common_axis_of_time_has_every_row_and_every_shade_of_all_machines():
    machines = np.repeat(["a", "b"], ROWS // 2)
    cycles = np.tile(np.arange(ROWS // 2), 2)
    cycles[100:200] += 3000  # the first machine was stopped, and its second event is after that
    axes = draw(*score_rows(time=cycles, groups=machines, labels=mark((20, 30), (150, 160), (250, 260))))
    assert [len(shades(axis)) for axis in axes] == [2, 1]
    for axis in axes:
        low, high = axis.get_xlim()
        assert low <= 0
        assert high >= 3199
        assert all(low <= start < stop <= high for start, stop in shades(axis))


def test_runs_that_follow_each_other_are_drawn_by_time():
    axes = draw(*score_rows(time=np.arange(ROWS), groups=np.repeat(["d", "b", "c", "a"], 100)))
    assert [axis.get_title("left") for axis in axes] == ["d", "b", "c", "a"]


def test_an_alarm_is_as_red_as_the_text_says():
    hue, saturation, _ = rgb_to_hsv(to_rgb(RED))
    assert min(hue, 1 - hue) * 360 < 15
    assert saturation > 0.7
