"""The client manages the schedules of a KFP backend, one for each name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kfp_edge.client import Client, Schedule
from kfp_edge.errors import KfpApiError, KfpEdgeError
from support.clients import client_of, small
from support.fake_kfp import FakeKfp

RECURRING = "/apis/v2beta1/recurringruns"
NIGHTLY = "0 30 2 * * *"


pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


@pytest.fixture
def client(server: FakeKfp) -> Client:
    return client_of(server)


def add_nightly(client: Client, **options: Any) -> Schedule:
    defaults = {"cron": NIGHTLY, "parameters": {"rows": 3}}
    return client.schedule("nightly", small, **(defaults | options))


def stored(server: FakeKfp) -> list[dict[str, Any]]:
    return list(server.store.recurring_runs.values())


def test_a_schedule_by_cron_has_its_next_three_times(client: Client, server: FakeKfp) -> None:
    before = datetime.now(UTC)
    schedule = add_nightly(client)
    assert (schedule.name, schedule.enabled, schedule.cron) == ("nightly", True, NIGHTLY)
    assert (schedule.concurrency, schedule.catch_up) == (1, False)
    first, second, third = schedule.next_times
    assert f"{first:%H:%M:%S}" == "02:30:00"
    assert before < first
    assert (second - first, third - second) == (timedelta(days=1), timedelta(days=1))
    (recurring_run,) = stored(server)
    assert recurring_run["trigger"] == {"cron_schedule": {"cron": NIGHTLY}}
    assert recurring_run["runtime_config"] == {"parameters": {"rows": 3}}
    assert recurring_run["pipeline_version_reference"]["pipeline_version_id"] in server.store.versions
    assert (recurring_run["max_concurrency"], recurring_run["no_catchup"]) == ("1", True)


def test_an_interval_counts_from_when_the_schedule_was_created(client: Client, server: FakeKfp) -> None:
    schedule = add_nightly(client, cron="", every=3600, concurrency=2, catch_up=True)
    created = datetime.fromisoformat(stored(server)[0]["created_at"])
    assert schedule.next_times == tuple(created + timedelta(hours=hours) for hours in (1, 2, 3))
    assert (schedule.every, schedule.concurrency, schedule.catch_up) == (3600, 2, True)


def test_the_next_times_of_an_old_interval_are_in_the_future(client: Client, server: FakeKfp) -> None:
    add_nightly(client, cron="", every=3600)
    old = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5, minutes=10)
    stored(server)[0]["created_at"] = old.isoformat()
    (schedule,) = client.schedules()
    assert schedule.next_times == tuple(old + timedelta(hours=hours) for hours in (6, 7, 8))


def test_an_equal_schedule_is_left_unchanged(client: Client, server: FakeKfp) -> None:
    first = add_nightly(client)
    client.pause("nightly")
    again = add_nightly(client)
    assert again.id == first.id
    assert not again.enabled
    assert [each.path for each in server.requests if (each.method, each.path) == ("POST", RECURRING)] == [RECURRING]


@pytest.mark.parametrize(
    "change",
    [
        {"cron": "0 0 3 * * *"},
        {"cron": "", "every": 60},
        {"parameters": {"rows": 4}},
        {"concurrency": 2},
        {"catch_up": True},
        {"experiment": "other"},
    ],
)
def test_a_changed_schedule_replaces_the_old_one(client: Client, server: FakeKfp, change: dict[str, Any]) -> None:
    first = add_nightly(client)
    second = add_nightly(client, **change)
    assert second.id != first.id
    assert [each["recurring_run_id"] for each in stored(server)] == [second.id]


def test_a_new_version_of_the_pipeline_replaces_the_schedule(client: Client, server: FakeKfp) -> None:
    first = add_nightly(client)
    second = client.schedule("nightly", "training", cron=NIGHTLY, image="registry.example.com/runtime:1")
    assert [each["recurring_run_id"] for each in stored(server)] == [second.id] != [first.id]


def test_the_replacement_of_a_paused_schedule_is_paused(client: Client) -> None:
    add_nightly(client)
    client.pause("nightly")
    assert not add_nightly(client, concurrency=2).enabled


def test_several_schedules_with_one_name_become_one(client: Client, server: FakeKfp) -> None:
    first = add_nightly(client)
    twin = dict(stored(server)[0], recurring_run_id="twin")
    server.store.recurring_runs["twin"] = twin
    assert add_nightly(client).id in (first.id, "twin")
    assert len(stored(server)) == 1


def test_the_old_schedule_remains_when_the_new_one_is_refused(client: Client, server: FakeKfp) -> None:
    first = add_nightly(client)
    server.fail("POST", RECURRING, 500)
    with pytest.raises(KfpApiError, match=r"could not create the schedule .*; it may have succeeded"):
        add_nightly(client, concurrency=2)
    assert [each["recurring_run_id"] for each in stored(server)] == [first.id]


def test_a_schedule_is_paused_resumed_and_deleted(client: Client, server: FakeKfp) -> None:
    add_nightly(client)
    client.pause("nightly")
    (paused,) = client.schedules()
    assert (paused.enabled, paused.next_times) == (False, ())
    client.resume("nightly")
    assert client.schedules()[0].enabled
    client.unschedule("nightly")
    assert stored(server) == []


def test_all_schedules_are_listed_by_name(client: Client, server: FakeKfp) -> None:
    add_nightly(client)
    many = {f"id-{number}": dict(stored(server)[0], display_name=f"s{number:03}") for number in range(150)}
    server.store.recurring_runs |= many
    assert [each.name for each in client.schedules()] == ["nightly", *(f"s{number:03}" for number in range(150))]


def test_a_schedule_needs_a_name(client: Client, server: FakeKfp) -> None:
    with pytest.raises(KfpEdgeError, match="the name of the schedule is empty; give one"):
        client.schedule("", small, {"rows": 3}, cron=NIGHTLY)
    assert server.sent == []


def test_a_schedule_without_the_cache_runs_every_stage_again(client: Client, server: FakeKfp) -> None:
    with_cache = add_nightly(client)
    without_cache = add_nightly(client, cache=False)
    assert without_cache.id != with_cache.id
    (recurring_run,) = stored(server)
    version = server.store.versions[recurring_run["pipeline_version_reference"]["pipeline_version_id"]]
    tasks = version["pipeline_spec"]["root"]["dag"]["tasks"]
    assert [task["cachingOptions"] for task in tasks.values()] == [{}] * len(tasks)


def test_daily_is_an_expression_too(client: Client) -> None:
    schedule = add_nightly(client, cron="@daily")
    assert [f"{each:%H:%M:%S}" for each in schedule.next_times] == ["00:00:00"] * 3


@pytest.mark.parametrize("verb", ["pause", "resume", "unschedule"])
def test_an_unknown_schedule_is_reported_with_the_existing_ones(client: Client, verb: str) -> None:
    add_nightly(client)
    with pytest.raises(KfpEdgeError, match=r"there is no schedule 'weekly'; the schedules are: nightly\."):
        getattr(client, verb)("weekly")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cron": "", "every": 0}, "needs either a cron expression or an interval"),
        ({"every": 60}, "has both a cron expression and an interval; leave one of them out"),
        ({"cron": "", "every": -1}, "must be at least one second, not -1"),
        ({"cron": "", "every": 99999999999}, r"must be at most 157680000 seconds \(five years\), not 99999999999"),
        ({"cron": "@every 1h30m"}, r"is an interval; give it in seconds, as --every 5400 \(every=5400\), instead"),
        ({"concurrency": 0}, "must be 1 to 10, not 0"),
        ({"concurrency": 11}, "must be 1 to 10, not 11"),
        ({"cron": "30 2 * * *"}, "has 5 fields, and needs six"),
        ({"parameters": {}}, "needs the parameter 'rows'"),
    ],
)
def test_a_schedule_is_checked_before_anything_is_sent(
    client: Client, server: FakeKfp, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(KfpEdgeError, match=message):
        add_nightly(client, **options)
    assert server.sent == []
