"""The latency of single-row inferences, measured so that other programs on the machine do not decide."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kfp_edge.ml.arrays import Floats
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.reports.check import Check

_WARM_UP_RUNS = 20
_TIMED_RUNS = 200
_ROUNDS = 5


@dataclass(frozen=True)
class Latencies:
    """Single-row inferences of one round, in milliseconds, each of shape [200].

    `wall` is elapsed time, in which other programs may have had the processor; `cpu` is the time of this thread alone.
    """

    wall: Floats
    cpu: Floats


def measure_latencies(model: OnnxModel, rows: pd.DataFrame) -> Latencies:
    """Time single-row inferences, one after another, in several rounds, and return the round whose p99 is lowest."""
    feeds = [model.to_input_feed(rows.iloc[[index % len(rows)]]) for index in range(min(_TIMED_RUNS, len(rows)))]
    for index in range(_WARM_UP_RUNS):
        model.session.run(None, feeds[index % len(feeds)])
    rounds = [_time_round(model, feeds) for _ in range(_ROUNDS)]
    return min(rounds, key=lambda latencies: float(np.percentile(latencies.wall, 99)))


def check_latency(latencies: Latencies, limit_ms: float) -> Check:
    """Require the 99th percentile of single-row inferences to stay within a limit; all in milliseconds.

    Elapsed time above the limit is only a warning where the CPU time is within it: then other programs
    had the processor.
    """
    p50, p99 = (float(value) for value in np.percentile(latencies.wall, [50, 99]))
    cpu = float(np.percentile(latencies.cpu, 99))
    measured = f"p50 {p50:.3g} ms, p99 {p99:.3g} ms, CPU time p99 {cpu:.3g} ms"
    is_busy = p99 > limit_ms >= cpu
    if is_busy:
        measured += "; a warning only: other programs used the processor"
    return Check("latency of one row", p99 <= limit_ms or is_busy, measured, f"p99 at most {limit_ms:g} ms")


def _time_round(model: OnnxModel, feeds: list[dict[str, np.ndarray]]) -> Latencies:
    wall, cpu = [], []
    for index in range(_TIMED_RUNS):
        feed = feeds[index % len(feeds)]
        start, cpu_start = time.perf_counter(), time.thread_time()
        model.session.run(None, feed)
        cpu.append(time.thread_time() - cpu_start)
        wall.append(time.perf_counter() - start)
    return Latencies(np.array(wall) * 1e3, np.array(cpu) * 1e3)
