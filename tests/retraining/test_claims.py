"""A model is retrained by one run at a time, not right after the other, and not too often."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kfp_edge.errors import ParameterError, StorageError
from kfp_edge.retraining import claims
from kfp_edge.retraining.claims import ClaimPolicy, Decision, check_state, claim, end_claim
from kfp_edge.storage import s3
from support.s3 import S3Server

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = ClaimPolicy.parse("1d", 2, "6h")
BUCKET = "claims"


@pytest.fixture(scope="module", autouse=True)
def bucket(s3_store: S3Server) -> None:
    s3_store.client().create_bucket(Bucket=BUCKET)


@pytest.fixture(params=["folder", "object store"])
def state(request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path) -> str:
    """Where the claims are kept, empty at first."""
    return str(tmp_path / "state") if request.param == "folder" else f"s3://{BUCKET}/{tmp_path.name}"


def ask(state: str, run: str, now: datetime = NOW, policy: ClaimPolicy = POLICY, model: str = "press") -> Decision:
    return claim(state, model, run, policy, now)


class TestOneRun:
    def test_of_ten_that_start_at_once_has_the_claim(self, state: str) -> None:
        with ThreadPoolExecutor(10) as pool:
            decisions = list(pool.map(lambda number: ask(state, f"run-{number}"), range(10)))
        assert [decision.is_granted for decision in decisions].count(True) == 1
        refused = next(decision for decision in decisions if not decision.is_granted)
        assert "; it counts as lost at 2026-11-02 14:00 UTC, or when you delete its entry in " in refused.reason

    def test_is_named_to_the_next_one(self, state: str) -> None:
        assert ask(state, "first").is_granted
        assert ask(state, "second", NOW + HOUR) == Decision(
            False,
            "run first has been retraining the model since 2026-11-02 08:00 UTC; it counts as lost at 2026-11-02 "
            f"14:00 UTC, or when you delete its entry in {state}/press/claims.json",
        )

    def test_keeps_its_claim_when_its_task_is_tried_again(self, state: str) -> None:
        assert ask(state, "first").is_granted
        assert ask(state, "first", NOW + HOUR).is_granted

    def test_gets_it_back_when_it_is_retried_after_its_end(self, state: str) -> None:
        assert ask(state, "first").is_granted
        assert end_claim(state, "press", "first", NOW + HOUR)
        assert ask(state, "first", NOW + 2 * HOUR).is_granted
        assert not ask(state, "second", NOW + 3 * HOUR).is_granted

    def test_of_another_model_does_not_count(self, state: str) -> None:
        assert ask(state, "first").is_granted
        assert ask(state, "second", model="pump").is_granted

    def test_that_was_killed_holds_others_off_until_its_timeout_only(self, state: str) -> None:
        policy = ClaimPolicy.parse("0s", 5, "6h")
        assert ask(state, "killed", policy=policy).is_granted
        assert not ask(state, "next", NOW + 6 * HOUR - timedelta(seconds=1), policy).is_granted
        assert ask(state, "next", NOW + 6 * HOUR, policy).is_granted


class TestPauses:
    def test_last_for_the_cool_down_from_the_beginning_of_the_run_before(self, state: str) -> None:
        assert ask(state, "first").is_granted
        assert end_claim(state, "press", "first", NOW + HOUR)
        refused = ask(state, "second", NOW + DAY - timedelta(minutes=1))
        assert refused == Decision(
            False,
            "the model was last retrained at 2026-11-02 08:00 UTC, and the cool-down lasts until 2026-11-03 08:00 UTC",
        )
        assert ask(state, "second", NOW + DAY).is_granted

    def test_are_longer_after_as_many_runs_as_a_week_may_have(self, state: str) -> None:
        for day in (0, 2):
            assert ask(state, f"of day {day}", NOW + day * DAY).is_granted
            assert end_claim(state, "press", f"of day {day}", NOW + day * DAY + HOUR)
        refused = ask(state, "third", NOW + 5 * DAY)
        assert refused.reason == (
            "the model was retrained 2 times within seven days, and 2 are allowed; the next time is 2026-11-09 08:00 "
            "UTC"
        )
        assert ask(state, "third", NOW + 7 * DAY).is_granted


class TestTheRecord:
    def test_is_json_with_each_run_and_its_times(self, tmp_path: Path) -> None:
        ask(str(tmp_path), "first")
        end_claim(str(tmp_path), "press", "first", NOW + HOUR)
        assert json.loads((tmp_path / "press" / "claims.json").read_text()) == {
            "claims": [
                {
                    "run": "first",
                    "claimed_at": "2026-11-02T08:00:00Z",
                    "expires_at": "2026-11-02T14:00:00Z",
                    "ended_at": "2026-11-02T09:00:00Z",
                }
            ]
        }

    def test_forgets_what_is_older_than_90_days(self, tmp_path: Path) -> None:
        ask(str(tmp_path), "old")
        ask(str(tmp_path), "new", NOW + 91 * DAY)
        record = json.loads((tmp_path / "press" / "claims.json").read_text())
        assert [each["run"] for each in record["claims"]] == ["new"]

    def test_of_a_run_without_a_claim_has_no_end(self, state: str) -> None:
        assert not end_claim(state, "press", "other", NOW)

    def test_that_a_person_broke_is_named_and_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "press" / "claims.json"
        path.parent.mkdir()
        path.write_text('{"claims": [{"run"')
        with pytest.raises(StorageError, match=r"press/claims\.json has no claims that can be read; look at what is"):
            ask(str(tmp_path), "first")
        assert path.read_text() == '{"claims": [{"run"'


class TestTheStore:
    def test_that_ignores_conditions_is_refused(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        def write_anyway(uri: str, data: bytes, etag: str | None) -> bool:
            s3.client().put_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"), Body=data)
            return True

        monkeypatch.setattr(claims.write_if_unchanged.__globals__["s3"], "write_if", write_anyway)
        with pytest.raises(StorageError, match=r"ignores the condition of a write \(If-None-Match\)"):
            ask(f"s3://{BUCKET}/ignorant", "first")

    def test_that_lost_the_answer_to_a_write_gives_no_second_claim(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = s3_module_write(monkeypatch)
        assert ask(f"s3://{BUCKET}/lost", "first").is_granted
        assert len(written) == 1
        assert not ask(f"s3://{BUCKET}/lost", "second").is_granted


def s3_module_write(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the first write to the store take effect and look like one that somebody else was faster with."""
    original, done = s3.write_if, list[str]()

    def write(uri: str, data: bytes, etag: str | None) -> bool:
        is_written = original(uri, data, etag)
        if is_written and not done:
            done.append(uri)
            return False
        return is_written

    monkeypatch.setattr(s3, "write_if", write)
    return done


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("1x", 2, "6h"), "cool_down is '1x'; it must be a duration such as 30m, 24h or 7d."),
        (("1d", 0, "6h"), "max_retrainings_per_week is 0; give a whole number from 1 on."),
        (("900d", 2, "6h"), "cool_down is '900d'; it must be at most 366d."),
        (("1d", 2, "367d"), "retraining_timeout is '367d'; it must be at most 366d."),
        (("1d", math.nan, "6h"), "max_retrainings_per_week is nan; give a whole number from 1 on."),
        (("1d", math.inf, "6h"), "max_retrainings_per_week is inf; give a whole number from 1 on."),
        (("1d", 1.5, "6h"), "max_retrainings_per_week is 1.5; give a whole number from 1 on."),
        (("1d", 2, "0s"), "retraining_timeout is 0; give the longest time that a run may take, such as 24h."),
    ],
)
def test_limits_that_cannot_be_used_are_named(values: tuple[str, float, str], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        ClaimPolicy.parse(*values)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "state", ["", "s3://", "s3:///retraining", "s3:/plant/x", "https://s3.example/plant", "gs://x"]
)
def test_a_state_that_is_no_place_is_named(state: str) -> None:
    with pytest.raises(ParameterError) as caught:
        check_state(state, in_pod=False)
    assert str(caught.value) == f"retraining_state is {state!r}; give s3://BUCKET/PREFIX, or a folder."


def test_a_folder_of_a_pod_is_no_state() -> None:
    """It is gone with the pod, so that every run would have the claim."""
    with pytest.raises(ParameterError, match="a folder that no other run on the cluster sees; give s3://BUCKET/PREFIX"):
        check_state(".kfp-edge/retraining", in_pod=True)
    for state in ("/mnt/shared/retraining", "s3://plant", "s3://plant/retraining"):
        check_state(state, in_pod=True)
