"""The same outage without an OpenTelemetry Collector: vmagent and VictoriaMetrics of the distribution.

These are programs that every machine has, so that `make test` shows store and forward anywhere; the collector itself is
in `test_outage.py`.
"""

import shutil
from pathlib import Path

import pytest

from support.site_collectors import Targets, running_targets, wait_until
from support.victoria_metrics import exported, site_and_hub

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("vmagent") and shutil.which("victoria-metrics")),
        reason="vmagent is not installed (package victoria-metrics)",
    ),
]

#: 4,320 scrapes, as one server has in 72 h, every 60 s.
TARGETS, SCRAPES = 360, 12


def test_a_backlog_of_72_hours_arrives_in_order_though_the_agent_was_restarted(tmp_path: Path) -> None:
    with running_targets(Targets(TARGETS, SCRAPES)) as targets, site_and_hub(tmp_path, targets, "1s") as (site, hub):
        site.start()
        wait_until(lambda: sum(targets.served.values()) > TARGETS * SCRAPES / 2, "half of the outage")
        site.end(killed=False)
        stopped = dict(targets.served)
        site.start()
        wait_until(lambda: targets.are_finished, "the whole outage")
        hub.start()
        wait_until(lambda: site.metric("vmagent_remotewrite_pending_data_bytes") == 0, "an empty queue")
        values, ups = exported(hub, "scrapes_total"), exported(hub, "up")
    assert len(values) == TARGETS
    for number in range(TARGETS):
        numbers = [int(value) for value in values[f"t{number}"]]
        assert numbers == sorted(set(numbers))
        missing = set(range(1, SCRAPES + 1)) - set(numbers)
        # a scrape that failed, as its `up` says, and one that was answered when the agent ended
        failed = ups[f"t{number}"].count(0)
        assert len(missing - {stopped.get(f"/{number}")}) <= failed, (missing, failed)
