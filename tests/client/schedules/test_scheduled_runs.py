"""A run that a schedule has started goes on, whatever becomes of the schedule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kfp_edge.client import Client, Schedule
from kfp_edge.errors import KfpApiError, UnfinishedRunsError
from support.clients import client_of, small
from support.fake_kfp import FakeKfp, recurring_runs
from support.fake_kubernetes import FakeKubernetes

RECURRING = "/apis/v2beta1/recurringruns"

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


@pytest.fixture(params=[True, False], ids=["KFP 2.16", "KFP before 2.16"])
def client(server: FakeKfp, request: pytest.FixtureRequest) -> Client:
    """A client of a server that can spare the runs of a schedule that is deleted, or cannot."""
    server.store.has_propagation_policy = request.param
    return client_of(server)


def add_nightly(client: Client, **options: Any) -> Schedule:
    return client.schedule("nightly", small, {"rows": 3}, **({"cron": "0 30 2 * * *"} | options))


@pytest.fixture
def nightly(client: Client) -> Schedule:
    """A schedule."""
    return add_nightly(client)


@pytest.fixture
def run_id(server: FakeKfp, nightly: Schedule) -> str:
    """The id of a run that the schedule has started, and that has not ended."""
    return str(recurring_runs.start_run(server.store, nightly.id)["run_id"])


def changes(server: FakeKfp) -> list[str]:
    """Return what was sent to change schedules, without the ids."""
    requests = [each for each in server.requests if each.path.startswith(RECURRING) and each.method != "GET"]
    return [f"{each.method} {each.path.rpartition(':')[2] if ':' in each.path else ''}".strip() for each in requests]


# --- a schedule is replaced


def test_a_run_goes_on_when_its_schedule_is_replaced(client: Client, run_id: str) -> None:
    add_nightly(client, concurrency=2)
    assert client.run(run_id).wait().state == "succeeded"


def test_the_old_schedule_stays_paused_while_its_run_has_not_ended(
    client: Client, nightly: Schedule, run_id: str
) -> None:
    replacement = add_nightly(client, concurrency=2)
    assert replacement.unfinished_runs == (run_id,)
    schedules = {each.id: (each.enabled, each.replaced) for each in client.schedules()}
    assert schedules == {nightly.id: (False, True), replacement.id: (True, False)}


def test_it_is_deleted_by_the_next_call_after_its_run_has_ended(client: Client, run_id: str) -> None:
    replacement = add_nightly(client, concurrency=2)
    client.run(run_id).wait()
    assert add_nightly(client, concurrency=2).unfinished_runs == ()
    assert [each.id for each in client.schedules()] == [replacement.id]


def test_going_back_to_the_first_timing_makes_a_third_schedule(client: Client, nightly: Schedule, run_id: str) -> None:
    second = add_nightly(client, concurrency=2)
    third = add_nightly(client)
    assert third.id not in (nightly.id, second.id)
    assert {each.id: each.replaced for each in client.schedules()} == {nightly.id: True, third.id: False}


def test_a_schedule_that_was_replaced_is_not_resumed(client: Client, nightly: Schedule, run_id: str) -> None:
    replacement = add_nightly(client, concurrency=2)
    client.pause("nightly")
    assert [each.id for each in client.resume("nightly")] == [replacement.id]
    assert {each.id: each.enabled for each in client.schedules()} == {nightly.id: False, replacement.id: True}


def test_no_time_starts_a_run_of_both(client: Client, server: FakeKfp, run_id: str) -> None:
    server.requests.clear()
    add_nightly(client, concurrency=2)
    assert changes(server) == ["POST", "POST disable", "POST enable"]
    assert {each["mode"] for each in server.store.recurring_runs.values()} == {"ENABLE", "DISABLE"}


def test_a_schedule_whose_replacement_is_refused_goes_on(client: Client, server: FakeKfp, nightly: Schedule) -> None:
    server.fail("POST", RECURRING, 400)
    with pytest.raises(KfpApiError, match="refuses to create the schedule"):
        add_nightly(client, concurrency=2)
    assert [(each.id, each.enabled) for each in client.schedules()] == [(nightly.id, True)]


def test_a_replacement_that_was_interrupted_is_completed_by_the_next_call(
    client: Client, server: FakeKfp, nightly: Schedule
) -> None:
    server.fail("POST", f"{RECURRING}/{nightly.id}", 400)
    with pytest.raises(KfpApiError, match="refuses to pause the schedule"):
        add_nightly(client, concurrency=2)
    replacement = add_nightly(client, concurrency=2)
    assert [(each.id, each.enabled) for each in client.schedules()] == [(replacement.id, True)]


@pytest.mark.usefixtures("nightly")
def test_a_schedule_is_there_once_when_the_response_to_its_creation_was_lost(client: Client, server: FakeKfp) -> None:
    server.drop_response("POST", RECURRING)
    replacement = add_nightly(client, concurrency=2)
    assert [(each.id, each.enabled) for each in client.schedules()] == [(replacement.id, True)]


# --- a schedule is deleted


def test_a_schedule_whose_run_has_not_ended_is_paused_instead_of_deleted(
    client: Client, nightly: Schedule, run_id: str
) -> None:
    with pytest.raises(UnfinishedRunsError, match=rf"is paused, but not deleted, .* not ended: {run_id}; ") as refused:
        client.unschedule("nightly")
    assert refused.value.runs == (run_id,)
    assert [(each.id, each.enabled) for each in client.schedules()] == [(nightly.id, False)]
    assert client.run(run_id).wait().state == "succeeded"
    assert client.unschedule("nightly") == ()
    assert client.schedules() == []


def test_a_schedule_is_deleted_together_with_those_that_it_has_replaced(client: Client, run_id: str) -> None:
    add_nightly(client, concurrency=2)
    client.run(run_id).wait()
    client.unschedule("nightly")
    assert client.schedules() == []


def test_a_forced_deletion_names_the_runs_that_had_not_ended(client: Client, server: FakeKfp, run_id: str) -> None:
    assert client.unschedule("nightly", force=True) == (run_id,)
    assert client.schedules() == []
    goes_on = run_id not in server.store.runs_without_workflow
    assert goes_on == server.store.has_propagation_policy


def test_a_lost_response_to_the_deletion_is_not_an_error(client: Client, server: FakeKfp, nightly: Schedule) -> None:
    server.drop_response("DELETE", RECURRING)
    client.unschedule("nightly")
    assert [each.status for each in server.requests if each.method == "DELETE"] == [0, 404]
    assert client.schedules() == []


def test_a_run_whose_workflow_is_gone_keeps_no_schedule(server: FakeKfp, cluster: FakeKubernetes) -> None:
    connected = Client.connect()
    run_id = recurring_runs.start_run(server.store, add_nightly(connected).id)["run_id"]
    with pytest.raises(UnfinishedRunsError):
        connected.unschedule("nightly")
    server.store.delete_workflow(run_id)
    connected.unschedule("nightly")
    assert connected.schedules() == []
    assert server.store.runs[run_id]["state"] == "PENDING"


# --- a schedule is resumed


def created_days_ago(server: FakeKfp, schedule: Schedule, days: int) -> datetime:
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)
    server.store.recurring_runs[schedule.id]["created_at"] = moment.isoformat()
    return moment


@pytest.mark.parametrize("options", [{}, {"cron": "", "every": 86400}, {"catch_up": True}])
def test_resuming_starts_a_run_at_once_when_a_time_was_missed(
    client: Client, server: FakeKfp, options: dict[str, Any]
) -> None:
    created = created_days_ago(server, add_nightly(client, **options), 3)
    client.pause("nightly")
    (resumed,) = client.resume("nightly")
    assert resumed.missed is not None
    assert created < resumed.missed <= created + timedelta(days=1)
    assert resumed.enabled
    assert len(server.store.runs) == 1


def test_no_run_starts_when_no_time_was_missed(client: Client, server: FakeKfp, nightly: Schedule) -> None:
    created_days_ago(server, nightly, 3)
    recurring_runs.start_run(server.store, nightly.id)  # now: none of the times before it was missed
    client.pause("nightly")
    (resumed,) = client.resume("nightly")
    assert resumed.missed is None
    assert len(server.store.runs) == 1


def test_resuming_what_is_not_paused_changes_nothing(client: Client, server: FakeKfp, nightly: Schedule) -> None:
    created_days_ago(server, nightly, 3)
    server.requests.clear()
    assert [each.missed for each in client.resume("nightly")] == [None]
    assert changes(server) == []
