"""What happens to a run after it was submitted: it is followed, canceled and retried, and the exit code tells of it."""

import time
from pathlib import Path

import pytest

from support.clients import REPORT
from support.commands import kfp_edge
from support.fake_kfp import FakeKfp

SUBMIT = ("submit", "small.yaml", "-p", "rows=3", "--name", "mine")


@pytest.fixture
def upstream(server: FakeKfp, monkeypatch: pytest.MonkeyPatch, no_credentials: None) -> FakeKfp:
    """KFP's own API server, on a machine without credentials for its object store."""
    server.store.has_artifact_api = False
    return server


def submitted(server: FakeKfp, *options: str) -> str:
    """Submit a run and return its id."""
    kfp_edge(server, *SUBMIT, *options)
    (run_id,) = server.store.runs
    return run_id


def test_a_run_that_succeeds_exits_with_0_where_its_metrics_cannot_be_read(upstream: FakeKfp) -> None:
    result = kfp_edge(upstream, *SUBMIT, "--wait")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].split()[:3] == ["✓", "publish", "succeeded"]
    assert result.stderr.startswith("note: the metrics cannot be read: ")
    assert "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_S3_ENDPOINT and AWS_S3_BUCKET" in result.stderr


def test_a_run_is_shown_where_its_metrics_cannot_be_read(upstream: FakeKfp) -> None:
    run_id = submitted(upstream, "--wait")
    result = kfp_edge(upstream, "runs", run_id)
    assert (result.exit_code, result.stderr[:6]) == (0, "note: ")
    assert "✓ publish" in result.stdout


def test_a_report_that_cannot_be_read_is_an_error(upstream: FakeKfp) -> None:
    result = kfp_edge(upstream, "runs", submitted(upstream, "--wait"), "--report", "learn")
    assert result.exit_code == 1
    assert "has no API for artifacts" in str(result.exception)


def test_a_report_is_written_to_a_file(server: FakeKfp, tmp_path: Path) -> None:
    run_id = submitted(server, "--wait")
    kfp_edge(server, "runs", run_id, "--report", "learn", "--output", "report.html")
    assert (tmp_path / "report.html").read_text() == REPORT


def test_ctrl_c_says_that_the_run_continues_and_how_it_is_canceled(
    server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    result = kfp_edge(server, *SUBMIT, "--wait")
    (run_id,) = server.store.runs
    follow, cancel = (
        f"kfp-edge {command} --namespace ds-project --host {server.url}"
        for command in (f"runs {run_id} --wait", f"cancel {run_id}")
    )
    assert result.exit_code == 130
    assert f"the run mine continues; `{follow}` follows it, `{cancel}` cancels it" in result.stderr


def test_a_run_is_canceled(server: FakeKfp) -> None:
    run_id = submitted(server)
    result = kfp_edge(server, "cancel", run_id)
    follow = f"kfp-edge runs {run_id} --wait --namespace ds-project --host {server.url}"
    assert (result.exit_code, result.stdout) == (0, f"canceling mine; `{follow}` shows when it has ended\n")
    assert server.store.run(run_id)["state"] == "CANCELING" or server.store.run(run_id)["state"] == "FAILED"


def test_a_failed_run_is_retried_and_followed(server: FakeKfp) -> None:
    server.store.failing["judge"] = ""
    run_id = submitted(server, "--wait")
    server.store.failing.clear()
    result = kfp_edge(server, "retry", run_id, "--wait")
    assert result.exit_code == 0
    assert result.stdout.startswith("retrying mine\n")
    assert "✓ publish" in result.stdout


def test_a_run_that_succeeded_is_neither_canceled_nor_retried(server: FakeKfp) -> None:
    run_id = submitted(server, "--wait")
    results = [kfp_edge(server, command, run_id) for command in ("cancel", "retry")]
    assert [result.exit_code for result in results] == [1, 1]
    assert "has ended already (succeeded)" in str(results[0].exception)
    assert "only a run that failed can be retried" in str(results[1].exception)
