"""How large the queue of a site's collector has to be, so that an outage of a stated length loses nothing.

Every scrape of a target is one request of the queue (`num_consumers: 1`, no batches, so that the order stays and a kill
repeats one request at most). `queue_size` counts the bytes of requests (`sizer: bytes`); `max_size` limits the file on
disk, which is larger: bbolt, the store beneath, keeps each request in pages of its own and never gives pages back
before it compacts the file.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from kfp_edge.errors import ParameterError
from kfp_edge.wording import count_of

MIB = 2**20

#: Bytes of one sample and of a request in OTLP as the collector stores them: measured 32 and 6,500 with the metrics of
#: two models (docs/observability.md), and a fifth more for longer names.
BYTES_OF_A_SAMPLE = 40
BYTES_OF_A_REQUEST = 8_000
#: What the file takes more than its requests: pages of 4 KiB that are not full; measured 7 %.
FILE_OVERHEAD = 1.15
#: What the file has in any case: bbolt grows it in steps of 16 MiB.
FILE_GROWTH = 16 * MIB
#: What the queue holds more than the outage brings: restarts, series that come with another version of a model.
RESERVE = 1.25
#: The share of the outage after which an alert of the hub fires: how full the queue is, the hub cannot know meanwhile.
ALERT_SHARE = 0.75


@dataclass(frozen=True)
class QueueSize:
    """The size of a queue, and what it follows from.

    Attributes:
        outage: How long the hub may be out of reach.
        series: Samples of one scrape, over all targets.
        targets: How many servers are scraped.
        interval: The time from one scrape to the next.
    """

    outage: timedelta
    series: int
    targets: int
    interval: timedelta

    @property
    def scrapes(self) -> int:
        """How often each target is scraped during the outage."""
        return math.ceil(self.outage / self.interval)

    @property
    def requests(self) -> int:
        """Requests in the queue when the outage ends."""
        return self.scrapes * self.targets

    @property
    def samples(self) -> int:
        """Samples in the queue when the outage ends."""
        return self.scrapes * self.series

    @property
    def backlog_bytes(self) -> int:
        """Bytes in the queue when the outage ends."""
        return self.samples * BYTES_OF_A_SAMPLE + self.requests * BYTES_OF_A_REQUEST

    @property
    def queue_bytes(self) -> int:
        """The value of `sending_queue.queue_size`, with `sizer: bytes`."""
        return math.ceil(self.backlog_bytes * RESERVE / MIB) * MIB

    @property
    def file_bytes(self) -> int:
        """The value of `max_size` of the file storage: the queue is full before the file is."""
        return math.ceil((self.queue_bytes * FILE_OVERHEAD + FILE_GROWTH) / FILE_GROWTH) * FILE_GROWTH

    @property
    def volume_bytes(self) -> int:
        """The size of the volume: the file, a damaged one that was set aside, and what compaction writes."""
        return 2 * self.file_bytes + 4 * FILE_GROWTH

    @property
    def hours_until_alert(self) -> float:
        """How long an outage lasts until the alert fires, in hours."""
        return ALERT_SHARE * (self.outage / timedelta(hours=1))

    @property
    def hours_after_alert(self) -> float:
        """How long it takes from the alert until the queue is full, in hours."""
        hours_until_full = self.outage / timedelta(hours=1) * self.queue_bytes / self.backlog_bytes
        return hours_until_full - self.hours_until_alert

    def explain(self) -> str:
        """Return the sizes with their reasons, one line each."""
        hours = self.outage / timedelta(hours=1)
        seconds = self.interval.total_seconds()
        lines = [
            f"outage       {hours:g} h without the hub, a scrape every {seconds:g} s: {self.scrapes:,} scrapes",
            f"requests     {count_of(self.targets, 'target')} x {self.scrapes:,} scrapes = {self.requests:,} "
            "(one request for each scrape of a target)",
            f"samples      {self.series:,} series x {self.scrapes:,} scrapes = {self.samples:,}",
            f"backlog      {BYTES_OF_A_SAMPLE} bytes a sample and {BYTES_OF_A_REQUEST:,} a request: "
            f"{_mib(self.backlog_bytes)}",
            f"queue_size   {self.queue_bytes} ({_mib(self.queue_bytes)}): the backlog and a reserve of "
            f"{RESERVE - 1:.0%}",
            f"max_size     {self.file_bytes} ({_mib(self.file_bytes)}): pages that are not full or free take "
            f"{FILE_OVERHEAD - 1:.0%} more, and the file grows in steps of {_mib(FILE_GROWTH)}",
            f"volume       {self.volume_bytes // MIB}Mi: the file, one damaged file set aside, and compaction",
            f"alert        {self.hours_until_alert:g} h into the outage (KfpEdgeQueueFilling, where the rules of the "
            f"hub have outage: {hours:g}h); from then on, {self.hours_after_alert:.3g} h are left",
        ]
        return "\n".join(lines)


def compute_queue_size(outage: timedelta, *, series: int, targets: int = 1, interval: timedelta) -> QueueSize:
    """Compute how large a queue has to be.

    Args:
        outage: How long the hub may be out of reach.
        series: Samples of one scrape, over all targets, with those of the collector itself.
        targets: How many servers are scraped, with the collector itself.
        interval: The time from one scrape to the next.

    Raises:
        ParameterError: a number is not above 0, or the interval is longer than the outage.
    """
    if series < 1 or targets < 1:
        raise ParameterError("there has to be at least 1 series and 1 target, or nothing is sent.")
    if interval <= timedelta() or outage <= timedelta():
        raise ParameterError("the outage and the interval have to be longer than 0 s.")
    if interval > outage:
        raise ParameterError(
            f"the interval ({interval.total_seconds():g} s) is longer than the outage ({outage.total_seconds():g} s); "
            "name an outage of at least one scrape."
        )
    return QueueSize(outage, series, targets, interval)


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f} MiB"
