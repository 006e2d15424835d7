"""The latency of one row: neighbours on the machine do not decide. No test here measures time."""

import numpy as np
import pytest

from kfp_edge.components.verify.latency import Latencies, check_latency


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
