"""Commands print the metrics of a run so that they can be read at a glance."""

from collections.abc import Sequence

import pytest

from kfp_edge.metrics.selection import select_metrics


@pytest.mark.parametrize(
    ("classes", "printed"),
    [
        (("ok", "defect"), ["cost (EUR)", "f1", "recall(defect)", "recall(ok)"]),
        (("a", "b", "c"), ["cost (EUR)", "f1"]),
    ],
)
def test_of_many_classes_only_the_metrics_of_all_are_printed(classes: Sequence[str], printed: list[str]) -> None:
    metrics = {"f1": 0.9, "cost (EUR)": 3.0, **{f"recall({name})": 0.8 for name in classes}}
    assert list(select_metrics(metrics)) == printed


def test_metrics_over_folds_are_in_the_reports_only() -> None:
    assert list(select_metrics({"f1": 0.9, "cv_mean(f1)": 0.8, "cv_low(recall(ok))": 0.7})) == ["f1"]
