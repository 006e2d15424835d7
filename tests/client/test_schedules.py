"""Pipelines are scheduled on a KFP backend (a fake, over real HTTP), one schedule for each name."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.client import Client, Schedule, kfp_api
from kfp_edge.errors import KfpApiError, KfpEdgeError
from support.clients import client_of, small
from support.fake_kfp import FakeKfp

RECURRING = "/apis/v2beta1/recurringruns"
NIGHTLY = "0 30 2 * * *"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeKfp]:
    folder = tmp_path / "backend"
    folder.mkdir()
    with FakeKfp(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No pauses; and work in a folder that is no git checkout."""
    monkeypatch.setattr(kfp_api, "_PAUSE", 0.001)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def client(fake: FakeKfp) -> Client:
    return client_of(fake)


def nightly(client: Client, **options: Any) -> Schedule:
    given = {"cron": NIGHTLY, "parameters": {"rows": 3}} | options
    return client.schedule("nightly", small, **given)


def kept(fake: FakeKfp) -> list[dict[str, Any]]:
    return list(fake.store.recurring_runs.values())


def test_a_schedule_by_cron_tells_its_next_three_times(client: Client, fake: FakeKfp) -> None:
    before = datetime.now(UTC)
    made = nightly(client)
    assert (made.name, made.enabled, made.cron, made.concurrency, made.catch_up) == ("nightly", True, NIGHTLY, 1, False)
    first, second, third = made.next_times
    assert f"{first:%H:%M:%S}" == "02:30:00"
    assert before < first
    assert (second - first, third - second) == (timedelta(days=1), timedelta(days=1))
    (found,) = kept(fake)
    assert found["trigger"] == {"cron_schedule": {"cron": NIGHTLY}}
    assert found["runtime_config"] == {"parameters": {"rows": 3}}
    assert found["pipeline_version_reference"]["pipeline_version_id"] in fake.store.versions
    assert (found["max_concurrency"], found["no_catchup"]) == ("1", True)


def test_a_schedule_by_interval_counts_from_when_it_was_made(client: Client, fake: FakeKfp) -> None:
    made = nightly(client, cron="", every=3600, concurrency=2, catch_up=True)
    created = datetime.fromisoformat(kept(fake)[0]["created_at"])
    assert made.next_times == tuple(created + timedelta(hours=turn) for turn in (1, 2, 3))
    assert (made.every, made.concurrency, made.catch_up) == (3600, 2, True)


def test_the_times_of_an_old_interval_are_still_to_come(client: Client, fake: FakeKfp) -> None:
    nightly(client, cron="", every=3600)
    old = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5, minutes=10)
    kept(fake)[0]["created_at"] = old.isoformat()
    (found,) = client.schedules()
    assert found.next_times == tuple(old + timedelta(hours=turn) for turn in (6, 7, 8))


def test_an_equal_schedule_is_left_as_it_is(client: Client, fake: FakeKfp) -> None:
    first = nightly(client)
    client.pause("nightly")
    again = nightly(client)
    assert again.id == first.id
    assert not again.enabled
    assert [call.path for call in fake.requests if call.method == "POST" and call.path == RECURRING] == [RECURRING]


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
def test_a_changed_schedule_replaces_the_old_one(client: Client, fake: FakeKfp, change: dict[str, Any]) -> None:
    first = nightly(client)
    second = nightly(client, **change)
    assert second.id != first.id
    assert [found["recurring_run_id"] for found in kept(fake)] == [second.id]


def test_a_new_version_of_the_pipeline_replaces_the_schedule(client: Client, fake: FakeKfp) -> None:
    first = nightly(client)
    second = client.schedule("nightly", "training", cron=NIGHTLY)
    assert [found["recurring_run_id"] for found in kept(fake)] == [second.id] != [first.id]


def test_what_replaces_a_paused_schedule_is_paused(client: Client) -> None:
    nightly(client)
    client.pause("nightly")
    assert not nightly(client, concurrency=2).enabled


def test_several_of_one_name_become_one(client: Client, fake: FakeKfp) -> None:
    first = nightly(client)
    twin = dict(kept(fake)[0], recurring_run_id="twin")
    fake.store.recurring_runs["twin"] = twin
    assert nightly(client).id in (first.id, "twin")
    assert len(kept(fake)) == 1


def test_the_old_schedule_stays_when_the_new_one_is_refused(client: Client, fake: FakeKfp) -> None:
    first = nightly(client)
    fake.fail("POST", RECURRING, 500)
    with pytest.raises(KfpApiError, match=r"could not create the schedule .*; it may have been done all the same"):
        nightly(client, concurrency=2)
    assert [found["recurring_run_id"] for found in kept(fake)] == [first.id]


def test_a_schedule_is_paused_resumed_and_deleted(client: Client, fake: FakeKfp) -> None:
    nightly(client)
    client.pause("nightly")
    (paused,) = client.schedules()
    assert (paused.enabled, paused.next_times) == (False, ())
    client.resume("nightly")
    assert client.schedules()[0].enabled
    client.unschedule("nightly")
    assert kept(fake) == []


def test_all_schedules_are_listed_by_name(client: Client, fake: FakeKfp) -> None:
    nightly(client)
    many = {f"id-{number}": dict(kept(fake)[0], display_name=f"s{number:03}") for number in range(150)}
    fake.store.recurring_runs |= many
    assert [found.name for found in client.schedules()] == ["nightly", *(f"s{number:03}" for number in range(150))]


@pytest.mark.parametrize("verb", ["pause", "resume", "unschedule"])
def test_an_unknown_schedule_is_told_with_those_there_are(client: Client, verb: str) -> None:
    nightly(client)
    with pytest.raises(KfpEdgeError, match=r"there is no schedule 'weekly'; the schedules are: nightly\."):
        getattr(client, verb)("weekly")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cron": "", "every": 0}, "needs either a cron expression or an interval"),
        ({"every": 60}, "needs either a cron expression or an interval"),
        ({"cron": "", "every": -1}, "must be at least one second, not -1"),
        ({"concurrency": 0}, "must be 1 to 10, not 0"),
        ({"concurrency": 11}, "must be 1 to 10, not 11"),
        ({"cron": "30 2 * * *"}, "has 5 fields, and needs six"),
        ({"parameters": {}}, "needs the parameter 'rows'"),
    ],
)
def test_a_schedule_is_checked_before_anything_is_sent(
    client: Client, fake: FakeKfp, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(KfpEdgeError, match=said):
        nightly(client, **options)
    assert fake.requests == []
