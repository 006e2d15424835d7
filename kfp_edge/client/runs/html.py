"""A run as a notebook shows it: HTML without scripts and style sheets, on a light or a dark page."""

import re
from collections.abc import Mapping, Sequence
from html import escape

from kfp_edge.client.runs.snapshot import MARKS, RunSnapshot, format_duration
from kfp_edge.client.runs.stage_states import StageState
from kfp_edge.reports.html import BLUE, GREY, ORANGE, RED
from kfp_edge.reports.stage_report import StageReport

_COLOURS = {
    "succeeded": "#2A8C4A",
    "failed": RED,
    "lost": RED,
    "canceled": ORANGE,
    "canceling": ORANGE,
    "running": BLUE,
}
_PALE = "rgba(128,128,128,.25)"
_LINE = f"1px solid {_PALE}"
#: Text that matters less, whatever the colour of the page.
_FAINT = "opacity:.65"
_CODE = re.compile("`([^`]+)`")
#: Pixels of a report; a longer one scrolls.
_REPORT_HEIGHT = 560


def render(run: RunSnapshot) -> str:
    """Return the run as HTML."""
    parts = [_header(run), _progress_bar(run.stages), _stage_table(run.stages)]
    parts += [_message(text, ORANGE) for text in run.waits]
    if run.problem:
        parts.append(_message(run.problem, RED))
    if metrics := run.metric_texts():
        parts.append(_metric_cards(metrics))
    if run.hint:
        parts.append(_message(run.hint, ORANGE))
    parts += [_report(stage, report) for stage, report in run.reports.items()]
    style = (
        "font:13px/1.5 system-ui,-apple-system,sans-serif;box-sizing:border-box;max-width:56rem;"
        f"border:{_LINE};border-radius:8px;padding:14px 18px;margin:4px 0"
    )
    return f'<div style="{style}">{"".join(parts)}</div>'


def _header(run: RunSnapshot) -> str:
    facts = [
        escape(run.pipeline),
        run.progress,
        format_duration(run.seconds),
        f"submitted {run.created_at:%Y-%m-%d %H:%M} UTC",
    ]
    colour = _COLOURS.get(run.state, GREY)
    state = f"background:{colour};color:#fff;border-radius:9px;padding:1px 9px;font-size:12px;font-weight:600"
    link = f'href="{escape(run.url)}" target="_blank" rel="noopener"'
    return (
        '<div style="display:flex;gap:10px;align-items:center;flex-wrap:wrap">'
        f'<b style="font-size:15px">{escape(run.name)}</b><span style="{state}">{escape(run.state)}</span>'
        f'<a style="margin-left:auto;color:inherit;text-decoration:underline" {link}>open the run</a></div>'
        f'<div style="{_FAINT}">{" · ".join(facts)}</div>'
    )


def _progress_bar(stages: Sequence[StageState]) -> str:
    """Return one segment for each stage."""
    segments = "".join(
        f'<div style="flex:1;border-radius:3px;background:{_COLOURS.get(stage.state, _PALE)}" '
        f'title="{escape(stage.name)}: {escape(stage.state)}"></div>'
        for stage in stages
    )
    return f'<div style="display:flex;gap:3px;height:6px;margin:10px 0 12px">{segments}</div>'


def _stage_table(stages: Sequence[StageState]) -> str:
    longest = max((stage.seconds for stage in stages), default=0.0) or 1.0
    rows = "".join(_stage_row(stage, stage.seconds / longest) for stage in stages)
    style = "border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;margin:0;border:0"
    return f'<table style="{style}"><tbody>{rows}</tbody></table>'


def _stage_row(stage: StageState, share: float) -> str:
    """Return a stage with a bar as long as its share of the longest duration."""
    colour = _COLOURS.get(stage.state, GREY)
    faint = "" if stage.state in _COLOURS else f";{_FAINT}"
    bar = f'<div style="height:8px;border-radius:3px;width:{100 * share:.1f}%;background:{colour}"></div>'
    cells = (
        (f"color:{colour};font-weight:700;width:1.2em", escape(MARKS.get(stage.state, "○"))),
        ("white-space:nowrap;font-weight:600", escape(stage.name)),
        (f"white-space:nowrap{faint}", escape(", ".join(filter(None, (stage.state, stage.note))))),
        ("white-space:nowrap;text-align:right", format_duration(stage.seconds) if stage.seconds else ""),
        ("width:45%", bar if stage.seconds else ""),
    )
    style = "padding:2px 14px 2px 0;text-align:left;border:0;background:none"
    return "<tr>" + "".join(f'<td style="{style};{own}">{content}</td>' for own, content in cells) + "</tr>"


def _metric_cards(metrics: Mapping[str, str]) -> str:
    cards = "".join(
        f'<div><div style="{_FAINT};font-size:12px;overflow-wrap:anywhere">{escape(name)}</div>'
        f'<div style="font-size:15px;font-weight:600;font-variant-numeric:tabular-nums">{escape(value)}</div></div>'
        for name, value in metrics.items()
    )
    style = "display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:8px 14px;margin-top:12px"
    return f'<div style="{style};border-top:{_LINE};padding-top:10px">{cards}</div>'


def _message(text: str, colour: str) -> str:
    style = f"border-left:4px solid {colour};padding:4px 10px;margin-top:12px;overflow-wrap:anywhere"
    content = _CODE.sub(r"<code>\1</code>", escape(text))
    return f'<div style="{style}">{content}</div>'


def _report(stage: str, report: StageReport) -> str:
    content = (
        report.frame(_REPORT_HEIGHT)
        if report.is_page
        else f'<pre style="white-space:pre-wrap;max-height:{_REPORT_HEIGHT}px;overflow:auto">{escape(report)}</pre>'
    )
    summary = f'<summary style="cursor:pointer">report of <b>{escape(stage)}</b></summary>'
    return f'<details style="border-top:{_LINE};padding-top:8px;margin-top:10px">{summary}{content}</details>'
