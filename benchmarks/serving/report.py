"""The report: the results as Markdown, and as one picture."""

from collections.abc import Iterator
from pathlib import Path

from load import Figure, Measured
from machine import machine, versions
from payloads import Case
from results import ALONE, CASES, LOADS, ONE_ROW, SIXTEEN, Results, Row
from servers import BEFORE, OURS
from soak import overload_lines, soak_lines, swaps_lines
from targets import targets

_BARE = "bare onnxruntime, no server"


def write(results: Results, load_average: float) -> str:
    """Return the whole report; `load_average` is that of the machine before the measurement."""
    parts = [
        _about(results, load_average),
        "## Performance targets",
        _table(
            ["target", "required", "measured", ""],
            [[a.name, a.target, a.measured, _verdict(a.met)] for a in targets(results)],
        ),
        "## One row of JSON",
        _overview(results),
        "![p50 and requests a second of every server](benchmarks-serving.svg)",
        *(part for case in CASES for part in (f"## {case}", _case(results, case))),
        "## gRPC from Python, one call after another",
        _python_calls(results),
        "## What a site pulls",
        _sizes(results),
        "## Soak, overload, and model updates under load",
        *soak_lines(results.soak),
        *overload_lines(results.overload),
        *swaps_lines(results.swaps),
    ]
    return "\n\n".join(parts)


def draw(results: Results, path: Path) -> None:
    """Draw p50 and requests a second of one row of JSON, for every server."""
    from matplotlib import pyplot

    rows = [row for row in results.rows.values() if (ONE_ROW, ALONE) in row.loads][::-1]
    titles = [row.title for row in rows]
    figure, (left, right) = pyplot.subplots(1, 2, sharey=True, figsize=(10, 3.2), layout="constrained")
    bars = (
        (left, [row.loads[ONE_ROW, ALONE].p50 for row in rows], "p50, one connection (us, shorter is better)"),
        (right, [row.loads[ONE_ROW, SIXTEEN].rate for row in rows], "requests/s, 16 connections (longer is better)"),
    )
    for axes, figures, title in bars:
        colours = ["tab:blue" if row.title == OURS.title else "lightgrey" for row in rows]
        drawn = axes.barh(titles, [one.value for one in figures], color=colours)
        axes.bar_label(drawn, [f"{one.value:,.0f}" for one in figures], padding=3)
        axes.set_title(title, fontsize=10)
        axes.margins(x=0.2)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _about(results: Results, load_average: float) -> str:
    effort = results.effort
    return f"""# The server beside its peers

Written by `make bench`: `benchmarks/serving/run.py`. {machine()}.
{versions()}.

Every server ran alone, one after another, with the same model (AI4I, 5 numbers, gradient-boosted trees) and the same
request bytes; before the measurement its response was compared with the outputs of the model. Load came from one thread
of C on the same machine, a closed loop, each connection with one request in flight. With one connection, server and
generator alternate, and were pinned to one processor: across two, the figure is mostly the time that a virtual machine
takes to wake an idle one. With 16 connections both are measured: server and generator anywhere, so that a server of one
thread has a processor of its own, and both on one processor, which the scheduling of the virtual machine disturbs less,
and where the generator's own work counts. Each figure is the median of {effort.runs} runs of {effort.seconds:g} s, the
smallest and the largest in brackets. Cold start: median of {effort.cold_starts}, files
already in memory, from exec to the first 200 of `/v2/health/ready`. Memory: resident, with all children, after all
load. Other work on the machine before: {load_average:.2f} processors.

Every request of a case is the same, byte by byte, as from a machine that repeats its request; in one case, each has a
trace context and a request id of its own. Ours has a cache of parsed request heads, and none of responses.

The build before is commit {BEFORE} of this repository, with the libraries of today. Triton is the server of the package
nvidia-pytriton, with its Python backend and a model that only runs onnxruntime, without metrics.

MLServer runs with its defaults (a worker process beside the server, access log, metrics), and tuned: one process, no
access log, no metrics, no gzip. The KServe SDK runs with its defaults, and with its logs off. Both have a custom model
that only runs onnxruntime. MLServer does not support the binary extension over REST. The last of ours serves the bundle
that the pipeline makes of all of AI4I: one input tensor per column, one of them of text."""


def _overview(results: Results) -> str:
    head = ["", "p50 us", "p99 us", "requests/s at 16 connections", "on one processor", "cold start s", "memory MB"]
    lines = []
    for row in results.rows.values():
        if (ONE_ROW, ALONE) in row.loads:
            one, sixteen, pinned = (row.loads[ONE_ROW, load] for load in LOADS)
            start, memory = _figure(row.cold_start, ".2f"), f"{row.memory / 1e6:.0f}"
            rates = [_figure(sixteen.rate), _figure(pinned.rate)]
            lines.append([row.title, _figure(one.p50), _figure(one.p99), *rates, start, memory])
    call = results.bare[1]
    lines.insert(1, [_BARE, _figure(call.p50, ",.1f"), _figure(call.p99, ",.1f"), "", "", "", ""])
    return _table(head, lines)


def _case(results: Results, case: Case) -> str:
    head = [""]
    for load in LOADS:
        head += [f"{load}: p50 us", "p99 us", "requests/s"]
    lines = []
    for row in results.rows.values():
        if (case, ALONE) in row.loads:
            lines.append([row.title, *(cell for load in LOADS for cell in _cells(row.loads[case, load]))])
    if case.encoding == "JSON":
        lines.append([_BARE, *_cells(results.bare[case.rows]), *[""] * 6])
    return _table(head, lines)


def _python_calls(results: Results) -> str:
    head = ["", "1 row: p50 us", "p99 us", "calls/s", "32 rows: p50 us", "p99 us", "calls/s"]
    return _table(head, [list(_called(row)) for row in results.rows.values() if row.python_calls])


def _called(row: Row) -> Iterator[str]:
    yield row.title
    for rows in (1, 32):
        yield from _cells(row.python_calls[rows]) if rows in row.python_calls else ["", "", ""]


def _sizes(results: Results) -> str:
    sizes = results.sizes
    lines = [[name, f"{size:,}"] for name, size in sizes.layers.items()]
    lines += [
        ["**the image without a model**", f"**{sizes.image:,}**"],
        ["layer of the model", f"{sizes.model_layer:,}"],
        ["manifest and configuration", f"{sizes.documents:,}"],
        ["**a model update**", f"**{sizes.update:,}**"],
        ["the same bundle in one stream of zstd", f"{sizes.bundle:,}"],
    ]
    return _table(["", "bytes, compressed"], lines)


def _cells(measured: Measured) -> list[str]:
    return [_figure(measured.p50), _figure(measured.p99), _figure(measured.rate)]


def _figure(figure: Figure, form: str = ",.0f") -> str:
    middle, low, high = (format(value, form) for value in (figure.value, figure.low, figure.high))
    return middle if low == high else f"{middle} [{low}-{high}]"


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _table(head: list[str], lines: list[list[str]]) -> str:
    # text to the left, figures to the right
    rule = [
        ":---" if column == 0 or not any(_is_number(line[column]) for line in lines) else "---:"
        for column in range(len(head))
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))


def _is_number(cell: str) -> bool:
    return cell.lstrip("*")[:1].isdigit() and cell[-1:] in "0123456789]*"
