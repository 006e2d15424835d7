"""A self-contained HTML page with tables and plots: no scripts and no external resources."""

import html
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from kfp_edge.reports.numbers import format_number
from kfp_edge.storage.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours that colour-blind readers can tell apart (Okabe and Ito, 2008; the red is that of Tol's vibrant scheme,
#: since their vermilion looks orange).
BLUE, ORANGE, GREY, RED, GREEN = "#0072B2", "#E69F00", "#9AA0A6", "#CC3311", "#009E73"

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}p.lead{color:#59636e;margin:0 0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}div.table{overflow-x:auto}
td,th{padding:.25rem .9rem .25rem 0;text-align:left;border-bottom:1px solid #d1d9e0;vertical-align:top;
max-width:32rem}td.short{white-space:nowrap}
@media(max-width:45rem){body{margin:1rem auto}table{font-size:13px}td,th{padding-right:.6rem}
td.short{white-space:normal}}
td.long{overflow-wrap:anywhere;min-width:12rem}th{font-weight:600}img{max-width:100%;height:auto}
ul.warnings{background:#fff8c5;border:1px solid #d4a72c;border-radius:6px;padding:.6rem 1rem .6rem 2rem;
overflow-wrap:anywhere}
td.good{color:#1a7f37}td.bad{color:#d1242f;font-weight:600}td.idle{color:#59636e}
div.bar{display:flex;height:1.4rem;border-radius:4px;overflow:hidden;margin:.3rem 0}div.bar span{display:block}
ul.key{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;margin:.3rem 0 1rem}
ul.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
.pass{color:#1a7f37;font-weight:600}.fail{color:#d1242f;font-weight:600}
"""

#: Texts up to this length, in letters, stay on one line.
_MAX_UNWRAPPED = 24


#: As it should be, a problem, or neither.
Mark = Literal["good", "bad", "idle"]


@dataclass(frozen=True)
class MarkedCell:
    """A text in a table with what it means to the reader."""

    text: str
    mark: Mark


@dataclass(frozen=True)
class Part:
    """A part of a whole: how much it is, and its colour."""

    name: str
    count: int
    colour: str


class Page:
    """An HTML page that is built from top to bottom; all text is escaped."""

    def __init__(self, title: str, lead: str) -> None:
        self._title = title
        self._parts = [f"<h1>{html.escape(title)}</h1><p class=lead>{html.escape(lead)}</p>"]

    def heading(self, text: str) -> Self:
        self._parts.append(f"<h2>{html.escape(text)}</h2>")
        return self

    def text(self, text: str) -> Self:
        self._parts.append(f"<p>{html.escape(text)}</p>")
        return self

    def link(self, text: str, address: str) -> Self:
        """Add a paragraph that leads somewhere, such as to another page by its path from this one."""
        self._parts.append(f'<p><a href="{html.escape(address)}">{html.escape(text)}</a></p>')
        return self

    def warnings(self, sentences: Sequence[str]) -> Self:
        """Add what a reader should see first, if there is any."""
        if sentences:
            items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
            self._parts.append(f"<h2>Warnings</h2><ul class=warnings>{items}</ul>")
        return self

    def items(self, sentences: Iterable[str]) -> Self:
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
        self._parts.append(f"<ul>{items}</ul>")
        return self

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Self:
        cells = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(_format_cell(value) for value in row) + "</tr>" for row in rows)
        self._parts.append(f"<div class=table><table><tr>{cells}</tr>{body}</table></div>")
        return self

    def bar(self, parts: Sequence[Part]) -> Self:
        """Add the parts of a whole as a bar, with their names and counts below it."""
        parts = [part for part in parts if part.count]
        spans = (f'<span style="flex:{part.count};background:{part.colour}"></span>' for part in parts)
        entries = (
            f'<li><i style="background:{part.colour}"></i>{part.count:,} {html.escape(part.name)}</li>'
            for part in parts
        )
        self._parts.append(f"<div class=bar>{''.join(spans)}</div><ul class=key>{''.join(entries)}</ul>")
        return self

    def figure(self, figure: "Figure", description: str) -> Self:
        from kfp_edge.reports.svg import to_img

        self._parts.append(to_img(figure, description))
        return self

    def write(self, path: Path) -> None:
        """Write the page completely or not at all.

        Raises:
            StorageError: the file system refuses.
        """
        viewport = '<meta name="viewport" content="width=device-width,initial-scale=1">'
        head = f'<meta charset="utf-8">{viewport}<title>{html.escape(self._title)}</title><style>{_STYLE}</style>'
        page = f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(self._parts)}</body></html>\n'
        write_file(path, page.encode())


def _format_cell(value: object) -> str:
    if isinstance(value, MarkedCell):
        return f'<td class="{value.mark} short">{html.escape(value.text)}</td>'
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        text = format_number(value)
    else:
        text = "missing" if value is None else str(value)
    style = text if text in ("pass", "fail") else _choose_style(text)
    return f"<td{f' class={style}' if style else ''}>{html.escape(text)}</td>"


def _choose_style(text: str) -> str:
    """Return how a cell's text is wrapped: not at all, between words, or where it has a very long word anywhere."""
    if len(text) <= _MAX_UNWRAPPED:
        return "short"
    return "long" if max(map(len, text.split()), default=0) > _MAX_UNWRAPPED else ""
