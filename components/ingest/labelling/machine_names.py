"""Names of machines in a failure log and in the data, which may be typed in different ways."""

import re
from collections.abc import Collection, Mapping

import pandas as pd

from kfp_edge.components.ingest.listing import join_listed
from kfp_edge.ml.arrays import ClassLabel


def find_similar_groups(groups: pd.Series) -> list[str]:
    """Return a warning for each set of groups that differ only in case, spaces, signs, or zeros in front of a number.

    Args:
        groups: The group of each row, named as its column, shape [rows].
    """
    counts = groups.value_counts(sort=False)
    by_words: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(name for name in counts[counts > 0].index if isinstance(name, str)):
        words = re.findall(r"\d+|[^\W\d_]+", name.casefold())
        by_words.setdefault(tuple(word.lstrip("0") or "0" for word in words), []).append(name)
    similar = [names for words, names in by_words.items() if words and len(names) > 1]
    if not similar:
        return []
    examples = join_listed([f"{first!r} and {second!r}" for first, second, *_ in similar])
    return [
        f"groups of {groups.name!r} differ only in how they are written and count as different machines, which may be "
        f"in both parts: {examples}; write them alike if they are the same"
    ]


def to_text(names: pd.Series) -> pd.Series:
    """Return names as text: 7 and 7.0 as `7`; missing ones stay missing."""
    if pd.api.types.is_float_dtype(names) and (names.dropna() % 1 == 0).all():
        names = names.astype("Int64")
    return names.map(str, na_action="ignore").astype(object)


def match_names(groups: Collection[ClassLabel], names: Collection[str]) -> dict[str, ClassLabel]:
    """Return the group of the data of each name that is written as the group is; 7 is written as `7`."""
    by_text = {str(group): group for group in groups}
    return {name: by_text[name] for name in names if name in by_text}


def find_similar(groups: Collection[ClassLabel], names: Collection[str]) -> dict[str, str]:
    """Return for each name the group that differs from it only in case, spaces, or zeros in front."""
    by_form = {_normalize(str(group)): str(group) for group in groups}
    similar = {name: by_form.get(_normalize(name)) for name in names}
    return {name: group for name, group in similar.items() if group is not None and group != name}


def describe_similar(similar: Mapping[str, str]) -> str:
    """Return how names are written in the log and in the data, such as `'M 1' is 'm1' in the data`."""
    return join_listed([f"{name!r} is {group!r} in the data" for name, group in sorted(similar.items())])


def _normalize(name: str) -> str:
    text = "".join(character for character in name.casefold() if character.isalnum())
    return re.sub(r"0*(\d+)", r"\1", text)
