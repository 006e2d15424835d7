"""Names in messages."""

from collections.abc import Sequence

_MAX_LISTED = 10


def list_names(names: Sequence[object]) -> str:
    """Return names in quotes, separated by commas; where they are many, the first of them and how many more."""
    return join_listed([repr(name) for name in names])


def join_listed(items: Sequence[str]) -> str:
    """Return items as they are, separated by commas; where they are many, the first of them and how many more."""
    more = len(items) - _MAX_LISTED
    return ", ".join(items[:_MAX_LISTED]) + (f" and {more:,} more" if more > 0 else "")
