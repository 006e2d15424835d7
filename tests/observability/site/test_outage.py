"""The real collector of a site while the hub is out of reach: what 72 hours bring arrives, once and in order.

Needs an OpenTelemetry Collector with the components of deploy/observability/site/ocb.yaml.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from kfp_edge.observability.demo.certificates import write_certificates
from kfp_edge.observability.site.forms import SiteSettings
from kfp_edge.observability.site.queue_size import MIB, QueueSize, compute_queue_size
from support.site_collectors import (
    NO_COLLECTOR,
    SiteCollector,
    Targets,
    find_collector,
    running_targets,
    site_collector,
    wait_until,
)

PROGRAM = find_collector() or Path()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("collector"),
    pytest.mark.skipif(find_collector() is None, reason=NO_COLLECTOR),
]

#: 4,320 scrapes, as one server has in 72 h, every 60 s.
TARGETS, SCRAPES = 360, 12
SETTINGS = SiteSettings(site="hall-7", ring="canary")


@dataclass(frozen=True)
class SmallQueue(QueueSize):
    """A queue that is full after some scrapes."""

    @property
    def queue_bytes(self) -> int:
        return MIB

    @property
    def file_bytes(self) -> int:
        return 64 * MIB


def small() -> SiteSettings:
    size = compute_queue_size(timedelta(hours=1), series=1, interval=timedelta(seconds=60))
    return replace(SETTINGS, size=SmallQueue(size.outage, size.series, size.targets, size.interval))


def numbers_at_the_hub(collector: SiteCollector, targets: Targets) -> Iterator[tuple[str, list[int], int]]:
    """Yield each target with the numbers of the scrapes that came, as they came, and how many scrapes failed."""
    points, ups = collector.hub.points("scrapes_total"), collector.hub.points("up")
    for number in range(targets.count):
        name = f"t{number}"
        came = [int(each.value) for each in points if each.resource["service.instance.id"] == name]
        failed = sum(each.value == 0 for each in ups if each.resource["service.instance.id"] == name)
        yield f"/{number}", came, failed


def test_a_backlog_of_72_hours_arrives_though_the_collector_was_killed(tmp_path: Path) -> None:
    kills = 0
    stopped: list[dict[str, int]] = []
    with (
        running_targets(Targets(TARGETS, SCRAPES)) as targets,
        site_collector(PROGRAM, tmp_path, targets, interval="1s") as collector,
    ):
        collector.start()
        for share in (0.3, 0.6):
            wait_until(
                lambda share=share: sum(targets.served.values()) > TARGETS * SCRAPES * share, "a part of the outage"
            )  # type: ignore[misc]
            collector.kill()
            kills += 1
            stopped.append(dict(targets.served))
            collector.start()
        wait_until(lambda: targets.are_finished, "the whole outage")
        collector.scrape_no_more()
        collector.hub.start()
        wait_until(lambda: len(collector.hub.requests) > TARGETS * SCRAPES / 3, "a third of the backlog")
        collector.kill()
        kills += 1
        collector.start()
        collector.wait_until_all_is_sent()
        late = repeated = 0
        for path, came, failed in numbers_at_the_hub(collector, targets):
            missing = set(range(1, SCRAPES + 1)) - set(came)
            # a scrape that failed, as its `up` says, and one that was answered when the collector was killed
            assert len(missing - {each.get(path) for each in stopped}) <= failed, (path, missing, failed)
            repeated += len(came) - len(set(came))
            late += sum(after < before for before, after in pairwise(came))
    # a kill repeats the one request that was under way, and moves it to the end of the queue
    assert repeated <= kills
    assert late <= kills


def test_a_full_queue_keeps_what_it_has_and_says_what_it_lost(tmp_path: Path) -> None:
    with (
        running_targets(Targets(8, 400)) as targets,
        site_collector(PROGRAM, tmp_path, targets, interval="50ms", settings=small()) as collector,
    ):
        collector.start()
        wait_until(lambda: (collector.metric("otelcol_exporter_enqueue_failed_metric_points") or 0) > 0, "a full queue")
        assert collector.metric("otelcol_exporter_queue_size") <= collector.metric("otelcol_exporter_queue_capacity")
        wait_until(lambda: targets.are_finished, "the whole outage")
        collector.hub.start()
        collector.wait_until_all_is_sent()
        for _, came, _ in numbers_at_the_hub(collector, targets):
            assert came == sorted(set(came))
            assert came[0] == 1  # the beginning of the outage is there, its end is not
            assert came[-1] < 400


@pytest.mark.root
def test_a_full_disk_loses_what_is_new_and_damages_nothing(tmp_path: Path) -> None:
    page = "# TYPE g gauge\n" + "".join(f'g{{number="{number}"}} 1\n' for number in range(1000))
    with (
        running_targets(Targets(8, 60, page=page)) as targets,
        site_collector(PROGRAM, tmp_path, targets, interval="1s") as collector,
        _small_disk(collector.queue.parent) as disk,
    ):
        collector.start()
        wait_until(lambda: targets.are_finished, "the whole outage")
        assert shutil.disk_usage(disk).free < MIB
        assert (collector.metric("otelcol_exporter_enqueue_failed_metric_points") or 0) > 0
        collector.kill()
        collector.scrape_no_more()
        collector.hub.start()
        collector.start()
        collector.wait_until_all_is_sent()
        assert "is damaged" not in collector.log
        for _, came, _ in numbers_at_the_hub(collector, targets):
            assert came[:2] in ([1, 2], [2, 3])  # a server may be slow at first
            assert 60 not in came
        collector.kill()


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of 24 MiB, in memory."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("damage", ["half", "zeros", "garbage", "empty"])
def test_a_damaged_file_of_the_queue_does_not_keep_it_from_starting(tmp_path: Path, damage: str) -> None:
    with (
        running_targets(Targets(4, 10_000)) as targets,
        site_collector(PROGRAM, tmp_path, targets, interval="50ms") as collector,
    ):
        collector.start()
        wait_until(lambda: (collector.metric("otelcol_exporter_queue_size") or 0) > 200_000, "a backlog")
        collector.kill()
        (file,) = collector.queue.iterdir()
        assert file.name == "exporter_otlp_http__metrics"
        data = file.read_bytes()
        damaged = {
            "half": data[: len(data) // 2],
            "zeros": data[:16_384] + bytes(len(data) - 16_384),
            "garbage": b"\xa5" * len(data),
            "empty": b"",
        }[damage]
        file.write_bytes(damaged)
        collector.hub.start()
        collector.start()
        wait_until(lambda: collector.has_ended or len(collector.hub.requests) > 20, "new scrapes at the hub")
        assert not collector.has_ended, collector.log[-2000:]
        assert (f"{file} is damaged; it is now {file}.damaged" in collector.log) == (damage != "empty")


@pytest.mark.parametrize("status", [503, 429, 502])
def test_a_hub_that_is_busy_gets_everything_later(tmp_path: Path, status: int) -> None:
    with (
        running_targets(Targets(2, 20)) as targets,
        site_collector(PROGRAM, tmp_path, targets, interval="50ms") as collector,
    ):
        collector.hub.answer = lambda: status if len(collector.hub.statuses) < 5 else 200
        collector.hub.start()
        collector.start()
        wait_until(lambda: targets.are_finished, "all scrapes")
        collector.wait_until_all_is_sent()
        for _, came, failed in numbers_at_the_hub(collector, targets):
            assert len(set(range(1, 21)) - set(came)) <= failed


def test_a_hub_that_refuses_the_certificate_gets_everything_later(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_certificates(tmp_path / "other")
    with (
        running_targets(Targets(2, 20)) as targets,
        site_collector(PROGRAM, tmp_path, targets, interval="50ms") as collector,
    ):
        collector.hub.trusted = tmp_path / "other/client/ca.crt"
        collector.hub.start()
        collector.start()
        wait_until(lambda: targets.are_finished, "all scrapes")
        assert collector.hub.requests == []
        collector.hub.stop()
        collector.hub.trusted = None
        collector.hub.start()
        collector.wait_until_all_is_sent()
        for _, came, failed in numbers_at_the_hub(collector, targets):
            assert len(set(range(1, 21)) - set(came)) <= failed


def test_a_hub_that_answers_401_gets_nothing_of_it_which_is_why_there_is_no_token(tmp_path: Path) -> None:
    with (
        running_targets(Targets(2, 20)) as targets,
        site_collector(PROGRAM, tmp_path, targets, interval="50ms") as collector,
    ):
        collector.hub.answer = lambda: 200 if targets.are_finished else 401
        collector.hub.start()
        collector.start()
        wait_until(lambda: targets.are_finished, "all scrapes")
        collector.wait_until_all_is_sent()
        assert "401" in collector.log
        assert all(len(came) < 20 for _, came, _ in numbers_at_the_hub(collector, targets))
        assert (collector.metric("otelcol_exporter_send_failed_metric_points") or 0) > 0


def test_everything_has_site_and_ring_and_the_collector_reports_its_queue(tmp_path: Path) -> None:
    with (
        running_targets(Targets(1, 1000)) as targets,
        site_collector(
            PROGRAM, tmp_path, targets, interval="200ms", settings=replace(SETTINGS, site="007")
        ) as collector,
    ):
        collector.hub.start()
        collector.start()
        for name in ("otelcol_exporter_queue_capacity", "scrapes_total"):
            wait_until(lambda name=name: bool(collector.hub.points(name)), name)  # type: ignore[misc]
        points = [point for request in collector.hub.requests for point in request]
    for point in points:
        assert {"site": "007", "ring": "canary"}.items() <= point.attributes.items(), point
        assert {"site": "007", "ring": "canary"}.items() <= point.resource.items(), point
    assert {each.resource["service.name"] for each in points} == {"kfp-edge", "kfp-edge-collector"}
    names = {each.name for each in points}
    assert {"scrapes_total", "up", "otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity"} <= names


@pytest.mark.parametrize(
    ("samples", "arrives"), [("h_count 4\n", True), ("h_count 4\nh_sum 9\n", True), ("h_sum 9\n", False), ("", False)]
)
def test_a_histogram_needs_a_count_and_no_sum(tmp_path: Path, samples: str, arrives: bool) -> None:
    page = f'# TYPE h histogram\nh_bucket{{le="1.0"}} 3\nh_bucket{{le="+Inf"}} 4\n{samples}'
    with (
        running_targets(Targets(1, 1000, page=page)) as targets,
        site_collector(PROGRAM, tmp_path, targets, interval="200ms") as collector,
    ):
        collector.hub.start()
        collector.start()
        wait_until(lambda: len(collector.hub.points("scrapes_total")) > 2, "some scrapes")
        assert bool(collector.hub.points("h")) == arrives
