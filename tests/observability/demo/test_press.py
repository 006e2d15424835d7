"""The generated rows: the drift is one of a single feature, within the range of training."""

import numpy as np
import pandas as pd

from kfp_edge.observability.demo.press import DRIFTED, TARGET, generate_rows


def rows(is_drifted: bool) -> pd.DataFrame:
    return generate_rows(np.random.default_rng(0), 4000, is_drifted=is_drifted)


def test_only_one_feature_drifts_and_stays_within_the_range_of_training() -> None:
    usual, drifted = rows(False), rows(True)
    moved = (drifted.mean(numeric_only=True) - usual.mean(numeric_only=True)) / usual.std(numeric_only=True)
    assert moved[DRIFTED] > 1.5
    assert moved.drop([DRIFTED, TARGET]).abs().max() < 0.1
    # else it would be a broken sensor
    assert drifted[DRIFTED].between(usual[DRIFTED].min(), usual[DRIFTED].max()).mean() > 0.95


def test_more_parts_fail_after_the_drift() -> None:
    assert rows(True)[TARGET].mean() > 2 * rows(False)[TARGET].mean() > 0.02
