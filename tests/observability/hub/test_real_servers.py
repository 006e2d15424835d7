"""The alerts of a real Prometheus over the metrics of a real server, at sites each of which has another fault.

The rules are those of the hub, without `for`, which promtool waits for in test_alerts.py.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from kfp_edge.ml.bundle import ModelIdentity
from kfp_edge.observability.hub.rules.rule_files import all_groups
from kfp_edge.observability.hub.rules.settings import AlertSettings
from kfp_edge_serving.sensor_feed.metrics import FeedGauges, FeedMetrics
from kfp_edge_serving.sensor_feed.metrics import exposition as feed_exposition
from serving_support.server_process import PATIENT, Server, running
from support.hub_of_sites import rows_of, write_eager_rules
from support.models import verify_model, write_model
from support.prometheus import prometheus_with_history
from support.server_history import Past, write_blocks
from support.tables import failures

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real servers of the hub")]

OLD, NEW = "sha256:old", "sha256:new"
EXPECTED = {
    "well": set(),
    "drifted": {"KfpEdgeInputDrift(torque [Nm])", "KfpEdgeOutputDrift(class)", "KfpEdgeOutputDrift(probability)"},
    "failing": {"KfpEdgeErrorBudgetBurn"},
    "slow": {"KfpEdgeLatencyBudgetBurn"},
    "rejecting": {"KfpEdgeRequestsRejected"},
    "not-ready": {"KfpEdgeModelNotReady"},
    "old": {"KfpEdgeWrongDigest"},
    "stopped": {"KfpEdgeServerUnreachable", "KfpEdgeModelMissing"},
    "offline": {"KfpEdgeSiteUnseen"},
    "new": {"KfpEdgeSiteNeverSeen"},
    "unknown": {"KfpEdgeSiteUnknown"},
}


def scrape(server: Server) -> str:
    text: str = server.get("/metrics")[1]
    return text


def with_value(exposition: str, series: str, value: float) -> str:
    """Return an exposition in which the series that begin with a text have another value."""
    changed, count = re.subn(rf"^({series}.*) \S+$", rf"\g<1> {value}", exposition, flags=re.MULTILINE)
    assert count
    return changed


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a real server exposes: before its first request, and after such as at each site."""
    data = failures(2000)
    folder = write_model(tmp_path_factory.mktemp("trained"), data)
    bundle = verify_model(folder, data, failures(1000, seed=1), ModelIdentity("pump", "1", "abc"))
    texts = {}

    def serve(site: str, requests_: list[Any]) -> None:
        with running(bundle.folder, *PATIENT, KFP_EDGE_IMAGE_DIGEST=NEW) as server:
            texts.setdefault("before", scrape(server))
            for request in requests_:
                server.infer("pump", request)
            texts[site] = scrape(server)

    seen = rows_of(failures(1000, seed=2))
    serve("well", [{"rows": seen[start : start + 10]} for start in range(0, 1000, 10)])
    hot = failures(1000, seed=3)
    hot.frame["torque [Nm]"] += 3 * np.nanstd(hot.frame["torque [Nm]"])
    serve("drifted", [{"rows": rows_of(hot)}])
    serve("rejecting", [{"rows": seen[:1]}, *[{"rows": [{"torque [Nm]": "high"}]}] * 30])
    return texts


