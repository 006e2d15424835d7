"""The checks that a model must pass before its bundle is written.

A new check is one more function that returns `Check`s, and a call in `verify.run_checks`. Quality gates are in
`gates.py`.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
import pandas as pd

from kfp_edge.errors import RequirementsNotMetError
from kfp_edge.ml.arrays import Floats, Mask
from kfp_edge.ml.measurement import Measurement
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.ml.predictions import Predictions
from kfp_edge.reports.check import Check

#: Newest operator sets that the onnxruntime of the serving image runs.
MAX_OPSETS = {"": 22, "ai.onnx.ml": 4}

#: Operators whose outputs cannot be reproduced, or whose running time has no bound.
FORBIDDEN = {
    "Bernoulli": "it is random",
    "Multinomial": "it is random",
    "RandomNormal": "it is random",
    "RandomNormalLike": "it is random",
    "RandomUniform": "it is random",
    "RandomUniformLike": "it is random",
    "Loop": "its time has no bound",
    "Scan": "its time has no bound",
    "ZipMap": "its output is no tensor",
}

_WARM_UP_RUNS = 20
_TIMED_RUNS = 300


@dataclass(frozen=True)
class Parity:
    """scikit-learn against onnxruntime on the same n rows: both arrays have shape [n].

    `difference` is the largest absolute difference of a row's probabilities, or that of its scores.
    """

    labels_differ: Mask
    difference: Floats

    def worst(self, count: int) -> list[int]:
        """Return `count` row numbers: differing labels first, then the largest differences."""
        order = np.lexsort((-self.difference, ~self.labels_differ))
        return [int(row) for row in order[:count]]


@dataclass(frozen=True)
class VerificationResult:
    """The checks of a model, passed or failed, and the measurements behind them.

    `latencies` are in milliseconds, shape [300]; `rows` are the held-out rows.
    """

    checks: tuple[Check, ...]
    measurement: Measurement
    latencies: Floats
    parity: Parity | None
    rows: pd.DataFrame

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by name."""
        return self.measurement.metrics


def check_operators(proto: onnx.ModelProto) -> list[Check]:
    """Check operator sets, domains and operators, those inside sub-graphs and functions included."""
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    opset_checks = [
        Check(
            f"operator set {domain or 'ai.onnx'}",
            version <= MAX_OPSETS.get(domain, 0),
            f"version {version}",
            f"at most {MAX_OPSETS[domain]}" if domain in MAX_OPSETS else "ai.onnx or ai.onnx.ml",
        )
        for domain, version in sorted(opsets.items())
    ]
    op_types = {node.op_type for node in _iterate_nodes(proto.graph.node)}
    op_types |= {node.op_type for function in proto.functions for node in _iterate_nodes(function.node)}
    forbidden = sorted(op_types & FORBIDDEN.keys())
    names = ", ".join(f"{op_type} ({FORBIDDEN[op_type]})" for op_type in forbidden)
    measured = names or f"{len(op_types)} kinds"
    return [*opset_checks, Check("allowed operators", not forbidden, measured, "no forbidden operator")]


def _iterate_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterable[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            graphs = [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs
            for graph in graphs:
                yield from _iterate_nodes(graph.node)


def measure_parity(reference: Predictions, candidate: Predictions) -> Parity:
    """Compare the predictions of two models for the same n rows."""
    differ = np.asarray(reference.label != candidate.label).reshape(-1)
    if reference.score is not None:
        assert candidate.score is not None
        return Parity(differ, np.abs(reference.score - candidate.score))
    assert reference.probabilities is not None
    assert candidate.probabilities is not None
    return Parity(differ, np.abs(reference.probabilities - candidate.probabilities).max(axis=1))


def check_parity(parity: Parity, tolerance: float) -> list[Check]:
    """Require equal labels, and numbers within an absolute `tolerance`."""
    wrong_labels, worst = int(parity.labels_differ.sum()), float(parity.difference.max())
    rows = len(parity.difference)
    return [
        Check("parity of labels", wrong_labels == 0, f"{wrong_labels} of {rows:,} rows differ", "0 rows differ"),
        Check("parity of numbers", worst <= tolerance, f"largest difference {worst:.2g}", f"at most {tolerance:g}"),
    ]


def check_size(size: int, limit_mb: float) -> Check:
    """Require the ONNX file, of `size` bytes, to stay within a limit in MB (10^6 bytes)."""
    return Check("model size", size <= limit_mb * 1e6, f"{size / 1e6:.3g} MB", f"at most {limit_mb:g} MB")


def measure_latencies(model: OnnxModel, rows: pd.DataFrame) -> Floats:
    """Time single-row inferences, one after another, in milliseconds; shape [300]."""
    feeds = [model.to_input_feed(rows.iloc[[index % len(rows)]]) for index in range(_TIMED_RUNS)]
    for feed in feeds[:_WARM_UP_RUNS]:
        model.session.run(None, feed)
    timestamps = [time.perf_counter()]
    for feed in feeds:
        model.session.run(None, feed)
        timestamps.append(time.perf_counter())
    return np.diff(timestamps) * 1e3


def check_latency(latencies: Floats, limit_ms: float) -> Check:
    """Require the 99th percentile of single-row inferences to stay within a limit; all in milliseconds."""
    p50, p99 = (float(value) for value in np.percentile(latencies, [50, 99]))
    return Check(
        "latency of one row", p99 <= limit_ms, f"p50 {p50:.3g} ms, p99 {p99:.3g} ms", f"p99 at most {limit_ms:g} ms"
    )


def raise_for_failed(results: Iterable[Check]) -> None:
    """Raise if a check failed.

    Raises:
        RequirementsNotMetError: with the measured and the required value of every failed check.
    """
    failed = [check.failure_message for check in results if not check.passed]
    if failed:
        raise RequirementsNotMetError(f"the model was refused: {'; '.join(failed)}; no bundle was written.")


def to_table_rows(results: Iterable[Check]) -> list[tuple[str, ...]]:
    """Return checks as table rows: name, result, measured, required."""
    return [(check.name, "pass" if check.passed else "fail", check.measured, check.required) for check in results]
