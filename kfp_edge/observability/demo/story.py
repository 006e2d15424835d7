"""What happens in the demo: a model is trained and served, its sites get rows, one of them others than in training."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kfp_edge import local
from kfp_edge.drift.result import DriftResult
from kfp_edge.errors import MetricsError
from kfp_edge.fleet.simulation.containers import free_ports
from kfp_edge.observability.demo.alerts import AlertLog, FiringAlert, read_alerts
from kfp_edge.observability.demo.collectors import CollectorPath
from kfp_edge.observability.demo.compression import Compression
from kfp_edge.observability.demo.hub import running_prometheus
from kfp_edge.observability.demo.press import DRIFTED, MODEL
from kfp_edge.observability.demo.processes import wait_for
from kfp_edge.observability.demo.retraining import retrain, train
from kfp_edge.observability.demo.sites import DemoSite, describe_fleet
from kfp_edge.observability.demo.timeline import Timeline, read_timeline
from kfp_edge.prometheus import Prometheus

_SCRAPED_EVERY = 1.0
_OFFLINE_AFTER = "20s"
_FIRST_SCRAPE_SECONDS = 60.0
_SETTLED_SECONDS = 10.0
#: Sites with their rings: the second gets other rows, the server of the third is stopped.
SITES = (("hall-1", "canary"), ("hall-2", "all"), ("hall-3", "all"))


@dataclass(frozen=True)
class Plan:
    """How long each part lasts, in seconds; the drift lasts for more than a compressed day.

    Attributes:
        usual: With rows like those of training.
        drift: With other rows at one site.
        stop_after: From the beginning of the drift until a server is stopped.
        retrains: Whether the model is delivered at first, and retrained after the drift.
    """

    usual: float = 35
    drift: float = 40
    stop_after: float = 15
    retrains: bool = False


@dataclass(frozen=True)
class Outcome:
    """What happened.

    Attributes:
        sites: The sites as they are at the end.
        timeline: What Prometheus has.
        alerts: Every alert that fired, with its last text.
        decided: The result of the pipeline `drift`.
        drift_report: The report of that run.
        retrained: The run of the pipeline `retraining`, if it was asked for.
    """

    sites: Sequence[DemoSite]
    timeline: Timeline
    alerts: Sequence[FiringAlert]
    decided: DriftResult
    drift_report: Path
    retrained: local.LocalRun | None = None


def play(
    plan: Plan, compression: Compression, collector: Path | None, folder: Path, report: Callable[[str], None]
) -> Outcome:
    """Play the story; all processes have ended at its end.

    Args:
        plan: How long each part lasts.
        compression: How the rules are compressed.
        collector: The OpenTelemetry Collector; without one, Prometheus scrapes the servers itself.
        folder: Where all files go.
        report: Gets a line for each step and each alert.

    Raises:
        CommandError: a program is missing, or does not start.
        RunFailedError: the training or the decision failed.
        MetricsError: nothing arrives at Prometheus.
    """
    bundle = train(folder, report, delivers=plan.retrains)
    ports = free_ports(len(SITES))
    sites = [DemoSite(name, ring, port) for (name, ring), port in zip(SITES, ports, strict=True)]
    with ExitStack() as stack:
        report(f"starts the server of {', '.join(site.name for site in sites)}")
        for site in sites:
            stack.enter_context(site.serving(bundle, folder / "sites" / site.name))
        for site in sites:
            site.wait_until_ready()
        url = stack.enter_context(_running_hub(sites, compression, collector, folder, report))
        for number, site in enumerate(sites):
            stack.enter_context(site.loaded(seed=number))
        return _observe(plan, compression, sites, url, folder, report)


@contextmanager
def _running_hub(
    sites: list[DemoSite],
    compression: Compression,
    collector: Path | None,
    folder: Path,
    report: Callable[[str], None],
) -> Iterator[str]:
    fleet = describe_fleet(sites, _OFFLINE_AFTER)
    scraped = [] if collector else sites
    with ExitStack() as stack:
        running = running_prometheus(folder / "prometheus", fleet, compression, _SCRAPED_EVERY, scraped)
        url = stack.enter_context(running)
        report(f"started Prometheus at {url} with the rules of the hub")
        if collector:
            path = CollectorPath(collector, folder / "collectors", _SCRAPED_EVERY)
            stack.enter_context(path.running(sites, url))
            report(f"started the collectors of {len(sites)} sites and of the hub ({collector})")
        else:
            report("there is no OpenTelemetry Collector here: Prometheus scrapes the servers itself")
        yield url


def _observe(
    plan: Plan,
    compression: Compression,
    sites: list[DemoSite],
    url: str,
    folder: Path,
    report: Callable[[str], None],
) -> Outcome:
    _, drifted, stopped = sites
    prometheus = Prometheus(url, "the demo")
    _wait_for_samples(prometheus, len(sites))
    # before its first scrapes, Prometheus misses what the rules ask for
    wait_for(lambda: not read_alerts(url), _SETTLED_SECONDS)
    alerts = AlertLog(url, report)
    start = datetime.now(UTC)
    report("all sites get rows like those of training")
    _watch(plan.usual, alerts)
    drift_at = datetime.now(UTC)
    drifted.is_drifted = True
    report(f"{drifted.name} begins to make a product that needs more {DRIFTED}")
    _watch(plan.stop_after, alerts)
    stop_at = datetime.now(UTC)
    stopped.stop()
    report(f"the server of {stopped.name} stops")
    _watch(plan.drift - plan.stop_after, alerts)
    report("asks the pipeline drift for a decision")
    parameters = {
        "model_name": MODEL,
        "prometheus": url,
        "drift_window": f"{compression.day:g}s",
        "season": "",
    }
    run = local.run("drift", parameters, out=folder / "drift")
    alerts.update()
    timeline = read_timeline(prometheus, start, drift_at, stop_at, datetime.now(UTC))
    return Outcome(
        sites,
        timeline,
        tuple(alerts.seen.values()),
        DriftResult.load(run.artifact("drift", "result")),
        Path(run.summary["reports"]["drift"]),
        retrain(folder, parameters, report) if plan.retrains else None,
    )


def _wait_for_samples(prometheus: Prometheus, count: int) -> None:
    def is_seen() -> bool:
        return len(prometheus.query(f'kfp_edge_model_info{{model="{MODEL}"}}', datetime.now(UTC))) == count

    if not wait_for(is_seen, _FIRST_SCRAPE_SECONDS):
        raise MetricsError(f"after {_FIRST_SCRAPE_SECONDS:g} s, Prometheus does not have the metrics of all sites.")


def _watch(seconds: float, alerts: AlertLog) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        alerts.update()
        time.sleep(min(1.0, left))
