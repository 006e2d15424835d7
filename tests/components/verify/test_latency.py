"""The latency of one row: neighbours on the machine do not decide. No test here measures time."""

from pathlib import Path

import numpy as np
import pytest

from kfp_edge.components.verify import latency
from kfp_edge.components.verify.latency import Latencies, check_latency, measure_latencies
from kfp_edge.ml.onnx_model import OnnxModel
from support.models import write_model
from support.tables import failures


def _latencies(wall: float, cpu: float) -> Latencies:
    return Latencies(wall=np.full(200, wall), cpu=np.full(200, cpu))


def test_a_quick_model_passes_with_both_times_stated() -> None:
    check = check_latency(_latencies(0.05, 0.04), 5.0)
    assert check.passed
    assert check.measured == "p50 0.05 ms, p99 0.05 ms, CPU time p99 0.04 ms"


def test_a_slow_model_is_refused() -> None:
    assert not check_latency(_latencies(10.0, 9.0), 5.0).passed


def test_a_model_that_only_waited_for_the_processor_passes_with_a_warning() -> None:
    check = check_latency(_latencies(10.0, 0.04), 5.0)
    assert check.passed
    assert "a warning only: other programs used the processor" in check.measured


@pytest.mark.parametrize("limit", [0.0, 0.01])
def test_a_limit_that_the_model_itself_exceeds_is_enforced(limit: float) -> None:
    assert not check_latency(_latencies(0.05, 0.04), limit).passed


def test_of_several_rounds_the_quietest_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = failures(300)
    model = OnnxModel.load(write_model(tmp_path, data) / "model.onnx")
    rounds = iter([_latencies(10.0, 9.0), _latencies(0.3, 0.2), _latencies(0.05, 0.04)] + [_latencies(10.0, 9.0)] * 9)
    monkeypatch.setattr(latency, "_time_round", lambda *_: next(rounds))
    assert check_latency(measure_latencies(model, data.x()), 0.1).passed