@pytest.fixture(scope="module")
def alerts(exposed: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The alerts that fire, by site."""
    folder, now = tmp_path_factory.mktemp("hub"), time.time()
    before, well = exposed["before"], exposed["well"]
    of_day = {"hours": (24, 0), "step": 10}

    def past(site: str, after: str, **times: Any) -> Past:
        labels = {"site": site, "ring": "all", "job": "kfp-edge", "instance": "pod-1:8080"}
        return Past(labels, before, after, more={"up": 1}, **times)

    down = {"site": "stopped", "ring": "all", "job": "kfp-edge", "instance": "pod-1:8080"}
    fleet = "".join(
        f'kfp_edge_fleet_site_offline_after_seconds{{site="{site}",ring="all"}} 3600\n'
        f'kfp_edge_fleet_site_may_change{{site="{site}",ring="all"}} 1\n'
        f'kfp_edge_fleet_wanted_info{{site="{site}",ring="all",model="pump",image_digest="{NEW}"}} 1\n'
        for site in EXPECTED
        if site != "unknown"
    )
    read = f"kfp_edge_fleet_read_timestamp_seconds {now}\n"
    seen = f'site:kfp_edge_seen_timestamp_seconds:max{{site="offline"}} {now - 7200}\n'
    failed = with_value(well, r'kfp_edge_requests_total\{[^}]*protocol="rest",code="500"', 50)
    write_blocks(
        folder,
        [
            past("well", well, **of_day),
            past("drifted", exposed["drifted"], **of_day),
            past("failing", failed),
            past("slow", with_value(well, r'kfp_edge_request_duration_seconds_bucket\{[^}]*le="[0-9.]+"', 0)),
            past("rejecting", exposed["rejecting"], hours=(0.5, 0)),
            past("not-ready", with_value(well, "kfp_edge_ready", 0), hours=(0.2, 0)),
            past("old", well.replace(NEW, OLD)),
            past("offline", well, hours=(4, 2)),
            past("unknown", well),
            Past(down, "", "", more={"up": 0}),
            Past({"job": "fleet"}, "", fleet + read),
            Past({}, "", seen),
        ],
        now,
    )
    write_eager_rules(folder / "rules.yaml")
    with prometheus_with_history(folder, rules=folder / "rules.yaml") as url:
        yield wait_for_alerts(url)


def wait_for_alerts(url: str) -> dict[str, set[str]]:
    """Return the alerts by site, once they have been the same for some evaluations."""
    deadline, seen, unchanged = time.monotonic() + 120, {}, 0
    while time.monotonic() < deadline and unchanged < 4:
        answer = requests.get(f"{url}/api/v1/alerts", timeout=30).json()
        firing: dict[str, set[str]] = defaultdict(set)
        for alert in answer["data"]["alerts"]:
            labels = alert["labels"]
            of = labels.get("feature") or labels.get("output")
            firing[labels.get("site", "")].add(labels["alertname"] + (f"({of})" if of else ""))
        unchanged = unchanged + 1 if firing == seen and firing else 0
        seen = firing
        time.sleep(2)
    return dict(seen)


@pytest.mark.parametrize("site", EXPECTED)
def test_a_site_has_the_alerts_of_its_fault_and_no_others(alerts: dict[str, set[str]], site: str) -> None:
    assert alerts.get(site, set()) == EXPECTED[site]


def test_the_hub_has_no_alert_of_its_own(alerts: dict[str, set[str]]) -> None:
    assert alerts.get("", set()) == set()


def test_every_metric_of_the_rules_is_exposed_by_a_server_a_feed_or_the_fleet(exposed: dict[str, str]) -> None:
    rules = [rule for group in all_groups(AlertSettings()) for rule in group.rules]
    used = {name for rule in rules for name in re.findall(r"(?<![\w:])kfp_edge_\w+(?![\w:])", rule.expression)}
    feed = FeedGauges(True, True, 0, 0, 0, 0, 0, None)
    fleet = {"site_offline_after_seconds", "site_may_change", "wanted_info", "broken_files", "read_timestamp_seconds"}
    names = {f"kfp_edge_fleet_{name}" for name in fleet}
    for text in (exposed["well"], feed_exposition(FeedMetrics(), feed).decode()):
        names |= set(re.findall(r"^(kfp_edge_\w+)", text, re.MULTILINE))
    # of models that answer a number, of which there is a class here
    assert used - names <= {f"kfp_edge_output_value_{suffix}_bucket" for suffix in ("reference", "bin")}
    assert len(used) > 20
