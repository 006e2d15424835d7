"""A hub whose sites have the metrics of a real server, of a sensor feed and of a collector."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kfp_edge.ml.bundle import ModelIdentity
from kfp_edge.ml.dataset import Dataset
from kfp_edge.observability.hub.rules.rule_files import RULE_FILE, render_rules
from kfp_edge.observability.hub.rules.settings import AlertSettings
from kfp_edge_serving.sensor_feed.metrics import FeedGauges, FeedMetrics
from kfp_edge_serving.sensor_feed.metrics import exposition as feed_exposition
from serving_support.server_process import PATIENT, running
from support.models import verify_model, write_model
from support.prometheus import prometheus_with_history
from support.server_history import Past, write_blocks
from support.tables import failures

OLD, NEW = "sha256:0123456789abcdef", "sha256:fedcba9876543210"
#: Names as `deploy/observability/site/collector.yaml` keeps them.
COLLECTOR = """otelcol_exporter_queue_size{exporter="otlp_http"} 40065
otelcol_exporter_queue_capacity{exporter="otlp_http"} 1000000
otelcol_process_memory_rss 89000000
"""
#: One of each state, and one in another ring.
SITES = {"well": "canary", "drifted": "canary", "old": "broad", "new": "broad", "quiet": "broad"}


@dataclass(frozen=True)
class _Exposed:
    """What is exposed before the first request, and after some."""

    before: str
    well: str
    drifted: str


@dataclass(frozen=True)
class Hub:
    """A Prometheus with the rules of the hub."""

    url: str
    #: All metrics that a server, a feed, a collector or the repository of a fleet exposes, as text.
    exposition: str


def write_eager_rules(file: Path) -> None:
    """Write the rules of the hub, evaluated every second, with alerts that fire at once."""
    document = yaml.safe_load(render_rules(AlertSettings())[RULE_FILE])
    for group in document["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule.pop("for", None)
    file.write_text(yaml.safe_dump(document))


def rows_of(data: Dataset) -> list[dict[str, Any]]:
    frame = data.frame[list(data.roles.features)].astype(object)
    records: list[dict[str, Any]] = frame.where(frame.notna(), None).to_dict(orient="records")
    return records


def _serve(folder: Path) -> _Exposed:
    """Return what a real server exposes."""
    data = failures(2000)
    trained = write_model(folder, data)
    bundle = verify_model(trained, data, failures(1000, seed=1), ModelIdentity("pump", "1", "abc"))
    texts = []
    hot = failures(1000, seed=3)
    hot.frame["torque [Nm]"] += 3 * np.nanstd(hot.frame["torque [Nm]"])
    for seen in (rows_of(failures(1000, seed=2)), rows_of(hot)):
        with running(bundle.folder, *PATIENT, KFP_EDGE_IMAGE_DIGEST=NEW) as server:
            texts.append(str(server.get("/metrics")[1]))
            for start in range(0, 1000, 10):
                server.infer("pump", {"rows": seen[start : start + 10]})
            texts.append(str(server.get("/metrics")[1]))
    return _Exposed(texts[0], texts[1], texts[3])


def _fleet_exposition(now: float) -> str:
    """Return what `kfp-edge fleet metrics` exposes of the sites."""
    return f"kfp_edge_fleet_read_timestamp_seconds {now}\n" + "".join(
        f'kfp_edge_fleet_site_offline_after_seconds{{site="{site}",ring="{ring}"}} 3600\n'
        f'kfp_edge_fleet_site_may_change{{site="{site}",ring="{ring}"}} 1\n'
        f'kfp_edge_fleet_wanted_info{{site="{site}",ring="{ring}",model="pump",image_digest="{NEW}"}} 1\n'
        f'kfp_edge_fleet_wanted_since_timestamp_seconds{{site="{site}",ring="{ring}",model="pump"}} {now - 7200}\n'
        for site, ring in SITES.items()
    )


@contextmanager
def running_hub(folder: Path) -> Iterator[Hub]:
    """Run the hub, whose rules are evaluated every second and fire at once."""
    exposed, now = _serve(folder / "trained"), time.time()
    gauges = FeedGauges(True, True, 1, 1024, 1048576, 0, 0, None)
    feed = feed_exposition(FeedMetrics(), gauges).decode()
    fleet = _fleet_exposition(now)

    def past(site: str, after: str, job: str = "kfp-edge", **times: Any) -> Past:
        labels = {"site": site, "ring": SITES[site], "job": job, "instance": f"{job}-1:8080"}
        return Past(labels, exposed.before if job == "kfp-edge" else after, after, more={"up": 1}, **times)

    write_blocks(
        folder,
        [
            past("well", exposed.well),
            past("drifted", exposed.drifted),
            past("drifted", feed, "kfp-edge-feed"),
            past("drifted", COLLECTOR, "kfp-edge-collector"),
            past("old", exposed.well.replace(NEW, OLD)),
            # asked nothing, so that there is nothing to take a share of
            past("quiet", exposed.before),
            Past({"job": "fleet"}, fleet, fleet),
        ],
        now,
    )
    write_eager_rules(folder / "rules.yaml")
    with prometheus_with_history(folder, rules=folder / "rules.yaml") as url:
        yield Hub(url, exposed.well + feed + COLLECTOR + fleet)
