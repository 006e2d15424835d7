"""The checks that stand between a model and its bundle: each says what it measured and what was required."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.metrics import Floats, Predictions
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.reports.check import Check
from kfp_edge.reports.html import number

#: Newest operator sets that the onnxruntime of the serving image runs.
MAX_OPSETS = {"": 22, "ai.onnx.ml": 4}

#: Operators whose answers cannot be replayed, and those whose time has no bound.
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

_WARM_UP = 20
_TIMED = 300


@dataclass(frozen=True)
class Parity:
    """scikit-learn against onnxruntime on the same rows: labels and the largest difference of a row's numbers."""

    labels_differ: npt.NDArray[np.bool_]
    difference: Floats

    def worst(self, count: int) -> list[int]:
        """Row numbers by badness: differing labels first, then the largest differences."""
        order = np.lexsort((-self.difference, ~self.labels_differ))
        return [int(row) for row in order[:count]]


@dataclass(frozen=True)
class VerificationResult:
    """The checks of a model, passed or failed, and what they were drawn from."""

    checks: tuple[Check, ...]
    metrics: dict[str, float]
    latencies: Floats
    parity: Parity | None
    rows: pd.DataFrame


def operators(proto: onnx.ModelProto) -> list[Check]:
    """Check operator sets, domains and operators, those inside sub-graphs and functions included."""
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    found = [
        Check(
            f"operator set {domain or 'ai.onnx'}",
            version <= MAX_OPSETS.get(domain, 0),
            f"version {version}",
            f"at most {MAX_OPSETS[domain]}" if domain in MAX_OPSETS else "ai.onnx or ai.onnx.ml",
        )
        for domain, version in sorted(opsets.items())
    ]
    kinds = {node.op_type for node in _nodes(proto.graph.node)}
    kinds |= {node.op_type for function in proto.functions for node in _nodes(function.node)}
    bad = sorted(kinds & FORBIDDEN.keys())
    named = ", ".join(f"{kind} ({FORBIDDEN[kind]})" for kind in bad)
    return [*found, Check("allowed operators", not bad, named or f"{len(kinds)} kinds", "no forbidden operator")]


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterable[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            graphs = [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs
            for graph in graphs:
                yield from _nodes(graph.node)


def compare(reference: Predictions, candidate: Predictions) -> Parity:
    """Compare two models' answers for the same n rows."""
    differ = np.asarray(reference.label != candidate.label).reshape(-1)
    if reference.score is not None:
        assert candidate.score is not None
        return Parity(differ, np.abs(reference.score - candidate.score))
    assert reference.probabilities is not None
    assert candidate.probabilities is not None
    return Parity(differ, np.abs(reference.probabilities - candidate.probabilities).max(axis=1))


def parity(found: Parity, tolerance: float) -> list[Check]:
    """Require equal labels, and numbers within an absolute `tolerance`."""
    wrong, worst = int(found.labels_differ.sum()), float(found.difference.max())
    rows = len(found.difference)
    return [
        Check("parity of labels", wrong == 0, f"{wrong} of {rows:,} rows differ", "0 rows differ"),
        Check("parity of numbers", worst <= tolerance, f"largest difference {worst:.2g}", f"at most {tolerance:g}"),
    ]


def gates(metrics: Mapping[str, float], required: Mapping[str, float]) -> list[Check]:
    """Require every named metric to reach its minimum.

    Raises:
        KfpEdgeError: a gate names a metric that was not measured.
    """
    for name in required:
        if name not in metrics:
            raise KfpEdgeError(
                f"the gate {name!r} names a metric that was not measured; "
                f"name one of {', '.join(sorted(metrics))}, or give ingest the labels it needs."
            )
    return [
        Check(f"gate {name}", metrics[name] >= minimum, number(metrics[name]), f"at least {minimum:g}")
        for name, minimum in sorted(required.items())
    ]


def champion(
    metrics: Mapping[str, float], champion_metrics: Mapping[str, float], names: Iterable[str], margin: float
) -> list[Check]:
    """Require the challenger to be no more than `margin` below the champion, on the same rows, in each named metric."""
    return [
        Check(
            f"champion {name}",
            metrics[name] >= champion_metrics[name] - margin,
            number(metrics[name]),
            f"at least {number(champion_metrics[name])} of the champion, less {margin:g}",
        )
        for name in names
    ]


def size(measured: int, limit_mb: float) -> Check:
    """Require the ONNX file, of `measured` bytes, to stay within a limit in MB (10^6 bytes)."""
    return Check("model size", measured <= limit_mb * 1e6, f"{measured / 1e6:.3g} MB", f"at most {limit_mb:g} MB")


def latencies(model: OnnxModel, rows: pd.DataFrame) -> Floats:
    """Time single-row inferences, one after another, in milliseconds; shape [300]."""
    feeds = [model.feeds(rows.iloc[[number % len(rows)]]) for number in range(_TIMED)]
    for feed in feeds[:_WARM_UP]:
        model.session.run(None, feed)
    moments = [time.perf_counter()]
    for feed in feeds:
        model.session.run(None, feed)
        moments.append(time.perf_counter())
    return np.diff(moments) * 1e3


def latency(milliseconds: Floats, limit: float) -> Check:
    """Require the 99th percentile of single-row inferences to stay within `limit` milliseconds."""
    p50, p99 = (float(value) for value in np.percentile(milliseconds, [50, 99]))
    return Check("latency of one row", p99 <= limit, f"p50 {p50:.3g} ms, p99 {p99:.3g} ms", f"p99 at most {limit:g} ms")


def refuse_failed(found: Iterable[Check]) -> None:
    """Raise for the checks that failed.

    Raises:
        KfpEdgeError: with the measured and the required value of every failed check.
    """
    failed = [check.sentence for check in found if not check.passed]
    if failed:
        raise KfpEdgeError(f"the model was refused: {'; '.join(failed)}; no bundle was written.")


def as_rows(found: Iterable[Check]) -> list[tuple[Any, ...]]:
    """Return checks as table rows: name, result, measured, required."""
    return [(check.name, "pass" if check.passed else "fail", check.measured, check.required) for check in found]
