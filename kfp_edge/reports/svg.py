"""Figures as SVG and as HTML, apart from pages because importing matplotlib takes a second."""

import base64
import html
import io
import warnings

import matplotlib
from matplotlib.figure import Figure

#: Resolution of the parts that are drawn as pixels.
_DPI = 130


def to_svg(figure: Figure) -> bytes:
    """Return a figure as SVG whose text stays text: a browser has the glyphs that matplotlib's own font lacks."""
    image = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kfp-edge"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        figure.savefig(image, format="svg", dpi=_DPI, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return image.getvalue()


def to_img(figure: Figure, description: str) -> str:
    """Return a figure as an HTML element that is never wider than its page, with a description for screen readers."""
    data = base64.b64encode(to_svg(figure)).decode()
    text = html.escape(description)
    return f'<img alt="{text}" style="max-width:100%;height:auto" src="data:image/svg+xml;base64,{data}">'
