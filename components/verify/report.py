"""The verification report: every check with its numbers, the rows of worst parity, and the latencies."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from kfp_edge.components.verify.checks import VerificationResult, to_table_rows
from kfp_edge.components.verify.latency import Latencies
from kfp_edge.components.verify.parity import Parity
from kfp_edge.ml.bundle import ModelIdentity
from kfp_edge.model_report.facts import ModelFacts
from kfp_edge.reports.html import BLUE, GREY, RED, Page
from kfp_edge.reports.legends import add_legend

_WORST_ROWS = 5
#: Features of the worst rows that are listed.
_MAX_FEATURES = 50
_REFUSED = "they have a category that training did not have, or lack a value that may not be missing"


def write_report(path: Path, identity: ModelIdentity, result: VerificationResult, facts: ModelFacts) -> None:
    """Write the report, whether the checks passed or failed, as one self-contained HTML page."""
    failed = sum(not check.passed for check in result.checks)
    lead = f"{len(result.checks)} checks on {len(result.rows):,} held-out rows, {failed or 'none'} failed."
    page = Page(f"Verification of {identity.name} {identity.version}", lead).warnings(facts.warnings)
    page.heading("Checks").table(("check", "result", "measured", "required"), to_table_rows(result.checks))
    facts.add_to(page)
    if result.parity is None:
        page.heading("Parity").text("Not checked: the model came as ONNX, without the original that it was made from.")
    else:
        _add_parity(page, result, result.parity)
    required = [column.name for tensor in result.signature.inputs for column in tensor.columns if column.required]
    page.heading("Missing values").text(
        f"The server refuses a row that lacks one of these columns: {', '.join(required)}."
        if required
        else "Every column may be missing: a missing value is answered as the verified model answers it."
    )
    page.heading("Latency of one row").figure(plot_latencies(result.latencies), "histogram of single-row latencies")
    page.write(path)


def _add_parity(page: Page, result: VerificationResult, parity: Parity) -> None:
    """Add the differences, and the worst rows: one column for each of them, because features may be many."""
    page.heading("Parity with scikit-learn").figure(_plot_differences(parity), "histogram of differences")
    rows = result.compared
    if left_out := len(result.rows) - len(rows):
        page.text(f"{left_out:,} held-out rows were not compared, because the server refuses them: {_REFUSED}.")
    worst = parity.worst(_WORST_ROWS)
    features = rows.columns[:_MAX_FEATURES]
    more = (
        f", with the first {len(features)} of {len(rows.columns):,} features"
        if len(rows.columns) > len(features)
        else ""
    )
    page.text(f"The {len(worst)} worst rows{more}:")
    table: list[tuple[object, ...]] = [("difference", *(float(parity.difference[row]) for row in worst))]
    if parity.has_labels:
        table.insert(0, ("label differs", *("yes" if parity.labels_differ[row] else "no" for row in worst)))
    table += [(name, *rows[name].iloc[worst]) for name in features]
    page.table(("", *(f"row {rows.index[row]}" for row in worst)), table)


def _plot_differences(parity: Parity) -> Figure:
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axis = figure.subplots()
    # zero has no logarithm; 1e-9 is below the resolution of single precision
    finite = parity.difference[np.isfinite(parity.difference)]
    exponents = np.log10(np.maximum(finite, 1e-9))
    axis.hist(exponents, bins=60, color=BLUE)
    axis.set(xlabel="log10 of the largest difference in a row", ylabel="rows (log scale)", yscale="log")
    axis.set_ylim(bottom=0.5)
    return figure


def plot_latencies(latencies: Latencies) -> Figure:
    """Plot the distribution of single-row latencies, on a logarithmic axis."""
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axis = figure.subplots()
    microseconds = latencies.wall * 1e3
    p50, p99 = np.percentile(microseconds, [50, 99])
    # on a busy machine a few inferences take a hundred times as long as the others
    microseconds = np.maximum(microseconds, 1e-3)  # zero has no logarithm
    edges = 10 ** np.histogram_bin_edges(np.log10(microseconds), 60)
    edges[0], edges[-1] = min(edges[0], microseconds.min()), max(edges[-1], microseconds.max())  # despite rounding
    axis.hist(microseconds, bins=edges.tolist(), color=GREY)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(LogFormatter())
    axis.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axis.axvline(p50, color=BLUE, label=f"p50 {p50:.1f} µs")
    axis.axvline(p99, color=RED, linestyle="--", label=f"p99 {p99:.1f} µs")
    axis.set(xlabel="microseconds in onnxruntime, one row, on the machine that verified", ylabel="inferences")
    add_legend(axis)
    return figure
