"""The times of a schedule are those at which the backend's controller starts its runs."""

import json
from datetime import datetime
from itertools import islice
from typing import Any

import pytest
from kfp_server_api import V2beta1RecurringRun

from kfp_edge.client.schedules.timing import Timing
from kfp_edge.cron import Cron, parse_every
from kfp_edge.errors import KfpEdgeError
from support.paths import ROOT

RECORDED = [
    json.loads(line) for line in (ROOT / "tests/support/recorded/schedule_times.jsonl").read_text("utf-8").splitlines()
]


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def is_accepted(cron: str) -> bool:
    try:
        return parse_every(cron) is not None or bool(Cron.read(cron))
    except KfpEdgeError:
        return False


def test_the_recorded_schedules_are_many_and_of_every_form() -> None:
    assert len([case for case in RECORDED if case["accepted"]]) > 200
    assert {"every", "start", "end"} <= {name for case in RECORDED for name in case}


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: str(case.get("cron", case.get("every"))))
def test_the_times_are_those_of_the_controller(case: dict[str, Any]) -> None:
    if not case["accepted"]:
        assert not is_accepted(case.get("cron", ""))
        return
    timing = Timing(case.get("cron", ""), case.get("every", 0), moment(case.get("start")), moment(case.get("end")))
    last = timing.start or datetime.fromisoformat(case["created"])
    times = islice(timing.times(last, last), 4)
    assert [f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in times] == case["times"]


def test_the_controller_accepts_every_expression_that_the_client_sends() -> None:
    accepted = {case.get("cron", ""): case["accepted"] for case in RECORDED if "every" not in case}
    for cron, is_taken in accepted.items():
        try:
            sent = Timing.checked(cron, 0, 1, catch_up=False).cron
        except KfpEdgeError:
            continue
        assert accepted.get(sent, is_taken), cron


def test_a_recurring_run_without_a_trigger_has_no_times() -> None:
    created = datetime.fromisoformat("2026-11-29T00:10:13Z")
    timing = Timing.of(V2beta1RecurringRun(max_concurrency="1", created_at=created))
    assert (timing.cron, timing.every, list(timing.times(created, created))) == ("", 0, [])


@pytest.mark.parametrize(
    "timing",
    [Timing(cron="@daily"), Timing(every=60), Timing(every=60, start=moment("2030-01-01T00:00:00Z"), catch_up=True)],
)
def test_a_timing_survives_the_way_to_the_server_and_back(timing: Timing) -> None:
    recurring_run = V2beta1RecurringRun(
        trigger=timing.trigger(), max_concurrency=str(timing.concurrency), no_catchup=not timing.catch_up
    )
    assert Timing.of(recurring_run) == timing
