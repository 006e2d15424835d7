"""The verification report: every check with its numbers, the worst rows, and where the time goes."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kfp_edge.components.verify.checks import Parity, VerificationResult, as_rows
from kfp_edge.reports.html import BLUE, GREY, RED, Page

_WORST = 5


def write(path: Path, name: str, version: str, verdict: VerificationResult) -> None:
    """Write the report of a verdict, good or bad, as one self-contained HTML page."""
    failed = sum(not check.passed for check in verdict.checks)
    lead = f"{len(verdict.checks)} checks on {len(verdict.rows):,} held-out rows, {failed or 'none'} failed."
    page = Page(f"Verification of {name} {version}", lead)
    page.heading("Checks").table(("check", "result", "measured", "required"), as_rows(verdict.checks))
    if verdict.parity is None:
        page.heading("Parity").text("Not checked: the model came as ONNX, without its scikit-learn original.")
    else:
        _parity(page, verdict, verdict.parity)
    page.heading("Latency of one row").figure(_latency(verdict), "histogram of single-row latencies")
    page.heading("Metrics").table(("metric", "value"), sorted(verdict.metrics.items()))
    page.write(path)


def _parity(page: Page, verdict: VerificationResult, parity: Parity) -> None:
    page.heading("Parity with scikit-learn").figure(_differences(parity), "histogram of differences")
    page.text(f"The {_WORST} worst rows:")
    head = ("row", "label differs", "difference", *verdict.rows.columns)
    page.table(head, (_row(verdict, parity, number) for number in parity.worst(_WORST)))


def _row(verdict: VerificationResult, parity: Parity, number: int) -> tuple[Any, ...]:
    differs = "yes" if parity.labels_differ[number] else "no"
    return (str(number), differs, float(parity.difference[number]), *verdict.rows.iloc[number])


def _differences(parity: Parity) -> Figure:
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axis = figure.subplots()
    # an exact match has no logarithm: it is shown at the smallest step of single precision
    shown = np.log10(np.maximum(parity.difference, 1e-9))
    axis.hist(shown, bins=60, color=BLUE)
    axis.set(xlabel="log10 of the largest difference in a row", ylabel="rows (log scale)", yscale="log")
    return figure


def _latency(verdict: VerificationResult) -> Figure:
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axis = figure.subplots()
    times = verdict.latencies * 1e3
    p50, p99 = np.percentile(times, [50, 99])
    axis.hist(times[times <= 3 * p99], bins=60, color=GREY)
    axis.axvline(p50, color=BLUE, label=f"p50 {p50:.1f} µs")
    axis.axvline(p99, color=RED, linestyle="--", label=f"p99 {p99:.1f} µs")
    axis.set(xlabel="microseconds in onnxruntime, one row, on the machine that verified", ylabel="inferences")
    axis.legend()
    return figure
