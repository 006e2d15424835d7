"""What happens in a rehearsal, in the order of time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from kfp_edge.fleet.simulation.clock import format_time


class Kind(StrEnum):
    """What an event is about."""

    #: A ring got a release, by the merge of its pull request.
    RELEASE = "release"
    #: A ring was taken back, by such a merge.
    ROLLBACK = "rollback"
    #: A pull request was opened.
    PROPOSAL = "proposal"
    WAIT = "wait"
    GO_ON = "go on"
    ABORT = "abort"
    SITES = "sites"
    LINK = "link"


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        ring: Empty for all rings.
        details: Further lines.
        label: What a drawing says of it.
    """

    time: datetime
    kind: Kind
    ring: str
    text: str
    details: tuple[str, ...] = ()
    label: str = ""


class Timeline:
    """Events, each of which is shown as it is added."""

    def __init__(self, show: Callable[[str], None]) -> None:
        """Begin without events.

        Args:
            show: Called with each line.
        """
        self._show = show
        self.events: list[Event] = []

    def add(self, event: Event) -> None:
        """Add an event, and show it."""
        self.events.append(event)
        self._show(f"{format_time(event.time)}  {event.ring:<7}{event.text}")
        for line in event.details:
            self._show(f"{'':18}{line}")
