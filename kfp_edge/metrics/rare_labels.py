"""Labels that are too rare among the held-out rows for metrics that mean much."""

from kfp_edge.metrics.events import find_events
from kfp_edge.ml.arrays import ClassLabel, Labels
from kfp_edge.wording import count_of

#: With fewer rows of a class, one row more or less changes its recall by 5 % and more.
_FEW_ROWS = 20
#: With fewer events, one more or less changes their recall by 20 % and more.
_FEW_EVENTS = 5


def find_few_positives(labels: Labels, positive: ClassLabel) -> list[str]:
    """Return a warning if few of the labels, shape [n], are the positive class."""
    rows = int((labels == positive).sum())
    if rows >= _FEW_ROWS:
        return []
    return [
        f"only {rows:,} of {len(labels):,} held-out rows {'is' if rows == 1 else 'are'} of the class {positive!r}: its "
        "metrics are uncertain, as their intervals show; give more such rows"
    ]


def find_few_events(labels: Labels, groups: Labels | None) -> list[str]:
    """Return a warning if the labels, shape [n] in the order of time, have few events in their groups, shape [n]."""
    events = len(find_events(labels, groups))
    if events >= _FEW_EVENTS:
        return []
    return [
        f"the {len(labels):,} held-out rows have only {count_of(events, 'event')}: how many of "
        "them are detected is uncertain; give data with more of them"
    ]
