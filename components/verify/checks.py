"""The checks that a model must pass before its bundle is written.

A new check is one more function that returns `Check`s, and a call in `verify.run_checks`. Quality gates are in
`gates.py`, parity is in `parity.py`, latency in `latency.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import onnx
import pandas as pd

from kfp_edge.components.verify.latency import Latencies
from kfp_edge.components.verify.parity import Parity
from kfp_edge.errors import RequirementsNotMetError
from kfp_edge.metrics.measurement import Measurement
from kfp_edge.ml.bundle import Signature
from kfp_edge.ml.onnx_model import read_opsets
from kfp_edge.onnx_graph.normalization import MAX_OPSETS
from kfp_edge.onnx_graph.operators import find_forbidden_operators, list_operators
from kfp_edge.reports.check import Check


@dataclass(frozen=True)
class VerificationResult:
    """The checks of a model, passed or failed, and the measurements behind them.

    `rows` are the held-out rows, `compared` those that the server takes, with their numbers as the index; `signature`
    says which columns may not be missing, if the models agree.
    """

    checks: tuple[Check, ...]
    measurement: Measurement
    latencies: Latencies
    parity: Parity | None
    signature: Signature
    rows: pd.DataFrame
    compared: pd.DataFrame
    #: How far the numbers of recorded samples may differ.
    sample_tolerance: float

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by name."""
        return self.measurement.metrics


def check_operators(proto: onnx.ModelProto) -> list[Check]:
    """Check operator sets, domains and operators, those inside sub-graphs and functions included."""
    opsets = read_opsets(proto)
    opset_checks = [
        Check(
            f"operator set {domain or 'ai.onnx'}",
            version <= MAX_OPSETS.get(domain, 0),
            f"version {version}",
            f"at most {MAX_OPSETS[domain]}" if domain in MAX_OPSETS else "ai.onnx or ai.onnx.ml",
        )
        for domain, version in sorted(opsets.items())
    ]
    op_types, forbidden = list_operators(proto), find_forbidden_operators(proto)
    names = ", ".join(f"{op_type} ({reason})" for op_type, reason in forbidden.items())
    measured = names or f"{len(op_types)} operator {'type' if len(op_types) == 1 else 'types'}"
    return [*opset_checks, Check("allowed operators", not forbidden, measured, "no forbidden operator")]


def check_size(size: int, limit_mb: float) -> Check:
    """Require the ONNX file, of `size` bytes, to stay within a limit in MB (10^6 bytes)."""
    return Check("model size", size <= limit_mb * 1e6, f"{size / 1e6:.3g} MB", f"at most {limit_mb:g} MB")


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
