"""Schedules that start runs, are changed, paused, resumed and deleted while these runs go on."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from kfp_server_api import V2beta1Run

from support.live_cluster.commands import Completed, KfpEdge
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.settings import RUN_SECONDS, STAGE_SECONDS
from support.live_cluster.small_pipelines import SmallPipelines

CHANGED, PAUSED = "kfp-edge-test-changed", "kfp-edge-test-paused"
#: Seconds between two runs of a schedule, and those that its stage takes.
INTERVAL, LENGTH = 60, 100
#: So long that no second run starts while the tests look.
RARE = 86400
_POLL_SECONDS = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedules:
    """Calls of `kfp-edge schedule`, and the runs that schedules have started."""

    live: LiveCluster
    kfp_edge: KfpEdge
    pipeline: str

    def add(self, name: str, every: int) -> Completed:
        options = ["--every", str(every), "-p", f"seconds={LENGTH}", "--experiment", self.live.experiment, "--no-cache"]
        return self("add", name, self.pipeline, *options)

    def __call__(self, *arguments: str) -> Completed:
        return self.kfp_edge("schedule", *arguments)

    def ids(self, name: str) -> list[str]:
        """Return the ids of all recurring runs of a name, the oldest first."""
        service = self.live.api.recurring_runs
        page = self.live.api.call(
            "list the schedules",
            service.recurring_run_service_list_recurring_runs,
            page_size=100,
            sort_by="created_at",
        )
        return [each.recurring_run_id for each in page.recurring_runs or () if each.display_name == name]

    def runs(self, schedule_id: str) -> list[V2beta1Run]:
        """Return the runs that a recurring run has started."""
        predicate = {"operation": "EQUALS", "key": "recurring_run_id", "stringValue": schedule_id}
        page = self.live.api.call(
            "list the runs",
            self.live.api.runs.run_service_list_runs,
            page_size=100,
            filter=json.dumps({"predicates": [predicate]}),
        )
        return page.runs or []

    def wait_for_run(self, schedule_id: str) -> str:
        """Wait until a recurring run has started a run that executes, and return its id."""
        deadline = time.monotonic() + self.live.settings.seconds(INTERVAL + STAGE_SECONDS)
        while time.monotonic() < deadline:
            for run in self.runs(schedule_id):
                if run.state == "RUNNING" and self.live.workflow(run.run_id) is not None:
                    logger.info("the schedule has started the run %s", run.run_id)
                    return str(run.run_id)
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"the schedule {schedule_id} has started no run")

    def wait_for_end(self, run_id: str) -> Completed:
        """Follow a run to its end."""
        return self.kfp_edge("runs", run_id, "--wait", seconds=self.live.settings.seconds(RUN_SECONDS))

    def remove(self, name: str) -> None:
        """Delete all schedules of a name."""
        if self.ids(name):
            self("delete", name, "--force")


@pytest.fixture(scope="module")
def schedules(live: LiveCluster, kfp_edge: KfpEdge, small: SmallPipelines) -> Iterator[Schedules]:
    calls = Schedules(live, kfp_edge, str(small.sleeping("scheduled")))
    for name in (CHANGED, PAUSED):  # of an earlier session that was interrupted
        calls.remove(name)
    yield calls
    for name in (CHANGED, PAUSED):
        calls.remove(name)


@pytest.fixture(scope="module")
def paused(schedules: Schedules) -> float:
    """A schedule that was paused at once, and since when."""
    assert schedules.add(PAUSED, INTERVAL).code == 0
    assert schedules("pause", PAUSED).code == 0
    return time.monotonic()


@pytest.fixture(scope="module")
def started(schedules: Schedules, paused: float) -> str:
    """The id of the run that the schedule `CHANGED` has started."""
    added = schedules.add(CHANGED, INTERVAL)
    assert added.code == 0, added.output
    return schedules.wait_for_run(schedules.ids(CHANGED)[0])


@pytest.fixture(scope="module")
def changed(schedules: Schedules, started: str) -> Completed:
    """The answer to a change of that schedule while its run goes on."""
    return schedules.add(CHANGED, RARE)


@pytest.fixture(scope="module")
def resumed(live: LiveCluster, schedules: Schedules, paused: float) -> Completed:
    """The answer to the end of the pause, after a time was missed."""
    time.sleep(max(0.0, paused + INTERVAL + 5 - time.monotonic()))
    return schedules("resume", PAUSED)


@pytest.fixture(scope="module")
def started_late(schedules: Schedules, resumed: Completed) -> str:
    """The id of the run that starts then."""
    return schedules.wait_for_run(schedules.ids(PAUSED)[0])


@pytest.fixture(scope="module")
def refused(schedules: Schedules, started_late: str) -> Completed:
    """The answer to a deletion while a run goes on."""
    return schedules("delete", PAUSED)


@pytest.fixture(scope="module")
def forced(schedules: Schedules, refused: Completed) -> Completed:
    """The answer to a deletion by force."""
    return schedules("delete", PAUSED, "--force")


def test_a_schedule_starts_runs(schedules: Schedules, started: str) -> None:
    assert started


def test_a_change_says_which_run_goes_on(changed: Completed, started: str) -> None:
    assert changed.code == 0, changed.output
    assert f"is paused until its runs have ended: {started}" in changed.output


def test_a_paused_schedule_starts_no_run(schedules: Schedules, paused: float, changed: Completed) -> None:
    assert schedules.runs(schedules.ids(PAUSED)[0]) == []


def test_resume_says_that_a_time_was_missed_and_a_run_starts(resumed: Completed) -> None:
    assert resumed.code == 0, resumed.output
    assert "times were missed since" in resumed.output
    assert "a run starts now" in resumed.output


def test_the_run_that_was_missed_starts(started_late: str) -> None:
    assert started_late


def test_delete_refuses_while_a_run_goes_on(schedules: Schedules, refused: Completed, started_late: str) -> None:
    assert refused.code == 1
    assert "is paused, but not deleted" in refused.output
    assert started_late in refused.output
    assert f"{PAUSED}: every {INTERVAL} s, at most 1 at a time (paused)" in schedules("list").output


def test_delete_by_force_names_the_runs(schedules: Schedules, forced: Completed, started_late: str) -> None:
    assert forced.code == 0, forced.output
    assert started_late in forced.output
    assert schedules.ids(PAUSED) == []


@pytest.mark.usefixtures("forced")
def test_a_run_survives_the_deletion_of_its_schedule(
    live: LiveCluster, schedules: Schedules, started_late: str
) -> None:
    """From KFP 2.16 on, which orphans the Workflow (`propagation_policy`)."""
    ended = schedules.wait_for_end(started_late)
    assert ended.code == 0, ended.output


def test_a_run_survives_the_change_of_its_schedule(schedules: Schedules, changed: Completed, started: str) -> None:
    ended = schedules.wait_for_end(started)
    assert ended.code == 0, ended.output


@pytest.mark.usefixtures("changed")
def test_the_next_add_deletes_what_was_replaced(schedules: Schedules, started: str) -> None:
    schedules.wait_for_end(started)
    assert len(schedules.ids(CHANGED)) == 2
    assert schedules.add(CHANGED, RARE).code == 0
    assert len(schedules.ids(CHANGED)) == 1
