"""The simulated time of a rehearsal: hours of soak time pass in seconds."""

from datetime import UTC, datetime, timedelta

#: How far the clock moves at a time: how often sites are scraped.
TICK = timedelta(minutes=2)
#: A Monday morning.
START = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)


class Clock:
    """The time of all sites, of the repository's merges and of decisions."""

    def __init__(self) -> None:
        """Begin on a Monday morning."""
        self.now = START

    def tick(self) -> None:
        """Move on."""
        self.now += TICK

    @property
    def seconds(self) -> float:
        """Seconds since 1970."""
        return self.now.timestamp()


def format_time(time: datetime) -> str:
    """Return weekday and time, such as `Mon 08:10`."""
    return time.strftime("%a %H:%M")
