"""Legends of plots."""

from matplotlib.axes import Axes


def add_legend(axis: Axes) -> None:
    """Add a legend above the axes.

    Its place does not depend on the data: matplotlib's search for the best one takes seconds with many rows, and the
    same figure would look different with other rows.
    """
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
