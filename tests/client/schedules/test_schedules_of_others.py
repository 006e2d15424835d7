"""Schedules that others have made, of every form that a KFP server takes, neither break ours nor are changed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kfp_edge.client import Client, Schedule
from kfp_edge.errors import KfpEdgeError
from support.clients import client_of, small
from support.fake_kfp import FakeKfp
from support.paths import ROOT

RECORDED = json.loads((ROOT / "tests/support/recorded/recurring_runs.json").read_text("utf-8"))

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


@pytest.fixture(params=["DISABLE", "ENABLE"])
def mode(request: pytest.FixtureRequest) -> str:
    """Whether the schedules of others are paused."""
    return str(request.param)


@pytest.fixture
def client(server: FakeKfp, mode: str) -> Client:
    now = datetime.now(UTC).isoformat()
    server.store.recurring_runs |= {
        each["recurring_run_id"]: {**each, "mode": mode, "created_at": now} for each in RECORDED
    }
    return client_of(server)


def add_nightly(client: Client, **options: Any) -> Schedule:
    return client.schedule("nightly", small, {"rows": 3}, **({"cron": "0 30 2 * * *"} | options))


def of_name(client: Client, name: str) -> Schedule:
    (schedule,) = [each for each in client.schedules() if each.name == name]
    return schedule


def test_all_are_listed_beside_ours(client: Client) -> None:
    add_nightly(client)
    names = [each["display_name"] for each in RECORDED]
    assert [each.name for each in client.schedules()] == sorted(["nightly", *names])


@pytest.mark.parametrize(
    ("name", "cron", "every"),
    [
        ("t-s1", "*/30 * * * * *", 0),
        ("t-s2", "", 45),
        ("t-r-daily", "@daily", 0),
        ("t-r-every", "@every 1h", 0),
        ("t-r-notrigger", "", 0),
        ("t-r-noversion", "0 0 3 * * *", 0),
    ],
)
def test_each_is_listed_as_it_is(client: Client, mode: str, name: str, cron: str, every: int) -> None:
    schedule = of_name(client, name)
    assert (schedule.cron, schedule.every, schedule.enabled) == (cron, every, mode == "ENABLE")
    assert len(schedule.next_times) == (3 if mode == "ENABLE" and (cron or every) else 0)


@pytest.fixture
def theirs(server: FakeKfp, client: Client) -> dict[str, Any]:
    """A schedule of somebody else, which runs: the server's object, to be changed."""
    recurring_run = {**RECORDED[0], "recurring_run_id": "theirs", "display_name": "theirs", "mode": "ENABLE"}
    server.store.recurring_runs["theirs"] = recurring_run
    return recurring_run


def test_five_fields_are_read_as_the_server_reads_them(client: Client, theirs: dict[str, Any]) -> None:
    theirs["trigger"] = {"cron_schedule": {"cron": "30 2 * * *"}}  # meant: at 02:30
    first, second, _ = of_name(client, "theirs").next_times
    assert (first.minute, first.second, second - first) == (2, 30, timedelta(hours=1))


@pytest.mark.parametrize("kind", ["cron_schedule", "periodic_schedule"])
def test_the_next_times_are_after_the_start_and_before_the_end(
    client: Client, theirs: dict[str, Any], kind: str
) -> None:
    start = (datetime.now(UTC) + timedelta(days=30)).replace(hour=12, minute=0, second=0, microsecond=0)
    theirs["trigger"] = {
        kind: {
            "start_time": start.isoformat(),
            "end_time": (start + timedelta(days=2)).isoformat(),
            **({"cron": "0 0 12 * * *"} if kind == "cron_schedule" else {"interval_second": "86400"}),
        }
    }
    schedule = of_name(client, "theirs")
    assert schedule.next_times == (start + timedelta(days=1), start + timedelta(days=2))
    assert (schedule.start, schedule.end) == (start, start + timedelta(days=2))


def test_one_that_has_ended_has_no_more_times(client: Client, theirs: dict[str, Any]) -> None:
    theirs["trigger"] = {"cron_schedule": {"cron": "0 0 3 * * *", "end_time": "2020-01-01T00:00:00Z"}}
    assert of_name(client, "theirs").next_times == ()


def test_an_interval_of_many_years_is_listed(client: Client, theirs: dict[str, Any]) -> None:
    theirs["trigger"] = {"periodic_schedule": {"interval_second": "99999999999"}}
    assert [moment.year > 5000 for moment in of_name(client, "theirs").next_times] == [True, True]


@pytest.mark.parametrize("cron", ["TZ=UTC 0 0 3 * * *", "0 0 3 L * *"])
def test_one_that_cannot_be_read_is_listed_with_the_reason(client: Client, theirs: dict[str, Any], cron: str) -> None:
    theirs["trigger"] = {"cron_schedule": {"cron": cron}}
    schedule = of_name(client, "theirs")
    assert (schedule.cron, schedule.next_times) == (cron, ())
    assert "the cron expression" in schedule.error


def test_one_that_the_server_cannot_read_is_listed_with_its_message(client: Client, theirs: dict[str, Any]) -> None:
    message = "Failed to convert recurring run's internal representation to its API counterpart"
    theirs.clear()
    theirs.update(recurring_run_id="theirs", error={"code": 13, "message": message}, created_at="2026-11-29T00:08:29Z")
    assert of_name(client, "theirs").error == message


def test_several_of_one_name_are_paused_and_resumed_together(client: Client) -> None:
    client.pause("t-r-dup")
    assert [each.enabled for each in client.schedules() if each.name == "t-r-dup"] == [False, False]
    assert [each.enabled for each in client.resume("t-r-dup")] == [True, True]


def test_one_of_several_is_given_by_its_id(client: Client) -> None:
    first, second = [each for each in client.schedules() if each.name == "t-r-dup"]
    client.unschedule(first.id)
    assert [each.id for each in client.schedules() if each.name == "t-r-dup"] == [second.id]


def test_an_unknown_name_is_reported_with_all_names(client: Client) -> None:
    with pytest.raises(KfpEdgeError, match="there is no schedule 'weekly'; the schedules are: t-r-daily, "):
        client.pause("weekly")
