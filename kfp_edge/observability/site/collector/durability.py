"""What a configuration loses: in an outage of the hub, when it is killed, when the disk or the memory is full."""

from collections.abc import Iterator

from kfp_edge.fleet.check.findings import Finding
from kfp_edge.observability.site.collector.components import SENDERS, Distribution
from kfp_edge.observability.site.collector.document import VARIABLE, Configuration, Entry
from kfp_edge.observability.site.collector.values import is_duration

_MIB = 2**20
#: A trace that is lost is one of many, so nothing is demanded of pipelines for traces alone.
_KEPT = ("metrics", "logs")


def check_durability(configuration: Configuration, distribution: Distribution) -> Iterator[Finding]:
    """Yield what a configuration would lose, and how to keep it."""
    for exporter in configuration.components("exporters"):
        signals = set(configuration.pipelines_of("exporters", exporter.name))
        if distribution is Distribution.HUB and _answers_late(exporter):
            continue
        if exporter.type_name in SENDERS and signals.intersection(_KEPT):
            yield from _check_retries(exporter)
            yield from _check_queue(configuration, exporter)
    for extension in configuration.components("extensions"):
        if extension.type_name == "file_storage":
            yield from _check_storage(extension)
    for pipeline in configuration.pipelines.values():
        yield from _check_memory_limiter(pipeline)


def _answers_late(exporter: Entry) -> bool:
    """Whether an exporter has no queue: then a site is answered when the hub has stored its samples, and keeps them."""
    queues = [exporter.get(key) for key in ("sending_queue", "remote_write_queue")]
    return any(queue is not None and not queue.is_true("enabled", default=True) for queue in queues)


def _check_retries(exporter: Entry) -> Iterator[Finding]:
    where = exporter.get("retry_on_failure") or exporter
    if not exporter.is_true("retry_on_failure", "enabled", default=True):
        yield where.finding(
            f"{exporter.path}.retry_on_failure is not enabled: what the hub does not take at once is lost; "
            "remove enabled: false."
        )
        return
    limit = exporter.get("retry_on_failure", "max_elapsed_time")
    text = exporter.text("retry_on_failure", "max_elapsed_time")
    if limit is None or not text:
        yield where.finding(
            f"{exporter.path}.retry_on_failure has no max_elapsed_time, so that a request is thrown away after 5 "
            "minutes without the hub; write max_elapsed_time: 0s."
        )
    elif VARIABLE not in text and is_duration(text) and text.strip("0smhunµ.") != "":
        yield limit.finding(
            f"{limit.path} is {text}: the beginning of a longer outage is lost, though the queue has room; write 0s."
        )


def _check_queue(configuration: Configuration, exporter: Entry) -> Iterator[Finding]:
    queue = exporter.get("sending_queue")
    if queue is None or not queue.is_true("enabled", default=True):
        where = queue or exporter
        yield where.finding(
            f"{exporter.path} has no sending_queue, so that nothing is kept while the hub is out of reach; "
            "add one with a storage."
        )
        return
    storage = queue.get("storage")
    name = queue.text("storage")
    if storage is None or not name:
        yield queue.finding(
            f"{queue.path} has no storage: what waits is in memory, and lost when the collector ends; write storage: "
            "file_storage, with that extension."
        )
        return
    if queue.text("wait_for_result") == "true":
        yield queue.finding(f"{queue.path} has wait_for_result, which does not go with a storage; remove it.")
    consumers = _number(queue, "num_consumers")
    if consumers is None or consumers > 1:
        yield (queue.get("num_consumers") or queue).finding(
            f"{queue.path} has {10 if consumers is None else consumers} consumers, which send out of order after an "
            "outage; write num_consumers: 1.",
            "warning",
        )
    if extension := configuration.sections["extensions"].get(name):
        yield from _check_sizes(queue, extension)


def _check_sizes(queue: Entry, extension: Entry) -> Iterator[Finding]:
    size, limit = _number(queue, "queue_size"), _number(extension, "max_size")
    if queue.text("sizer") != "bytes":
        yield (queue.get("sizer") or queue).finding(
            f"{queue.path} does not count bytes, so that nobody knows what it takes on disk; write sizer: bytes, and "
            "the queue_size that `kfp-edge observe queue` computes.",
            "warning",
        )
    elif not size and VARIABLE not in (queue.text("queue_size") or ""):
        yield (queue.get("queue_size") or queue).finding(
            f"{queue.path} has no queue_size that is a whole number of bytes; write the one that `kfp-edge observe "
            "queue` computes."
        )
    elif size is not None and limit and size >= limit:
        yield (queue.get("queue_size") or queue).finding(
            f"{queue.path}.queue_size is {size}, and {extension.path}.max_size {limit}: the file is full before the "
            "queue, which then reports room that it does not have; `kfp-edge observe queue` computes both."
        )


def _check_storage(extension: Entry) -> Iterator[Finding]:
    if not extension.is_true("fsync"):
        yield (extension.get("fsync") or extension).finding(
            f"{extension.path} does not write to disk at once: a power cut loses the backlog, or damages its file; "
            "write fsync: true."
        )
    if not extension.is_true("recreate"):
        yield (extension.get("recreate") or extension).finding(
            f"{extension.path} does not start with a damaged file, so that nothing is sent any more; write "
            "recreate: true, which sets the file aside."
        )
    limit = _number(extension, "max_size")
    if not extension.get("max_size"):
        yield extension.finding(
            f"{extension.path} has no max_size: an outage fills the disk of the site; write the one that `kfp-edge "
            "observe queue` computes.",
            "warning",
        )
    compaction = extension.get("compaction")
    if compaction is None or not compaction.is_true("on_rebound"):
        yield (compaction or extension).finding(
            f"{extension.path} keeps the size of its file after an outage; write on_rebound: true in compaction.",
            "warning",
        )
        return
    for key, default in (("rebound_needed_threshold_mib", 100), ("rebound_trigger_threshold_mib", 10)):
        threshold = _number(compaction, key) if compaction.get(key) else default
        if limit and threshold is not None and threshold * _MIB > limit:
            yield (compaction.get(key) or compaction).finding(
                f"{compaction.path}.{key} is {threshold} MiB, more than max_size ({limit} bytes), with which the "
                "collector does not start; write less."
            )


def _check_memory_limiter(pipeline: Entry) -> Iterator[Finding]:
    processors = pipeline.get("processors")
    names = processors.references() if processors else []
    limiters = [each for each in names if each.type_name == "memory_limiter"]
    if not limiters:
        yield (processors or pipeline).finding(
            f"the pipeline {pipeline.name} has no memory_limiter, so that the process is killed when memory runs out; "
            "add it as the first processor."
        )
    elif names[0].type_name != "memory_limiter":
        yield limiters[0].finding(
            f"{limiters[0].name} is not the first processor of the pipeline {pipeline.name}, so that the others take "
            "memory that it does not limit; put it first."
        )


def _number(entry: Entry, key: str) -> int | None:
    """Return a number below an entry, None where there is none or a variable gives it."""
    text = (entry.text(key) or "").replace("_", "")
    return int(text) if text.isdecimal() else None
