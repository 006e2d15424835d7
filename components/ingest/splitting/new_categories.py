"""Warnings about categories of held-out rows that training never had: at the edge the server refuses such rows."""

import pandas as pd

from kfp_edge.components.ingest.listing import list_names
from kfp_edge.ml.dataset import Dataset

#: Share of the held-out rows that is worth a warning: a rare category is missing in one part by chance.
_MIN_SHARE = 0.05


def find_new_categories(train: Dataset, test: Dataset) -> list[str]:
    """Return a warning for each text column with many held-out rows whose category no training row has."""
    warnings = []
    for name in train.roles.categorical:
        values = test.frame[name]
        is_new = values.notna() & ~values.isin(train.frame[name].dropna().unique())
        if is_new.mean() >= _MIN_SHARE:
            warnings.append(_describe(values, is_new))
    return warnings


def _describe(values: pd.Series, is_new: pd.Series) -> str:
    categories = sorted(values[is_new].unique())
    return (
        f"{int(is_new.sum()):,} of {len(values):,} held-out rows have a category in column {values.name!r} that no "
        f"training row has ({list_names(categories)}): the server refuses such rows at the edge, and the metrics count "
        "them; put the column in drop, or give training rows with these categories"
    )
