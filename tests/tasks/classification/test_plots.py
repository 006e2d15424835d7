"""The figures of a classifier stay readable: names are text, many classes and features have room, rare rows count."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from kfp_edge.components.train.train import fit, measure
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.threads import limit_threads
from kfp_edge.tasks.classification import plots
from kfp_edge.tasks.classification.importance import measure_importance
from kfp_edge.tasks.importance import Importance
from kfp_edge.tasks.importance_figure import plot_importance
from kfp_edge.tasks.task import TrainingOptions
from support.tables import SHA, failures, train_model


def count_confusion(classes: int) -> list[list[int]]:
    """Return a matrix in which every class is sometimes taken for the next one."""
    return (np.eye(classes, dtype=int) * 40 + np.eye(classes, k=1, dtype=int) * 3).tolist()


def text_of(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    labels = [label for axis in figure.axes for label in (*axis.get_xticklabels(), *axis.get_yticklabels())]
    titles = [label for axis in figure.axes for label in (axis.xaxis.label, axis.yaxis.label, axis.title)]
    legends = [text for axis in figure.axes if axis.get_legend() for text in axis.get_legend().get_texts()]
    return [text.get_text() for text in (*labels, *titles, *legends)]


@pytest.mark.parametrize("classes", [3, 20, 50])
def test_every_class_of_a_confusion_matrix_has_its_label_and_room(classes):
    names = [f"failure of the main drive by overload, kind {kind:02d} ($report_{kind}$)" for kind in range(classes)]
    figure = plots.plot_confusion(names, count_confusion(classes))
    figure.draw_without_rendering()
    (axis,) = figure.axes
    rows = axis.get_yticklabels()
    assert len({label.get_text() for label in rows}) == classes
    assert [label.get_text() for label in axis.get_xticklabels()] == [str(n) for n in range(1, classes + 1)]
    for labels in (rows, axis.get_xticklabels()):
        boxes = [label.get_window_extent() for label in labels]
        assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    assert rows[0].get_window_extent().x0 >= 0
    assert figure.get_figwidth() <= 11.01


def test_short_class_names_stand_on_both_sides_of_the_confusion_matrix():
    (axis,) = plots.plot_confusion(["jam", "ok", "wear"], count_confusion(3)).axes
    names = [label.get_text() for label in axis.get_xticklabels()]
    assert names == [label.get_text() for label in axis.get_yticklabels()] == ["jam", "ok", "wear"]


def test_a_confusion_matrix_counts_every_row():
    (axis,) = plots.plot_confusion([f"kind {kind}" for kind in range(20)], count_confusion(20)).axes
    assert sum(int(text.get_text()) for text in axis.texts) == 20 * 40 + 19 * 3


def test_fifty_classes_are_shown_by_colour_only():
    (axis,) = plots.plot_confusion([f"kind {kind}" for kind in range(50)], count_confusion(50)).axes
    assert not axis.texts


def test_the_most_frequent_mistakes_are_listed_with_full_names():
    names = ["the main drive is overloaded", "the tool is worn out", "no failure"]
    mistakes = plots.list_confusions(names, [[8, 2, 0], [0, 7, 0], [5, 1, 94]])
    assert mistakes == [
        ("no failure", "the main drive is overloaded", "5 (5.0%)"),
        ("the main drive is overloaded", "the tool is worn out", "2 (20.0%)"),
        ("no failure", "the tool is worn out", "1 (1.0%)"),
    ]


def test_classes_without_rows_or_mistakes_are_no_problem():
    assert plots.list_confusions(["a", "b", "c"], [[5, 0, 0], [0, 0, 0], [0, 0, 5]]) == []
    plots.plot_confusion(["a", "b", "c"], [[5, 0, 0], [0, 0, 0], [0, 0, 5]]).draw_without_rendering()


@pytest.mark.parametrize("labels", [("_ok $a$", "_bad $b_1$"), ("good " * 16, "bad " * 20), ("in Ordnung", "geprüft")])
def test_the_names_of_two_classes_are_text_wherever_they_stand(labels):
    data = failures(400, labels=labels)
    evaluation = measure(train_model(data), data)
    curves = plots.plot_curves(data, evaluation.predictions, evaluation.curves)
    probabilities = plots.plot_probabilities(data, evaluation.predictions)
    starts = {label.strip("_ ")[:2] for label in labels}
    for figure in (curves, probabilities):
        names = [text for text in text_of(figure) if any(start in text for start in starts)]
        assert names
        assert all(text.count("$") == text.count(r"\$") for text in names)
    texts = text_of(plots.plot_probabilities(data, evaluation.predictions))
    assert sum(text.startswith("true class is ") for text in texts) == 2


def test_the_curves_are_those_of_the_positive_class():
    data = failures(labels=("ok", "defect"))
    roles = Roles("classification", "failed", ("heat [K]", "torque [Nm]"), ("type",), positive="defect")
    data = Dataset(data.frame, roles, SHA)
    evaluation = measure(train_model(data), data)
    assert "probability of defect" in text_of(plots.plot_probabilities(data, evaluation.predictions))


def test_of_hundreds_of_features_the_most_important_are_drawn_the_first_at_the_top():
    names = tuple(
        f"spectrum band {band:03d} of the left vibration sensor at the main bearing [mm/s]" for band in range(300)
    )
    importance = Importance(names, np.linspace(0.3, -0.1, 300), np.full(300, 0.01))
    figure = plot_importance(importance, "drop in balanced accuracy")
    (axis,) = figure.axes
    labels = axis.get_yticklabels()
    assert [label.get_text().replace("\n", " ") for label in labels] == list(names[:15])
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    assert boxes[0].y0 > boxes[1].y0


def test_features_whose_names_are_shortened_alike_keep_a_bar_each():
    importance = Importance(("a" * 200, "a" * 201), np.array([0.2, 0.1]), np.zeros(2))
    (axis,) = plot_importance(importance, "drop in balanced accuracy").axes
    assert len(axis.patches) == 2


def test_the_importance_is_measured_on_all_rare_failures():
    data = failures(20_000)
    labels = np.zeros(20_000, dtype=np.int64)
    labels[np.flatnonzero(data.y() == 1)[:5]] = 1
    rare = Dataset(data.frame.assign(failed=labels), data.roles, SHA)
    model = train_model(failures(4000))
    with limit_threads(data):
        importance = measure_importance(model, rare, seed=0)
    assert importance.mean[0] > 0.1
    assert set(importance.names) == {"heat [K]", "torque [Nm]", "type"}


def test_the_calibration_of_few_rows_has_wide_intervals():
    data = failures(300)
    evaluation = measure(train_model(data), failures(300, seed=1))
    figure = plots.plot_probabilities(failures(300, seed=1), evaluation.predictions)
    (intervals,) = figure.axes[1].collections
    widths = [segment[1][1] - segment[0][1] for segment in intervals.get_segments()]
    assert len(widths) == len(figure.axes[1].lines[-1].get_xdata())
    assert max(widths) > 0.3


@pytest.mark.parametrize(("threshold", "name"), [({}, "most probable class"), ({"probability": 0.2}, "threshold 0.2")])
def test_the_curves_mark_where_the_labels_are(threshold, name):
    data = failures()
    evaluation = measure(fit(data, TrainingOptions(threshold=threshold)), data)
    figure = plots.plot_curves(data, evaluation.predictions, evaluation.curves)
    assert name in text_of(figure)
    (marked,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert marked.get_ydata()[0] == pytest.approx(evaluation.metrics["recall"], abs=1e-6)
    assert marked.get_xdata()[0] == pytest.approx(evaluation.metrics["false_alarm_rate"], abs=1e-6)
