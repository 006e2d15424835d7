"""The verification report: every check with its numbers, the rows of worst parity, and the latencies."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kfp_edge.components.verify.checks import Parity, VerificationResult, to_table_rows
from kfp_edge.ml.bundle import ModelIdentity
from kfp_edge.reports.html import BLUE, GREY, RED, Page

_WORST_ROWS = 5


def write_report(path: Path, identity: ModelIdentity, result: VerificationResult) -> None:
    """Write the report, whether the checks passed or failed, as one self-contained HTML page."""
    failed = sum(not check.passed for check in result.checks)
    lead = f"{len(result.checks)} checks on {len(result.rows):,} held-out rows, {failed or 'none'} failed."
    page = Page(f"Verification of {identity.name} {identity.version}", lead)
    page.heading("Checks").table(("check", "result", "measured", "required"), to_table_rows(result.checks))
    if result.parity is None:
        page.heading("Parity").text("Not checked: the model came as ONNX, without its scikit-learn original.")
    else:
        _add_parity(page, result, result.parity)
    page.heading("Latency of one row").figure(_plot_latency(result), "histogram of single-row latencies")
    page.heading("Metrics")
    if result.measurement.positive is not None:
        page.text(f"The positive class is {result.measurement.positive}.")
    page.table(("metric", "value", "95 % interval"), result.measurement.to_table_rows())
    for sentence in (*result.measurement.notes, *(f"Warning: {warning}" for warning in result.measurement.warnings)):
        page.text(sentence)
    page.write(path)


def _add_parity(page: Page, result: VerificationResult, parity: Parity) -> None:
    page.heading("Parity with scikit-learn").figure(_plot_differences(parity), "histogram of differences")
    page.text(f"The {_WORST_ROWS} worst rows:")
    header = ("row", "label differs", "difference", *result.rows.columns)
    page.table(header, (_to_table_row(result, parity, row) for row in parity.worst(_WORST_ROWS)))


def _to_table_row(result: VerificationResult, parity: Parity, row: int) -> tuple[object, ...]:
    differs = "yes" if parity.labels_differ[row] else "no"
    return (str(row), differs, float(parity.difference[row]), *result.rows.iloc[row])


def _plot_differences(parity: Parity) -> Figure:
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axis = figure.subplots()
    # zero has no logarithm; 1e-9 is below the resolution of single precision
    exponents = np.log10(np.maximum(parity.difference, 1e-9))
    axis.hist(exponents, bins=60, color=BLUE)
    axis.set(xlabel="log10 of the largest difference in a row", ylabel="rows (log scale)", yscale="log")
    return figure


def _plot_latency(result: VerificationResult) -> Figure:
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axis = figure.subplots()
    microseconds = result.latencies * 1e3
    p50, p99 = np.percentile(microseconds, [50, 99])
    axis.hist(microseconds[microseconds <= 3 * p99], bins=60, color=GREY)
    axis.axvline(p50, color=BLUE, label=f"p50 {p50:.1f} µs")
    axis.axvline(p99, color=RED, linestyle="--", label=f"p99 {p99:.1f} µs")
    axis.set(xlabel="microseconds in onnxruntime, one row, on the machine that verified", ylabel="inferences")
    axis.legend()
    return figure
