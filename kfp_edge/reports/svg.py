"""Figures as SVG, apart from pages because importing matplotlib takes a second."""

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
